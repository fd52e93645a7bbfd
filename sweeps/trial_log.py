"""The epochs of one trial of a search that a script of the user's own drives.

On disk as soon as they are told, and there again for who goes on with the trial: an epoch is a line of a file of its
own until the trial's part of the epoch log, which is rewritten whole, is written again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.records.folder import SweepFolder
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
        self._sweep, self._trial, self._config = sweep, trial, config
        self._metric, self._mode = metric, mode
        self._lines = SweepFolder(sweep).unwritten(trial)
        self._take([*map(_told, epoch_log.read_trial(sweep, trial)), *_read_lines(self._lines)])
        self.write()

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
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        with open(self._lines, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(row, default=float) + "\n")

    def write(self) -> None:
        """Bring the epoch log up to date."""
        if self._lines.exists():
            epoch_log.write(self._sweep, self._trial, self._config, self.rows)
            self._lines.unlink()

    def _take(self, rows: list[Row]) -> None:
        """Have told `rows`, of which a later one replaces all from its epoch on."""
        self.rows: list[Row] = []
        self._best = BestEpoch(self._metric, self._mode)
        for row in rows:
            self.rows = [*(earlier for earlier in self.rows if earlier["epoch"] < row["epoch"]), row]
        for row in self.rows:
            self._best.consider(row, None)


def _told(logged: Row) -> Row:
    """A row of the epoch log as it was told."""
    return {
        name: value
        for name, value in logged.items()
        if value is not None and name != "trial" and not name.startswith(HYPERPARAMETERS)
    }


def _read_lines(path: Path) -> list[Row]:
    """The epochs in a file of lines; the last line is left out if the process died while it wrote it."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
