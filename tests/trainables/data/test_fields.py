"""Fields beside x: what they may be, kept as what, and all that is wrong with them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from trainables.data import blocks
from trainables.data.cache import prepare
from trainables.data.errors import DataError
from trainables.data.fields import checked_fields
from trainables.data.samples import Samples
from trainables.data.store import Dataset, open_dataset
from trainables.data.user import UserReader

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(0.5, (40, 6))
FIELDS = {
    "batch": ["lab b", "lab a", "lab c", "lab a"] * 10,
    "size": COUNTS.sum(axis=1),
    "depth": RNG.random(40),
    "mask": RNG.random((40, 2, 3)) > 0.5,
}


def prepared(made: Any, folder: Path, **settings: Any) -> Dataset:
    """The data set of a `data` that returns `made`."""
    return prepare(UserReader("mine", lambda source: made, ""), None, folder, settings)


def expected(name: str) -> np.ndarray:
    """What a field becomes."""
    values = np.asarray(FIELDS[name])
    if name == "batch":
        return np.array([("lab a", "lab b", "lab c").index(value) for value in values])
    return values.astype({"size": np.int64, "depth": np.float32, "mask": np.bool_}[name])


@pytest.mark.parametrize("values_per_block", [4_000_000, 30])
def test_fields_and_sparse_counts_in_a_file_of_one_or_many_pieces(
    values_per_block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", values_per_block)
    dataset = prepared(Samples(sparse.csr_array(COUNTS), fields=FIELDS), tmp_path)
    np.testing.assert_array_equal(dataset.x, COUNTS.astype(np.float32))
    index = np.array([39, 0, 17, 17])
    np.testing.assert_array_equal(dataset.read(index), COUNTS[index])
    assert dataset.fields.keys() == FIELDS.keys()
    for name, rows in dataset.fields.items():
        assert rows.dtype == expected(name).dtype
        np.testing.assert_array_equal(rows, expected(name))
        np.testing.assert_array_equal(rows[index], expected(name)[index])
    assert dataset.statistics["batch"].tolist() == ["lab a", "lab b", "lab c"]
    np.testing.assert_allclose(dataset.statistics["mean"], COUNTS[dataset.train].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.statistics["std"], COUNTS[dataset.train].std(axis=0), rtol=1e-6)


def test_pieces_make_no_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = prepared(Samples(COUNTS.astype(np.float32), labels=FIELDS["batch"]), tmp_path / "whole")
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", 30)
    pieces = prepared(Samples(sparse.csr_array(COUNTS), labels=FIELDS["batch"]), tmp_path / "pieces")
    assert type(whole.x) is not type(pieces.x)
    assert whole.fingerprint == pieces.fingerprint
    assert whole.labels == pieces.labels
    for name in ("train", "val"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(pieces, name))


@pytest.mark.parametrize("keep", [0, 0.3, 0.7, -1])
def test_a_file_of_pieces_that_is_cut_short_is_refused(keep: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", 30)
    path = prepared(Samples(sparse.csr_array(COUNTS), fields=FIELDS), tmp_path).path
    content = path.read_bytes()
    (tmp_path / "cut.arrow").write_bytes(content[: int(keep * len(content)) if keep >= 0 else -1])
    with pytest.raises(DataError, match="not a complete data set file"):
        open_dataset(tmp_path / "cut.arrow")


def test_the_fingerprint_tells_fields(tmp_path: Path):
    x = COUNTS.astype(np.float32)
    variants = [
        {},
        {"batch": FIELDS["batch"]},
        {"lane": FIELDS["batch"]},
        {"batch": [value.upper() for value in FIELDS["batch"]]},
        {"batch": FIELDS["batch"][::-1]},
        {"batch": FIELDS["size"]},
        {"batch": FIELDS["size"].astype(np.float32)},
    ]
    prints = [prepared(Samples(x, fields=one), tmp_path / str(n)).fingerprint for n, one in enumerate(variants)]
    assert len(set(prints)) == len(variants)


def test_a_subset_takes_its_fields_along(tmp_path: Path):
    dataset = prepared(Samples(sparse.csr_array(COUNTS), fields=FIELDS), tmp_path, subset=15)
    chosen = [int(np.flatnonzero(expected("depth") == value)[0]) for value in np.asarray(dataset.fields["depth"])]
    assert len(set(chosen)) == 15
    np.testing.assert_array_equal(dataset.x, COUNTS[chosen])
    np.testing.assert_array_equal(dataset.fields["mask"], expected("mask")[chosen])


def test_everything_wrong_is_told_at_once():
    found, problems = checked_fields(
        {
            "good": np.arange(4),
            "x": np.arange(4),
            "two words": np.arange(4),
            "short": ["a", "b"],
            "holes": [1.0, np.nan, 2.0, 3.0],
            "objects": [object()] * 4,
            "ragged": [[1], [1, 2], [1], [1]],
        },
        4,
    )
    assert list(found) == ["good"]
    wanted = "expected a name that a function's parameter may have, other than x, z, prediction"
    assert [problem.partition(":")[0] for problem in problems] == [
        f"field {name}" for name in ("x", "two words", "short", "holes", "objects", "ragged")
    ]
    for problem, text in zip(
        problems,
        (wanted, wanted, "2 values; expected 4", "sample 1 is NaN", "expected one string or number", "inhomogeneous"),
        strict=True,
    ):
        assert text in problem
