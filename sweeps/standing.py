"""What the trials of a running sweep have reached: the last epoch of each, and the one whose numbers are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainables import epoch_log

Row = Mapping[str, Any]


class Standing:
    """Rows of the epoch log, by trial."""

    def __init__(self) -> None:
        self.latest: dict[int, Row] = {}  # the last epoch of every trial
        self.best: dict[int, Row] = {}  # the epoch whose numbers are the trial's
        self._named: dict[int, dict[int, Row]] = {}  # those that were it once, by epoch

    def hear(self, trial: int, row: Row) -> None:
        """Keep the row, if its epoch is the trial's best so far: a later one may name it again after a sick spell."""
        self.latest[trial] = row
        best = row.get("best_epoch", row["epoch"])
        named = self._named.setdefault(trial, {})
        if best == row["epoch"]:
            named[best] = row
        self.best[trial] = named.get(best, row)

    def recall(self, trial: int, rows: Iterable[Row]) -> None:
        """Hear the recorded epochs of a trial."""
        for row in rows:
            self.hear(trial, row)

    def metrics(self, trial: int) -> dict[str, float]:
        """The finite metrics of the trial's best epoch."""
        return epoch_log.finite_metrics(self.best.get(trial, {}))
