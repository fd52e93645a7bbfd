"""MNIST's file format, in which Fashion-MNIST comes too: grey images as grids of patches of 2 × 2 pixels.

They are the data on which the untreated model is known to work. A file of images is given as it is downloaded,
packed by gzip or not; the labels are those of the file beside it that is named as theirs are.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from trainables.data.digits import PATCH, patches
from trainables.data.errors import DataError
from trainables.data.samples import Samples

NAMED = "idx3-ubyte"  # in the names of files of images
_IMAGES, _LABELS = 0x0803, 0x0801  # first four bytes: bytes as values, and the number of axes
_GZIP = b"\x1f\x8b"
_UNREADABLE = (OSError, EOFError, zlib.error)


def read_idx(path: Path) -> Samples:
    """The images of a file, (N, R, C, 4) in [0, 1]; channel 2 i + j of node (r, c) is pixel (2 r + i, 2 c + j).

    Raises:
        DataError: the file, or that of its labels, is damaged or holds something else.
    """
    images = _read(path, _IMAGES)
    odd = [side for side in images.shape[1:] if side % PATCH]
    if odd:
        sides = " × ".join(map(str, images.shape[1:]))
        raise DataError(
            str(path), [f"images of {sides} pixels; expected even sides, for patches of {PATCH} × {PATCH}"]
        )
    names = path.parent / path.name.replace("images", "labels").replace(NAMED, "idx1-ubyte")
    labels = _read(names, _LABELS) if names != path and names.exists() else None
    if labels is not None and len(labels) != len(images):
        raise DataError(str(path), [f"{len(labels)} labels in {names.name}; expected {len(images)}, one an image"])
    notes = () if labels is not None else (f"no labels: there is no file {names.name} beside it",)
    told = None if labels is None else [str(label) for label in labels]
    return Samples(patches(images) / np.float32(255), str(path), told, notes=notes)


def _read(path: Path, kind: int) -> np.ndarray:
    """The bytes of a file of that kind, in their shape."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(_GZIP) else content
    except _UNREADABLE as error:
        raise DataError(str(path), [f"{path.name} is damaged ({error}); download it again"]) from error
    axes = kind & 0xFF
    header = np.frombuffer(content[: 4 * (1 + axes)].ljust(4 * (1 + axes), b"\0"), ">u4")
    if header[0] != kind:
        raise DataError(str(path), [f"{path.name} is no IDX file of bytes with {axes} axes; download it again"])
    shape, found = tuple(int(side) for side in header[1:]), len(content) - 4 * (1 + axes)
    if found != np.prod(shape):
        expected = " × ".join(map(str, shape))
        raise DataError(str(path), [f"{path.name} holds {found} values; expected {expected}; download it again"])
    return np.frombuffer(content, np.uint8, offset=4 * (1 + axes)).reshape(shape)
