"""Parquet with a row per node: columns sample, row, col, one list of floats, and perhaps label.

The rows may come in any order. Rows and columns of the grid count from 0 or from any other number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.errors import DataError
from trainables.data.parquet_columns import SPLIT, Ragged, batches, group_column, to_dense, to_labels, to_text
from trainables.data.samples import Samples
from trainables.data.splitting import part_names

PLACE = ("sample", "row", "col")
_LISTED = 5  # nodes that a message names
_SPARSE = 4  # a grid this many times larger than the number of nodes is none


@dataclass(frozen=True)
class _Nodes:
    """Where the M nodes of the file belong."""

    ids: np.ndarray  # (N,) samples, sorted
    sample: np.ndarray  # (M,) index into ids
    row: np.ndarray  # (M,)
    col: np.ndarray  # (M,)

    def name(self, node: int) -> str:
        return f"sample {self.ids[self.sample[node]]}, row {self.row[node]}, col {self.col[node]}"


@dataclass(frozen=True)
class _Grid:
    """The grid of all samples; its first node is at (`top`, `left`)."""

    top: int
    left: int
    rows: int
    cols: int

    @property
    def size(self) -> int:
        return self.rows * self.cols

    def position(self, nodes: _Nodes) -> np.ndarray:
        """(M,) row-major position of each node; -1 outside."""
        row, col = nodes.row - self.top, nodes.col - self.left
        inside = (row >= 0) & (row < self.rows) & (col >= 0) & (col < self.cols)
        return np.where(inside, row * self.cols + col, -1)


def read_nodes(file: pq.ParquetFile, column: str, source: str, group: str | None) -> Samples:
    """The samples, in the order of their values in the column `sample`.

    Raises:
        DataError: a column is missing or of another type, nodes are missing, duplicate or outside the grid that
            the others share, or embeddings differ in length.
    """
    nodes = _read_places(file, source)
    grid = _common_grid(nodes, source)
    position = grid.position(nodes)
    _check_complete(nodes, grid, position, source)
    place = nodes.sample * grid.size + position
    values = _read_values(file, column, nodes, place, source)
    labels, notes = _read_labels(file, nodes)
    names = file.schema_arrow.names
    by = group_column(names, group)
    return Samples(
        values.reshape(-1, grid.rows, grid.cols, values.shape[1]),
        source,
        labels,
        list(nodes.ids),
        notes,
        groups=None if by is None else _same_within(file, nodes, by, source),
        grouped_by="" if by is None else f"the column {by}",
        given=part_names(_same_within(file, nodes, SPLIT, source), source) if SPLIT in names else None,
    )


def _read_places(file: pq.ParquetFile, source: str) -> _Nodes:
    schema = file.schema_arrow
    missing = [name for name in PLACE if name not in schema.names]
    problems = [f"column {name!r} is missing, found {', '.join(schema.names)}; rename or add it" for name in missing]
    for name in ("row", "col"):
        if name in schema.names and not pa.types.is_integer(schema.field(name).type):
            problems.append(f"column {name!r} is of type {schema.field(name).type}; expected integers")
    if "sample" not in missing and pa.types.is_nested(schema.field("sample").type):
        problems.append(f"column 'sample' is of type {schema.field('sample').type}; expected integers or text")
    if problems:
        raise DataError(source, problems)
    table = file.read(columns=list(PLACE))
    if not len(table):
        raise DataError(source, ["the file has no rows; expected one per node"])
    nulls = {name: table[name].null_count for name in PLACE if table[name].null_count}
    if nulls:
        problems = [f"column {name!r} is null in {count} rows; expected a value" for name, count in nulls.items()]
        raise DataError(source, problems)
    ids, sample = np.unique(table["sample"].to_numpy(), return_inverse=True)
    row, col = (table[name].to_numpy().astype(np.int64) for name in ("row", "col"))
    return _Nodes(ids, sample, row, col)


def _common_grid(nodes: _Nodes, source: str) -> _Grid:
    """The extent that most samples have."""
    order = np.argsort(nodes.sample, kind="stable")
    starts = np.searchsorted(nodes.sample[order], np.arange(len(nodes.ids)))
    row, col = nodes.row[order], nodes.col[order]
    extremes = [extreme.reduceat(values, starts) for values in (row, col) for extreme in (np.minimum, np.maximum)]
    extents, counts = np.unique(np.stack(extremes, axis=1), axis=0, return_counts=True)
    top, bottom, left, right = (int(value) for value in extents[counts.argmax()])
    grid = _Grid(top, left, bottom - top + 1, right - left + 1)
    if grid.size * len(nodes.ids) > _SPARSE * len(nodes.row):
        problem = (
            f"rows run from {top} to {bottom} and cols from {left} to {right}, but a sample has "
            f"{len(nodes.row) / len(nodes.ids):.3g} nodes; expected consecutive numbers, the place in the grid"
        )
        raise DataError(source, [problem])
    return grid


def _check_complete(nodes: _Nodes, grid: _Grid, position: np.ndarray, source: str) -> None:
    inside = position >= 0
    place = nodes.sample[inside] * grid.size + position[inside]
    counts = np.bincount(place, minlength=len(nodes.ids) * grid.size)
    expected = f"expected {grid.rows} × {grid.cols} nodes in each sample, as most samples have"
    problems = []
    if (counts == 0).any():
        missing = [_name(nodes, grid, place) for place in np.flatnonzero(counts == 0)[:_LISTED]]
        problems.append(f"{(counts == 0).sum()} nodes are missing: {_listed(missing, counts == 0)}; {expected}")
    if (counts > 1).any():
        double = [_name(nodes, grid, place) for place in np.flatnonzero(counts > 1)[:_LISTED]]
        problems.append(
            f"{(counts > 1).sum()} nodes are duplicate: {_listed(double, counts > 1)}; keep one row of each"
        )
    if not inside.all():
        outside = [nodes.name(node) for node in np.flatnonzero(~inside)[:_LISTED]]
        problems.append(f"{(~inside).sum()} nodes lie outside the grid: {_listed(outside, ~inside)}; {expected}")
    if problems:
        raise DataError(source, problems)


def _name(nodes: _Nodes, grid: _Grid, place: int) -> str:
    sample, position = divmod(int(place), grid.size)
    row, col = divmod(position, grid.cols)
    return f"sample {nodes.ids[sample]}, row {row + grid.top}, col {col + grid.left}"


def _listed(names: Sequence[str], found: np.ndarray) -> str:
    return "; ".join(names) + ("; …" if found.sum() > len(names) else "")


def _read_values(file: pq.ParquetFile, column: str, nodes: _Nodes, place: np.ndarray, source: str) -> np.ndarray:
    """(M, D) float32, node i of the file at `place[i]`."""
    values = np.empty((len(place), 0), np.float32)
    for rows, array in batches(file, column):
        try:
            batch = to_dense(array)
        except Ragged as error:
            problem = f"{nodes.name(rows.start + error.index)}: column {column!r} holds {error}"
            raise DataError(source, [problem]) from error
        if batch.ndim != 2:
            raise DataError(source, [f"column {column!r} holds nested lists; expected one list of floats per node"])
        if rows.start == 0:
            values = np.empty((len(place), batch.shape[1]), np.float32)
        if batch.shape[1] != values.shape[1]:
            problem = f"{nodes.name(rows.start)}: column {column!r} holds {batch.shape[1]} values"
            raise DataError(source, [f"{problem}; expected {values.shape[1]} as in {nodes.name(0)}"])
        with np.errstate(over="ignore"):
            values[place[rows]] = batch
    return values


def _same_within(file: pq.ParquetFile, nodes: _Nodes, name: str, source: str) -> list[str]:
    """A column that says the same of all nodes of a sample.

    Raises:
        DataError: it does not.
    """
    values, sample = _of_samples(to_text(file, name), nodes)
    if sample is not None:
        problem = f"column {name!r} differs within sample {sample}; expected one value a sample, or no such column"
        raise DataError(source, [problem])
    return values


def _of_samples(values: Sequence[str], nodes: _Nodes) -> tuple[list[str], object | None]:
    """Of the values of all nodes one a sample; and the first sample that has several, if one does."""
    known, code = np.unique(values, return_inverse=True)
    of_sample = np.empty(len(nodes.ids), np.int64)
    of_sample[nodes.sample] = code
    differs = np.flatnonzero(of_sample[nodes.sample] != code)
    return known[of_sample].tolist(), nodes.ids[nodes.sample[differs[0]]] if differs.size else None


def _read_labels(file: pq.ParquetFile, nodes: _Nodes) -> tuple[list[str] | None, tuple[str, ...]]:
    values = to_labels(file)
    if values is None:
        return None, ()
    labels, sample = _of_samples(values, nodes)
    if sample is not None:
        return None, (f"labels are left out: they differ within a sample (first in sample {sample})",)
    return labels, ()
