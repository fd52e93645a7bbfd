"""Recorded learning curves: complete trials, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from sweeps.records.ranking import Objective
from sweeps.schedulers.base import Task
from trainables.health import Health, HealthConfig
from trainables.metrics import as_trained
from trainables.requirements import Requirement

JUDGED = ("verdict", "verdict_detail", "control")  # what the recorded scheduler made of it


@dataclass(frozen=True, eq=False)
class Curves:
    """The epochs of N complete trials, R rows in all.

    `table` has the columns of `trainables.epoch_log`, sorted by trial and epoch; the epochs of a trial count from 1
    without gaps. `epochs` is the budget of a trial, `health` the thresholds of the recorded verdicts, `notes` what
    a reader of the results must know, `further` the sweep's metrics beside the first, `requirements` what a trial
    must meet to be ranked, `left_out` the number of trials that did not run to their end. A trial is addressed by its
    position (0 … N − 1), an epoch by its row.
    """

    table: pa.Table
    epochs: int
    metric: str
    mode: str  # max or min
    health: HealthConfig = field(default_factory=HealthConfig)
    notes: Sequence[str] = ()
    further: tuple[Objective, ...] = ()
    requirements: tuple[Requirement, ...] = ()
    left_out: int = 0

    def task(self, grace: float) -> Task:
        """What a scheduler knows of the sweep, with that share of the budget as grace."""
        return Task(self.epochs, self.metric, self.mode, grace, self.further, self.requirements)

    @cached_property
    def first(self) -> np.ndarray:
        """The first row of each trial, and R at the end: (N + 1,)."""
        trials = self.table["trial"].to_numpy()
        return np.append(np.flatnonzero(np.diff(trials, prepend=trials[0] - 1)), len(trials))

    @cached_property
    def numbers(self) -> list[int]:
        """The trials' numbers, by position."""
        return self.table["trial"].to_numpy()[self.first[:-1]].tolist()

    @cached_property
    def durations(self) -> np.ndarray:
        """Seconds that each epoch took: (R,)."""
        elapsed = self.table["seconds"].to_numpy()
        durations = np.diff(elapsed, prepend=0.0)
        durations[self.first[:-1]] = elapsed[self.first[:-1]]
        return durations

    @cached_property
    def columns(self) -> Columns:
        """The columns as lists."""
        return Columns(self.table)

    @property
    def sign(self) -> float:
        """Multiplied by it, larger scores are better."""
        return 1.0 if self.mode == "max" else -1.0

    @cached_property
    def scores(self) -> np.ndarray:
        """The metric after each epoch, larger is better, NaN where there is none: (R,)."""
        return self.sign * self.table[self.metric].to_numpy()

    def rows(self, trial: int) -> list[dict[str, Any]]:
        """The metrics of a trial by epoch, as its worker saw them."""
        judged = [name for name in JUDGED if name in self.table.column_names]
        start, end = self.first[trial : trial + 2]
        rows = self.table.drop_columns(judged).slice(start, end - start).to_pylist()
        return [as_trained(row) for row in rows]

    def __len__(self) -> int:
        return len(self.first) - 1


class Verdicts(Protocol):
    """Health by row."""

    def __getitem__(self, at: int) -> Health: ...


class Columns(dict[str, list[Any]]):
    """The columns of a table as lists, converted when first asked for; None where there is no value."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__()
        self._table = table

    @property
    def names(self) -> list[str]:
        """The columns of the table."""
        return self._table.column_names

    def __missing__(self, name: str) -> list[Any]:
        if name not in self.names:
            self[name] = [None] * self._table.num_rows
        elif self._table[name].null_count or not pa.types.is_primitive(self._table[name].type):
            self[name] = self._table[name].to_pylist()
        else:
            self[name] = self._table[name].to_numpy().tolist()
        return self[name]


class Row(Mapping[str, Any]):
    """One epoch as a scheduler reads it: the recorded row, with the verdict of `verdicts`.

    Args:
        columns: of the curves.
        verdicts: the verdict after each epoch, by row.
        at: the row.
    """

    __slots__ = ("_at", "_columns", "_verdicts")

    def __init__(self, columns: Columns, verdicts: Verdicts, at: int) -> None:
        self._columns, self._verdicts, self._at = columns, verdicts, at

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a column, `default` where the epoch has none."""
        if name == "verdict":
            return self._verdicts[self._at].verdict
        if name == "verdict_detail":
            return self._verdicts[self._at].detail
        value = self._columns[name][self._at]
        return default if value is None else value

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._columns.names if self.get(name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
