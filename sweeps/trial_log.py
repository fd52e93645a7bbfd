"""The epochs of one trial of a search that a script of the user's own drives.

On disk as soon as they are told, and there again for who goes on with the trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables import epoch_log
from trainables.best import BestEpoch
from trainables.health import Verdict
from trainables.metrics import HYPERPARAMETERS

Row = dict[str, Any]


class TrialLog:
    """What a trial has told so far, what another process has written down of it included.

    Args:
        sweep: the folder.
        trial: its number.
        config: as the journal has it.
        metric, mode: what its epochs are compared by, max or min.

    Raises:
        trainables.epoch_log.LogError: what was written cannot be read.
    """

    def __init__(self, sweep: Path, trial: int, config: Mapping[str, Any], metric: str, mode: str) -> None:
        self._metric, self._mode = metric, mode
        self._take([_told(row) for row in epoch_log.read_trial(sweep, trial)])
        self._log = epoch_log.TrialLog(sweep, trial, config)

    @property
    def epoch(self) -> int:
        """The last one; 0 before the first."""
        return int(self.rows[-1]["epoch"]) if self.rows else 0

    @property
    def verdict(self) -> Verdict | None:
        """After the last epoch; None before the first."""
        return Verdict(self.rows[-1]["verdict"]) if self.rows else None

    @property
    def condemned_at(self) -> int | None:
        """The first epoch whose verdict condemns; None while none does."""
        return next((int(row["epoch"]) for row in self.rows if Verdict(row["verdict"]).condemned), None)

    def metrics(self) -> dict[str, float]:
        """The finite metrics of the best epoch; {} before the first."""
        return epoch_log.finite_metrics(epoch_log.best_row(self.rows)) if self.rows else {}

    def add(self, row: Row) -> None:
        """An epoch. Of a trial that has gone back to an earlier one, what came after that is forgotten."""
        if row["epoch"] <= self.epoch:
            self._take([earlier for earlier in self.rows if earlier["epoch"] < row["epoch"]])
        row["best_epoch"] = self._best.consider(row, None)
        self.rows.append(row)
        self._log.append(self.rows)

    def settle(self) -> None:
        """Nothing follows for now: put all epochs into the trial's file."""
        if self.rows:
            self._log.settle(self.rows)

    def _take(self, rows: list[Row]) -> None:
        self.rows, self._best = rows, BestEpoch(self._metric, self._mode)
        for row in rows:
            self._best.consider(row, None)


def _told(logged: Row) -> Row:
    """A row of the epoch log as it was told."""
    return {
        name: value
        for name, value in logged.items()
        if value is not None and name != "trial" and not name.startswith(HYPERPARAMETERS)
    }
