"""A sweep's folder for a search that somebody else drives: a Ray or an Optuna script of the user's own.

Journal, epoch log and record are those of a sweep of ours, so that `python -m analysis report|replay FOLDER` reads it
and `python -m sweeps.tracking FOLDER` sends it to MLflow. Whole at any time, whenever the script dies; the same
search goes on with it, and several of its processes write it at once. No Ray, no Optuna.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from sweeps.config import SweepConfig
from sweeps.records import journal, lock, ranking, record
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Event, Paused, Started, Suggested, SweepEvent, TrialRecord
from sweeps.records.outcomes import Origin, Reason, Status, SweepStatus
from sweeps.records.record import DataRecord, RecordError, SweepRecord
from sweeps.records.writers import Writer
from sweeps.tracking.process import default_uri
from sweeps.trial_log import TrialLog
from trainables import epoch_log
from trainables.data.unprepared import Unprepared
from trainables.health import HealthConfig, Verdict
from trainables.metrics import is_metric

_TOLD = ("epoch", "verdict", "verdict_detail")
_CUT_OFF = {  # what becomes of a trial that has not ended, by how it stands
    Status.PAUSED: ("waiting", Reason.SIGNAL),
    Status.INTERRUPTED: ("its process died", Reason.DRIVER_LOST),
}


class RecorderError(ValueError):
    """The folder cannot be written, or what is to be recorded is no epoch; the message says what to do."""


class Search(Protocol):
    """The search that is recorded, as it knows itself again after an interruption and in another process."""

    def begins(self) -> str:
        """The id of its sweep, which begins now."""

    def wrote(self, sweep: str) -> bool:
        """True if it began the sweep of that id."""


class Recorder:
    """Writes down what an outsider's search does.

    Args:
        folder: of the sweep; one that is there already has to be of the same search, which then goes on.
        search: whose it is.
        epochs: the budget of a trial.
        metric, mode: what trials are ranked by, max or min.
        health: the thresholds of the verdict.
        scheduler: its name, for the report.

    Raises:
        RecorderError: the folder has another sweep, or the search had other settings when it began.
    """

    def __init__(
        self,
        folder: Path,
        search: Search,
        *,
        epochs: int,
        metric: str,
        mode: str,
        health: HealthConfig,
        scheduler: str,
    ) -> None:
        self.folder, self._metric, self._mode = folder.resolve(), metric, mode
        self._logs: dict[int, TrialLog] = {}  # of the trials that this process runs
        self._standing: dict[int, Status] = {}
        self._writer = Writer(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        started = _started(self.folder, epochs, metric, mode, health, scheduler)
        with self._alone():
            if SweepFolder(self.folder).exists:
                _require_same(folder, started, search)
                event = None if self._writer.others() else SweepEvent(SweepStatus.RESUMED)
            else:
                record.write(replace(started, id=search.begins()), self.folder)
                event = SweepEvent(SweepStatus.STARTED)
            self._writer.enter()
            if event is not None:
                self._append(event)
        self.recorded = {trial.name: trial for trial in journal.read(self.folder).trials.values()}
        atexit.register(self.close)

    def suggested(self, trial: int, name: str, config: Mapping[str, Any], control: bool) -> None:
        """There is a trial, numbered from 1, which the search calls `name`, with that configuration."""
        self._tell(Suggested(trial, plain(config), Origin.SEARCH, control=control, name=name))
        self._take_up(trial, plain(config))

    def started(self, trial: int) -> None:
        """It begins, or goes on after a pause or a fault; told again it changes nothing."""
        if trial not in self._logs:
            self._take_up(trial, journal.read(self.folder).trials[trial].config)
        if self._standing[trial] is not Status.RUNNING:
            self._standing[trial] = Status.RUNNING
            self._tell(Started(trial))

    def paused(self, trial: int, reason: Reason, detail: str) -> None:
        """It waits."""
        self._standing[trial] = Status.PAUSED
        self._tell(Paused(trial, self._logs[trial].epoch, reason, detail))

    def epoch(self, trial: int, result: Mapping[str, Any], seconds: float, control: bool) -> None:
        """A row of `trainables.monitor.Monitor`, with whatever else; `seconds`: since the trial began."""
        self.started(trial)
        row = {
            name: value
            for name, value in result.items()
            if name in _TOLD or is_metric(name) or name.startswith(epoch_log.BY_DIMENSION)
        }
        self._logs[trial].add(row | {"seed": 0, "control": control, "seconds": seconds})

    def ended(self, trial: int, status: Status, reason: Reason = Reason.NONE, detail: str = "") -> None:
        """It will not go on; what comes after the first end changes nothing."""
        if trial in self._logs:
            self._tell(self._end(trial, status, reason, detail))

    def log(self, trial: TrialRecord) -> TrialLog:
        """What is written down of a trial that this process does not run."""
        return TrialLog(self.folder, trial.trial, trial.config, self._metric, self._mode)

    def close(self) -> None:
        """This process writes no more, at its end at the latest; the search is over if no other one does."""
        atexit.unregister(self.close)
        with self._alone():
            self._writer.leave()
            last = not self._writer.others()
            if last:
                self.adopt()
            for trial, status in list(self._standing.items()):
                what, reason = _CUT_OFF.get(status, ("cut off", Reason.SIGNAL))
                detail = f"{what} after epoch {self._logs[trial].epoch}"
                self._append(self._end(trial, Status.INTERRUPTED, reason, detail))
            if last:
                self._append(SweepEvent(SweepStatus.FINISHED, best=self._best()))

    @property
    def live(self) -> list[int]:
        """The trials of this process that have not ended."""
        return list(self._logs)

    def adopt(self) -> None:
        """Take for one's own the trials that a process has left behind; none while another process writes here."""
        if self._writer.others():
            return
        for trial in journal.read(self.folder).trials.values():
            if trial.status in (Status.PENDING, Status.RUNNING, Status.PAUSED) and trial.trial not in self._logs:
                self._take_up(trial.trial, trial.config, Status.INTERRUPTED)

    def _take_up(self, trial: int, config: Mapping[str, Any], standing: Status = Status.PENDING) -> None:
        self._logs[trial] = TrialLog(self.folder, trial, config, self._metric, self._mode)
        self._standing[trial] = standing

    def _end(self, trial: int, status: Status, reason: Reason, detail: str) -> Ended:
        """What the journal is told of it; its epochs are all in the log now."""
        del self._standing[trial]
        log = self._logs.pop(trial)
        log.settle()
        return Ended(trial, status, reason, detail, log.epoch, log.metrics())

    def _best(self) -> int | None:
        """Of the trials that finished healthy."""
        scores = {
            number: [trial.metrics[self._metric]]
            for number, trial in journal.read(self.folder).trials.items()
            if trial.status is Status.FINISHED and self._metric in trial.metrics and self._healthy(trial)
        }
        return ranking.best(ranking.objectives([self._metric], [self._mode]), scores)

    def _healthy(self, trial: TrialRecord) -> bool:
        """False as well where its log is damaged, as the report has it."""
        try:
            return self.log(trial).verdict is Verdict.HEALTHY
        except epoch_log.LogError:
            return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Among the processes that write here."""
        with lock.exclusive(SweepFolder(self.folder).recorder_lock, wait=True):
            yield

    def _tell(self, event: Event) -> None:
        with self._alone():
            self._append(event)

    def _append(self, event: Event) -> None:
        """To the journal, without the line that a process may have died in."""
        journal.Journal(self.folder).append(event)


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


def _require_same(folder: Path, started: SweepRecord, search: Search) -> None:
    """Refuse a folder that the search has not begun, or begun with other settings.

    Raises:
        RecorderError: with all that differs.
    """
    where = f"folder={str(folder)!r}"
    try:
        found = record.read(folder)
    except RecordError as error:
        raise RecorderError(f"{where}: {error}") from None
    if not search.wrote(found.id):
        raise RecorderError(
            f"{where}: there is a sweep in it already; choose another folder. Only the search that began it goes on "
            "with it: Tuner.restore(…), or the same Optuna study in a storage (load_if_exists=True)"
        )
    settings = [
        ("epochs", found.config.epochs, started.config.epochs),
        ("metric", found.config.metric, started.config.metric),
        ("mode", found.config.mode, started.config.mode),
        ("health", found.health, started.health),
    ]
    differing = [f"{name} was {was}, is now {now}" for name, was, now in settings if was != now]
    if differing:
        raise RecorderError(
            f"{where}: the search began with other settings; choose another folder: {'; '.join(differing)}"
        )


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
