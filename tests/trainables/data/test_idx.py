"""MNIST's files, written by hand."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from trainables.data.errors import DataError
from trainables.data.grids import read_grids

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 28, 28), np.uint8)
LABELS = (np.arange(20) % 10).astype(np.uint8)


def idx(values: np.ndarray) -> bytes:
    header = np.array([0x0800 + values.ndim, *values.shape], ">u4")
    return header.tobytes() + values.tobytes()


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_grids(str(path))
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("images", "labels"),
    [("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte")],
)
def test_images_are_grids_of_patches_with_their_labels(tmp_path: Path, packed: bool, images: str, labels: str):
    end, pack = (".gz", gzip.compress) if packed else ("", bytes)
    (tmp_path / (images + end)).write_bytes(pack(idx(IMAGES)))
    (tmp_path / (labels + end)).write_bytes(pack(idx(LABELS)))
    samples = read_grids(str(tmp_path / (images + end)))
    assert samples.x.shape == (20, 14, 14, 4)
    assert samples.x.dtype == np.float32
    assert samples.labels == [str(label) for label in LABELS]
    assert samples.notes == ()
    for row, column, channel in ((0, 0, 0), (3, 5, 1), (13, 13, 2), (7, 2, 3)):
        pixel = IMAGES[:, 2 * row + channel // 2, 2 * column + channel % 2]
        np.testing.assert_allclose(samples.x[:, row, column, channel], pixel / 255, rtol=1e-6)


def test_images_without_labels_are_noted(tmp_path: Path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    samples = read_grids(str(tmp_path / "train-images-idx3-ubyte"))
    assert samples.labels is None
    assert samples.notes == ("no labels: there is no file train-labels-idx1-ubyte beside it",)


def test_what_is_damaged_or_something_else_is_refused(tmp_path: Path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(IMAGES))[:500])
    assert "train-images-idx3-ubyte.gz is damaged" in refused(path)
    path.write_bytes(idx(IMAGES)[:-3])
    assert "holds 15677 values; expected 20 × 28 × 28" in refused(path)
    path.write_bytes(idx(LABELS))
    assert "is no IDX file of bytes with 3 axes" in refused(path)
    path.write_bytes(b"\x00\x00")
    assert "is no IDX file" in refused(path)
    path.write_bytes(idx(IMAGES[:, :27]))
    assert "images of 27 × 28 pixels; expected even sides" in refused(path)
    path.write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(idx(LABELS[:7]))
    assert "7 labels in train-labels-idx1-ubyte.gz; expected 20" in refused(path)
