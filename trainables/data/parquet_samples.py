"""Parquet with a row per sample: one column of lists, and perhaps label.

Nested lists give the shape themselves: rows of columns of channels, or positions of channels. A flat list is
6 × 6 × 512, or has the shape that the metadata of the column or of the file name under `shape`: "4,4,4".
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as pq

from trainables.data.arrays import ask_about_channels_first, grid_shape
from trainables.data.errors import DataError
from trainables.data.parquet_columns import SPLIT, Ragged, batches, group_column, to_dense, to_labels, to_text
from trainables.data.samples import Samples
from trainables.data.splitting import part_names

DOCUMENTED_SHAPE = (6, 6, 512)
_SHAPE_KEY = b"shape"


def read_rows(file: pq.ParquetFile, column: str, source: str, group: str | None) -> Samples:
    """The samples, in the order of the file.

    Raises:
        DataError: the file has no rows, rows differ in shape, or the shape of flat lists is not known.
    """
    x: np.ndarray | None = None
    for rows, array in batches(file, column):
        try:
            batch = to_dense(array)
        except Ragged as error:
            raise DataError(
                source, [f"sample {rows.start + error.index}: column {column!r} holds {error}"]
            ) from error
        if x is None:
            x = np.empty((file.metadata.num_rows, *batch.shape[1:]), np.float32)
        if batch.shape[1:] != x.shape[1:]:
            problem = f"sample {rows.start}: column {column!r} holds values of shape {batch.shape[1:]}"
            raise DataError(source, [f"{problem}; expected {x.shape[1:]} as in sample 0"])
        with np.errstate(over="ignore"):
            x[rows] = batch
    if x is None:
        raise DataError(source, ["the file has no rows; expected one per sample"])
    ask_about_channels_first(x.shape, source)
    if x.ndim == 2:
        x = x.reshape(-1, *_flat_shape(file, column, x.shape[1], source))
    by = group_column(file.schema_arrow.names, group)
    return Samples(
        x.reshape(grid_shape(x.shape, source)),
        source,
        to_labels(file),
        groups=None if by is None else to_text(file, by),
        grouped_by="" if by is None else f"the column {by}",
        given=part_names(to_text(file, SPLIT), source) if SPLIT in file.schema_arrow.names else None,
    )


def _flat_shape(file: pq.ParquetFile, column: str, length: int, source: str) -> tuple[int, ...]:
    schema = file.schema_arrow
    stated = (schema.field(column).metadata or {}).get(_SHAPE_KEY) or (schema.metadata or {}).get(_SHAPE_KEY)
    if stated is None:
        if length == math.prod(DOCUMENTED_SHAPE):
            return DOCUMENTED_SHAPE
        problem = (
            f"column {column!r} holds flat lists of {length} values and the grid's shape is unknown; nest the lists "
            "(rows of columns of channels) or write the shape into the file's metadata, with pyarrow: "
            'table.replace_schema_metadata({"shape": "4,4,4"})'
        )
        raise DataError(source, [problem])
    text = stated.decode(errors="replace")
    parts = [part.strip() for part in text.strip("[]()").split(",")]
    shape = tuple(int(part) for part in parts if part.isdecimal())
    if len(shape) != len(parts) or math.prod(shape) != length:
        problem = f"metadata 'shape' is {text!r}, column {column!r} holds lists of {length} values"
        raise DataError(source, [f'{problem}; expected "rows,cols,channels" with that product, such as "4,4,4"'])
    return shape
