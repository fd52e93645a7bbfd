"""Samples that are never whole in memory: rows, read and converted a few at a time."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainables.data.blocks import sample_blocks

ON_DISK = Path("/var/tmp")  # where /tmp may be memory
Array = np.ndarray[Any, np.dtype[Any]]
Index = slice | Array  # of rows; an array (n,) of integers


class Rows(Protocol):
    """N values of one shape; a NumPy array (N, …) is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


class LazyRows:
    """Rows that are made when they are asked for.

    Args:
        read: gives the rows (n, …) at an index, of `dtype`.
        shape: (N, …), of all of them.
        dtype: of their values.
    """

    def __init__(self, read: Callable[[Index], Array], shape: Sequence[int], dtype: Any) -> None:
        self._read, self.shape, self.dtype = read, tuple(shape), np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> Array:
        return self._read(index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All rows, in memory."""
        return np.asarray(self[:], dtype)

    def chosen(self, index: Array) -> LazyRows:
        """These rows alone; none is read yet."""
        return LazyRows(lambda at: self._read(index[at]), (len(index), *self.shape[1:]), self.dtype)


def converted(values: Rows, dtype: Any) -> Rows:
    """`values` as `dtype`: itself where it is that already and in memory, else converted where it is read.

    What lies beyond float32 becomes infinite. Pages of a mapped file do not stay in memory once they were read.
    """
    mapping = values if isinstance(values, np.memmap) and values.mode != "c" else None  # "c" is memory of its own
    if values.dtype == dtype and not isinstance(values, np.memmap):
        return values

    def read(index: Index) -> Array:
        with np.errstate(over="ignore"):
            rows: Array = np.array(values[index], dtype, subok=False)
        if mapping is not None:
            release(mapping)
        return rows

    return LazyRows(read, values.shape, dtype)


def dense(matrix: Any) -> LazyRows:
    """A scipy.sparse matrix (N, F) as dense float32 rows."""
    rows = matrix.tocsr()
    return LazyRows(lambda index: rows[index].toarray().astype(np.float32, copy=False), rows.shape, np.float32)


def scratch(shape: Sequence[int], dtype: Any) -> np.memmap[Any, Any]:
    """An array to fill, in a temporary file that goes with it: under TMPDIR, or else where there is a disk.

    Raises:
        OSError: there is no room for it.
    """
    folder = ON_DISK if "TMPDIR" not in os.environ and os.access(ON_DISK, os.W_OK) else None
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size)  # a mapping that finds the disk full ends the process
        return np.memmap(file, dtype, "r+", shape=tuple(shape))


def release(values: np.memmap[Any, Any]) -> None:
    """Let go of the pages of a mapped file; what was written to them is kept in it."""
    pages: mmap.mmap | None = vars(values).get("_mmap")  # None for what was computed from a mapped array
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED)


def moments(x: Rows, index: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (of the population) of every value over the rows at `index`, (…) float64 each.

    One pass in blocks, merged as in Chan, Golub and LeVeque (1983), "Algorithms for Computing the Sample Variance".
    """
    counts = np.zeros(len(x), bool)
    counts[index] = True
    done, mean, squares = 0, np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    for block in sample_blocks(x.shape):
        rows = x[block][counts[block]]
        if not len(rows):
            continue
        here = rows.mean(axis=0, dtype=np.float64)
        shift, whole = here - mean, done + len(rows)
        squares += np.square(rows - here).sum(axis=0) + np.square(shift) * (done * len(rows) / whole)
        mean += shift * (len(rows) / whole)
        done = whole
    return mean, np.sqrt(squares / max(done, 1))
