"""What the trials of a running sweep have reached: the last epoch of each, and the one whose numbers are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trainables import epoch_log
from trainables.health import Verdict
from trainables.metrics import TEST

Row = Mapping[str, Any]
SHOWN = ("epoch", "verdict", "health/au", "health/kl_raw", "health/codebook_usage")  # of a trial that has ended


class Standing:
    """Rows of the epoch log, by trial; of a trial that has ended no more than is asked for."""

    def __init__(self) -> None:
        self.latest: dict[int, Row] = {}  # the last epoch of every trial
        self.best: dict[int, Row] = {}  # the epoch whose numbers are the trial's
        self._healthy: dict[int, Row] = {}  # the best healthy one, which a later epoch may name after a sick spell

    def hear(self, trial: int, row: Row) -> None:
        """Keep the row, and look which epoch it names as the trial's; what it tells of the test part is of that."""
        self.latest[trial] = row
        best = row.get("best_epoch", row["epoch"])
        if best == row["epoch"] and row.get("verdict") == Verdict.HEALTHY:
            self._healthy[trial] = row
        healthy = self._healthy.get(trial, row)
        self.best[trial] = healthy if healthy["epoch"] == best else row
        if tested := {name: value for name, value in row.items() if name.startswith(TEST)}:
            self.best[trial] = {**self.best[trial], **tested}

    def recall(self, trial: int, rows: Iterable[Row]) -> None:
        """Hear the recorded epochs of a trial."""
        for row in rows:
            self.hear(trial, row)

    def metrics(self, trial: int) -> dict[str, float]:
        """The finite metrics of a trial's best epoch; {} before the first."""
        return epoch_log.finite_metrics(self.best.get(trial, {}))

    def end(self, trial: int) -> dict[str, float]:
        """The trial is over: its metrics; of its last epoch what is shown stays."""
        metrics = self.metrics(trial)
        self._healthy.pop(trial, None)
        if trial in self.latest:
            self.latest[trial] = {name: value for name, value in self.latest[trial].items() if name in SHOWN}
            self.best[trial] = metrics
        return metrics
