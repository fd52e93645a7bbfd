"""Grids from NumPy files; nothing is unpickled."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainables.data.blocks import sample_blocks
from trainables.data.errors import DataError
from trainables.data.samples import Samples

_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
CHANNELS_FIRST = (
    "is this (samples, rows, cols, channels), or (samples, channels, rows, cols)? If channels come first, save "
    "np.moveaxis(x, 1, -1); if not, save it as Parquet with columns sample, row and col, which name the axes"
)
_SAMPLE_KEYS = ("x", "embeddings")
_LABEL_KEYS = ("y", "label", "labels")


def read_array(path: Path) -> Samples:
    """A .npy file, (N, R, C, D), or (N, P, D) with P = R² positions in row-major order."""
    try:
        x = np.lib.format.open_memmap(path, mode="r")
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if not _is_number(x):
        raise DataError(str(path), [f"values of type {x.dtype}; expected real numbers"])
    ask_about_channels_first(x.shape, str(path))
    return Samples(to_float32(x, grid_shape(x.shape, str(path))), str(path))


def read_archive(path: Path) -> Samples:
    """An .npz file: samples under x or embeddings, or its only float array; labels under y, label or labels."""
    try:
        with open(path, "rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    x = _samples_of(arrays, path)
    ask_about_channels_first(x.shape, str(path))
    shape = grid_shape(x.shape, str(path))
    labels = next((arrays[key] for key in _LABEL_KEYS if key in arrays), None)
    if labels is not None and labels.shape != (len(x),):
        problem = f"labels of shape {labels.shape}; expected ({len(x)},), one a sample"
        raise DataError(str(path), [problem])
    return Samples(to_float32(x, shape), str(path), None if labels is None else [str(label) for label in labels])


def grid_shape(shape: Sequence[int], source: str) -> tuple[int, ...]:
    """(N, R, C, D) from that or from (N, P, D).

    Raises:
        DataError: it is neither, or P is not a perfect square.
    """
    if len(shape) == 4:
        return tuple(shape)
    expected = "expected (samples, rows, cols, channels), or (samples, positions, channels) of a square grid"
    if len(shape) != 3:
        raise DataError(source, [f"shape {tuple(shape)}; {expected}"])
    count, positions, channels = shape
    side = math.isqrt(positions)
    if side * side != positions:
        problem = f"shape {tuple(shape)}: {positions} positions are not a square grid; {expected}"
        raise DataError(source, [problem])
    return count, side, side, channels


def ask_about_channels_first(shape: Sequence[int], source: str) -> None:
    """Raises `DataError` for a shape that may be (N, D, R, C), torch's order: more rows than columns and channels, or
    a square of the last two axes alone."""
    if len(shape) != 4:
        return
    _, rows, columns, channels = shape
    if rows != columns and (columns == channels or rows > max(columns, channels)):
        raise DataError(source, [f"shape {tuple(shape)}: {CHANNELS_FIRST}"])


def to_float32(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """`values` reshaped and as float32; what lies beyond float32 becomes infinite. No copy if none is needed."""
    values = values.reshape(shape)
    if values.dtype == np.float32:
        return values
    x = np.empty(shape, np.float32)
    with np.errstate(over="ignore"):
        for block in sample_blocks(shape):
            x[block] = values[block]
    return x


def _samples_of(arrays: dict[str, np.ndarray], path: Path) -> np.ndarray:
    keyed = [name for name in _SAMPLE_KEYS if name in arrays]
    names = keyed or [name for name, array in arrays.items() if array.dtype.kind == "f"]
    if len(names) == 1 and _is_number(arrays[names[0]]):
        return arrays[names[0]]
    found = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in arrays.items()) or "nothing"
    raise DataError(str(path), [f"holds {found}; expected one array of floats, or the samples under the key x"])


def _is_number(array: np.ndarray) -> bool:
    return array.dtype.kind in "fiu"


def _unreadable(path: Path, error: Exception) -> DataError:
    problem = f"cannot be read as {path.suffix} ({error}); it may be cut short or of another format: write it again"
    if "object" in str(error).lower():
        problem = (
            "holds Python objects, which are not unpickled; store numbers, labels as np.array(labels, dtype=str)"
        )
    return DataError(str(path), [problem])
