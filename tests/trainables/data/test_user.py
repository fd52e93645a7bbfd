"""What a user's `data(source)` may return, and what is said of what it may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from trainables.data.errors import DataError
from trainables.data.samples import Samples
from trainables.data.user import EMBEDDED, PIXELS, UserReader

X = np.random.default_rng(0).random((12, 2, 3))
Y = np.arange(12) % 4


def read(made: Any) -> Samples:
    """The samples of a `data` that returns `made`."""
    return UserReader("mine", lambda source: made, "").read("source", {})


@pytest.mark.parametrize(
    "made",
    [
        (X, Y),
        (torch.from_numpy(X), list(Y)),
        TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
        Samples(X, "elsewhere", [str(label) for label in Y]),
    ],
    ids=["arrays", "tensors", "dataset", "samples"],
)
def test_samples_and_labels(made):
    found = read(made)
    np.testing.assert_array_equal(found.x, X.astype(np.float32))
    assert (found.x.dtype, found.source) == (np.float32, "source")
    assert found.labels == [str(label) for label in Y]


def test_an_array_alone_and_a_dataset_of_one_thing():
    assert read(X).labels is None
    np.testing.assert_array_equal(read(TensorDataset(torch.from_numpy(X))).x, X.astype(np.float32))


def test_bytes_are_pixels_and_it_is_said():
    found = read((X * 255).astype(np.uint8))
    assert (found.x.dtype, found.notes) == (np.uint8, (PIXELS,))
    statistics = UserReader("mine", None, "").statistics(found, np.arange(12))
    np.testing.assert_allclose(statistics["mean"], X.mean(axis=0), atol=0.005)
    assert read(np.arange(12).reshape(6, 2)).notes == ()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (None, "values of type object and shape (); expected an array"),
        (np.zeros(12), "values of type float64 and shape (12,)"),
        ([np.zeros(3), np.zeros(4)], "item 1: x has shape (4,); expected (3,), as the first item"),
        ((X, Y[:5]), "labels of shape (5,); expected (12,), one a sample"),
        (
            np.where(np.arange(12)[:, None, None] == 7, np.nan, X),
            "6 values are NaN, infinite or beyond float32, the first in sample 7",
        ),
        (np.ones((12, 3)), "all samples are identical"),
    ],
)
def test_what_cannot_be_used_is_said(made, expected):
    with pytest.raises(DataError) as error:
        read(made)
    assert [expected in problem for problem in error.value.problems] == [True]


def test_any_exception_is_one_line_with_its_place():
    def data(source: str | None) -> None:
        raise KeyError("counts")

    with pytest.raises(DataError) as error:
        UserReader("mine", data, "").embedded({})
    line = data.__code__.co_firstlineno + 1
    assert error.value.source == EMBEDDED
    assert error.value.problems == [f"data(None) raised KeyError: 'counts' (test_user.py:{line})"]


def test_without_a_function_numpy_files_are_read(tmp_path):
    reader = UserReader("mine", None, "")
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x=X, y=Y)
    np.savez(tmp_path / "other.npz", a=X)
    (tmp_path / "broken.npz").write_bytes(b"PK")
    assert reader.read(str(tmp_path / "x.npy"), {}).labels is None
    assert reader.read(str(tmp_path / "x.npz"), {}).labels == [str(label) for label in Y]
    for name, expected in (
        ("other.npz", "holds a; expected x"),
        ("broken.npz", "cannot be read"),
        ("absent.npy", "cannot be read"),
        ("x.csv", "so only .npy, .npz, .h5, .hdf5, .zarr, .h5ad are read"),
    ):
        with pytest.raises(DataError, match=expected):
            reader.read(str(tmp_path / name), {})
    with pytest.raises(DataError, match="brings none: give --data"):
        reader.embedded({})


def test_changed_code_is_another_version():
    assert UserReader("mine", None, "a" * 64).version != UserReader("mine", None, "b" * 64).version
