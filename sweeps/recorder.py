"""A sweep's folder for a search that somebody else drives: a Ray or an Optuna script of the user's own.

Journal, epoch log and record are those of a sweep of ours, so that `python -m analysis report|replay FOLDER` reads it
and `python -m sweeps.tracking FOLDER` sends it to MLflow. Whole at any time, whenever the script dies. No Ray, no
Optuna.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.config import SweepConfig
from sweeps.records import journal, ranking, record
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Paused, Started, Suggested, SweepEvent
from sweeps.records.outcomes import Origin, Reason, Status, SweepStatus
from sweeps.records.record import DataRecord, SweepRecord
from sweeps.tracking.process import default_uri
from trainables import epoch_log
from trainables.best import BestEpoch
from trainables.data.unprepared import Unprepared
from trainables.health import HealthConfig, Verdict
from trainables.metrics import is_metric

Row = dict[str, Any]
_TOLD = ("epoch", "verdict", "verdict_detail")


class RecorderError(ValueError):
    """The folder cannot be written, or what is to be recorded is no epoch; the message says what to do."""


class Recorder:
    """Writes down what an outsider's search does.

    Args:
        folder: of the sweep; it must not have one.
        epochs: the budget of a trial.
        metric, mode: what trials are ranked by, max or min.
        health: the thresholds of the verdict.
        scheduler: its name, for the report.

    Raises:
        RecorderError: the folder has a sweep already.
    """

    def __init__(
        self, folder: Path, *, epochs: int, metric: str, mode: str, health: HealthConfig, scheduler: str
    ) -> None:
        self.folder, self._metric, self._mode = folder.resolve(), metric, mode
        if SweepFolder(self.folder).exists:
            raise RecorderError(f"folder={str(folder)!r}: there is a sweep in it already; choose another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        record.write(_started(self.folder, epochs, metric, mode, health, scheduler), self.folder)
        self._journal = journal.Journal(self.folder)
        self._logs: dict[int, epoch_log.TrialLog] = {}
        self._rows: dict[int, list[Row]] = {}
        self._best: dict[int, BestEpoch] = {}
        self._live: dict[int, Status] = {}
        self._scores: dict[int, list[float]] = {}  # of the trials that finished healthy
        self._journal.append(SweepEvent(SweepStatus.STARTED))
        atexit.register(self.close)

    def suggested(self, trial: int, config: Mapping[str, Any], control: bool) -> None:
        """There is a trial, numbered from 1, with that configuration."""
        written = plain(config)
        self._logs[trial] = epoch_log.TrialLog(self.folder, trial, written)
        self._rows[trial], self._best[trial] = [], BestEpoch(self._metric, self._mode)
        self._live[trial] = Status.PENDING
        self._journal.append(Suggested(trial, written, Origin.SEARCH, control=control))

    def started(self, trial: int) -> None:
        """It begins, or goes on after a pause or a fault; told again it changes nothing."""
        if self._live.get(trial) is not Status.RUNNING:
            self._live[trial] = Status.RUNNING
            self._journal.append(Started(trial))

    def paused(self, trial: int, reason: Reason, detail: str) -> None:
        """It waits."""
        self._live[trial] = Status.PAUSED
        self._journal.append(Paused(trial, self._epoch(trial), reason, detail))

    def epoch(self, trial: int, result: Mapping[str, Any], seconds: float, control: bool) -> None:
        """A row of `trainables.monitor.Monitor`, with whatever else; `seconds`: since the trial began."""
        self.started(trial)
        row = {
            name: value
            for name, value in result.items()
            if name in _TOLD or is_metric(name) or name.startswith(epoch_log.BY_DIMENSION)
        }
        row |= {"seed": 0, "control": control, "seconds": seconds}
        row["best_epoch"] = self._best[trial].consider(row, None)
        rows = self._rows[trial]
        rows[:] = [*(earlier for earlier in rows if earlier["epoch"] < row["epoch"]), row]
        self._logs[trial].append(rows)

    def ended(self, trial: int, status: Status, reason: Reason = Reason.NONE, detail: str = "") -> None:
        """It will not go on; what comes after the first end changes nothing."""
        if self._live.pop(trial, None) is None:
            return
        self._logs[trial].settle(self._rows[trial])
        metrics = self._metrics(trial)
        self._journal.append(Ended(trial, status, reason, detail, self._epoch(trial), metrics))
        if status is Status.FINISHED and self._metric in metrics and self._healthy(trial):
            self._scores[trial] = [metrics[self._metric]]

    def close(self) -> None:
        """The search is over; at the end of the process at the latest."""
        atexit.unregister(self.close)
        for trial, status in list(self._live.items()):
            detail = f"{'waiting' if status is Status.PAUSED else 'cut off'} after epoch {self._epoch(trial)}"
            self.ended(trial, Status.INTERRUPTED, Reason.SIGNAL, detail)
        best = ranking.best(ranking.objectives([self._metric], [self._mode]), self._scores)
        self._journal.append(SweepEvent(SweepStatus.FINISHED, best=best))

    @property
    def live(self) -> list[int]:
        """The trials that have not ended."""
        return list(self._live)

    def _epoch(self, trial: int) -> int:
        rows = self._rows[trial]
        return int(rows[-1]["epoch"]) if rows else 0

    def _healthy(self, trial: int) -> bool:
        return bool(self._rows[trial][-1]["verdict"] == Verdict.HEALTHY)

    def _metrics(self, trial: int) -> dict[str, float]:
        rows = self._rows[trial]
        if not rows:
            return {}
        return epoch_log.finite_metrics(epoch_log.best_row(rows))


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as the journal holds it: nested names joined by dots, what is no number or name as its text."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": each for inner, each in plain(value).items()}
        elif value is None or isinstance(value, bool | int | float | str):
            found[name] = value
        else:
            found[name] = str(value)
    return found


def _started(folder: Path, epochs: int, metric: str, mode: str, health: HealthConfig, scheduler: str) -> SweepRecord:
    config = SweepConfig(
        model=folder.name,
        name=folder.name,
        storage=str(folder.parent),
        trials=0,
        epochs=epochs,
        seed=0,
        search=record.OUTSIDE,
        scheduler=scheduler,
        metric=[metric],
        mode=[mode],
        tracking_uri=default_uri(folder.parent),
    )
    return record.started(config, DataRecord.of(Unprepared("the data of a script of one's own")), health)
