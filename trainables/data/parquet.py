"""Grids from Parquet: which column holds the embeddings, and which of the two layouts the file has."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.errors import DataError
from trainables.data.parquet_columns import is_list, leaf
from trainables.data.parquet_nodes import PLACE, read_nodes
from trainables.data.parquet_samples import read_rows
from trainables.data.samples import Samples


def read_parquet(path: Path, group: str | None) -> Samples:
    """A file with a row per node if it has a column `row` or `col`, else with a row per sample.

    Args:
        path: of the file.
        group: the column of what is never parted, if it is one; see `trainables.data.parquet_columns.GROUPS`.

    Raises:
        DataError: it cannot be read, or is neither.
    """
    try:
        with pq.ParquetFile(path) as file:
            column = _embedding_column(file.schema_arrow, str(path))
            if {"row", "col"} & set(file.schema_arrow.names):
                return read_nodes(file, column, str(path), group)
            return read_rows(file, column, str(path), group)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read as Parquet ({error}); it may be cut short or damaged: write it again"
        raise DataError(str(path), [problem]) from error


def _embedding_column(schema: pa.Schema, source: str) -> str:
    names = [field.name for field in schema if is_list(field.type) and pa.types.is_floating(leaf(field.type))]
    if len(names) == 1:
        return names[0]
    if names:
        raise DataError(source, [f"the columns {', '.join(names)} all hold lists of floats; keep one of them"])
    found = ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"
    expected = f"expected one that holds lists of floats, the embeddings, beside {', '.join(PLACE)}"
    raise DataError(source, [f"the columns are {found}; {expected}"])
