"""Rows as columns of an Arrow file: written in blocks, found again in its mapping without being read.

Each is a fixed_size_list of float32, int64 or bytes (truth values too), a row a sample, row-major. A file of several
record batches holds a column in as many pieces; one array of all places in the file where a row could begin makes
them rows again, whatever lies between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.data.fields import categories, is_category
from trainables.data.rows import Array, Index, LazyRows, Rows

FIELD = "field/"  # before a field's name


def stored(values: Array) -> Array:
    """As written: bytes, truth values and int64 as they are, all else as float32; no copy if none is needed."""
    kept = values.dtype in (np.uint8, np.int64, np.bool_)
    return np.ascontiguousarray(values, dtype=None if kept else np.float32)


def field_columns(fields: Mapping[str, Rows]) -> dict[str, Rows]:
    """The fields by the name of their column, categories as their places among all of them."""
    return {
        FIELD + name: np.searchsorted(categories(values), np.asarray(values)) if is_category(values) else values
        for name, values in sorted(fields.items())
    }


def to_arrow(values: Array) -> pa.Array:
    """A block of rows (n, …)."""
    rows = stored(values)
    flat = rows.reshape(-1).view(np.uint8) if rows.dtype == np.bool_ else rows.reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), math.prod(rows.shape[1:]))


def described(columns: Mapping[str, Rows]) -> dict[str, Any]:
    """Shape and type of fields, for the header."""
    return {name: [list(rows.shape[1:]), stored(rows[:0]).dtype.name] for name, rows in columns.items()}


def mapped(file: pa.Buffer, batches: Sequence[pa.RecordBatch], name: str, shape: Sequence[int], dtype: Any) -> Rows:
    """The rows of column `name`: an array that is a view of the file where they lie in one piece."""
    pieces = [batch[name].values.to_numpy(zero_copy_only=True) for batch in batches]
    if len(pieces) == 1:
        whole: Array = pieces[0].view(dtype).reshape(-1, *shape)
        return whole
    size, dtype = math.prod(shape), np.dtype(dtype)
    everything = np.frombuffer(file, dtype, count=file.size // dtype.itemsize)
    windows = np.lib.stride_tricks.sliding_window_view(everything, size)
    starts = np.array([(piece.ctypes.data - file.address) // dtype.itemsize for piece in pieces])
    firsts = np.cumsum([0, *(len(piece) // size for piece in pieces)])
    count = int(firsts[-1])

    def read(index: Index) -> Array:
        rows = np.arange(count)[index] if isinstance(index, slice) else np.asarray(index)
        piece = np.searchsorted(firsts, rows, side="right") - 1
        values: Array = windows[starts[piece] + (rows - firsts[piece]) * size]
        return values.reshape(*rows.shape, *shape)

    return LazyRows(read, (count, *shape), dtype)
