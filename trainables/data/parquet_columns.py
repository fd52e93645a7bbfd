"""Columns of (nested) lists as arrays."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_BATCH = 1024
LABELS = ("label", "labels")
GROUPS = ("patient", "patient_id", "group", "source")  # columns of what is never parted, the first that is there
SPLIT = "split"


class Ragged(ValueError):
    """The list at `index` is null (`found` None) or has another length than the first."""

    def __init__(self, index: int, found: int | None, expected: int) -> None:
        self.index, self.found, self.expected = index, found, expected
        super().__init__(f"{'null' if found is None else f'{found} values'}; expected {expected} values")


def is_list(kind: pa.DataType) -> bool:
    """True for the three list types."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def leaf(kind: pa.DataType) -> pa.DataType:
    """The type of the values inside all levels of lists."""
    return leaf(kind.value_type) if is_list(kind) else kind


def batches(file: pq.ParquetFile, column: str) -> Iterator[tuple[slice, pa.Array]]:
    """The rows of one column in pieces: where they are in the file, and the values.

    pyarrow cannot read a null among lists of a fixed size: such a row comes alone, as the last, with its null.
    """
    start = 0
    try:
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH, columns=[column]):
            yield slice(start, start + len(batch)), batch.column(0)
            start += len(batch)
    except pa.ArrowInvalid:
        kind = file.schema_arrow.field(column).type
        if not pa.types.is_fixed_size_list(kind):
            raise
        row = _unreadable_row(file, column, start)
        yield slice(row, row + 1), pa.nulls(1, kind)


def _unreadable_row(file: pq.ParquetFile, column: str, start: int) -> int:
    """The first row from `start` on that cannot be read."""
    first = 0
    for group in range(file.num_row_groups):
        row, first = first, first + file.metadata.row_group(group).num_rows
        if first <= start:
            continue
        try:
            for batch in file.iter_batches(batch_size=1, row_groups=[group], columns=[column]):
                row += len(batch)
        except pa.ArrowInvalid:
            return row
    return start


def to_dense(array: pa.Array) -> np.ndarray:
    """(rows, length, …) from lists of one length; null values become NaN.

    Raises:
        Ragged: naming the first row whose list differs from that of the first row.
    """
    if not is_list(array.type):
        return array.to_numpy(zero_copy_only=False)
    lengths = pc.list_value_length(array)
    known = lengths.drop_null()
    fixed = array.type.list_size if pa.types.is_fixed_size_list(array.type) else 0
    expected = known[0].as_py() if len(known) else fixed
    differs = pc.fill_null(pc.not_equal(lengths, expected), True).to_numpy(zero_copy_only=False)
    if differs.any():
        index = int(differs.argmax())
        raise Ragged(index, lengths[index].as_py(), expected)
    try:
        inner = to_dense(array.flatten())
    except Ragged as error:
        raise Ragged(error.index // max(1, expected), error.found, error.expected) from error
    return inner.reshape(len(array), expected, *inner.shape[1:])


def group_column(columns: Container[str], wanted: str | None) -> str | None:
    """The column that `wanted` names, or without it one that is known to name groups; None if there is none."""
    return next((name for name in ([wanted] if wanted else GROUPS) if name in columns), None)


def to_text(file: pq.ParquetFile, name: str) -> list[str]:
    """A column as text, nulls as ""."""
    return ["" if value is None else str(value) for value in file.read(columns=[name])[name].to_pylist()]


def to_labels(file: pq.ParquetFile) -> list[str] | None:
    """The column `label` or `labels` as text, nulls as ""; None if there is no such column."""
    name = next((name for name in LABELS if name in file.schema_arrow.names), None)
    if name is None:
        return None
    return to_text(file, name)
