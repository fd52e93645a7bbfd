"""A sweep as the analysis sees it: its record, its trials folded from the journal, its epoch log."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweeps.records import journal, ranking
from sweeps.records import record as records
from sweeps.records.folder import SweepFolder, sweeps_in
from sweeps.records.journal import SweepState, TrialRecord
from sweeps.records.outcomes import Outcome, Status, outcome
from sweeps.records.ranking import Objective
from sweeps.records.record import ParameterRecord, RecordError, SweepRecord
from trainables import epoch_log
from trainables.health import HealthConfig, Verdict
from trainables.metrics import HYPERPARAMETERS, is_metric
from trainables.requirements import Requirement, unmet

# Of the epoch log: the journal knows them too, and reading takes a while.
_NOT_READ = (HYPERPARAMETERS, "time/", "memory/", epoch_log.BY_DIMENSION)


class SweepError(ValueError):
    """A sweep that does not exist or cannot be read; the message says what to do."""


@dataclass(frozen=True)
class Trial:
    """One trial: its journal record and the end of its epoch log."""

    record: TrialRecord
    outcome: Outcome
    epochs: int = 0  # trained
    metrics: dict[str, float] = field(default_factory=dict)  # of `best_epoch`; NaN and infinities kept
    best_epoch: int = 0  # the best healthy one; the last of a trial that ended sick
    verdict: Verdict | None = None  # of the last epoch
    verdict_detail: str = ""
    unmet: tuple[str, ...] = ()  # what it misses of what is required
    condemned_at: int | None = None  # the first epoch with a verdict that condemns

    @property
    def number(self) -> int:
        """The trial's number, from 1."""
        return self.record.trial

    @property
    def healthy(self) -> bool:
        """True for a trial that trained for its whole budget and was healthy at its end."""
        return self.record.status == Status.FINISHED and self.verdict == Verdict.HEALTHY

    @property
    def ranked(self) -> bool:
        """True for a healthy trial that meets all that the sweep requires."""
        return self.healthy and not self.unmet

    def metric(self, name: str) -> float:
        """A metric of the trial's best epoch; NaN if it has none."""
        return self.metrics.get(name, math.nan)

    def measured(self, *names: str) -> bool:
        """True if every one of these metrics ended finite."""
        return all(math.isfinite(self.metric(name)) for name in names)


@dataclass(frozen=True)
class Sweep:
    """A sweep's folder, read once. `log` is sorted by trial and epoch, without hyperparameters, times and memory."""

    folder: Path
    record: SweepRecord
    state: SweepState
    trials: list[Trial]
    log: pa.Table
    problems: tuple[str, ...] = ()  # files and lines that could not be read and are left out

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.record.name

    @property
    def model(self) -> str:
        """The model's name."""
        return self.record.model

    @property
    def epochs(self) -> int:
        """The budget of a trial."""
        return self.record.config.epochs

    @property
    def objectives(self) -> list[Objective]:
        """What the sweep searches by; trials are ranked by the first."""
        return ranking.objectives(self.record.config.metric, self.record.config.mode)

    @property
    def ended(self) -> bool:
        """False while the sweep runs, and for ever if its driver was killed."""
        return self.state.status.ended

    @property
    def health(self) -> HealthConfig:
        """The thresholds the trials were judged by."""
        return self.record.health

    @property
    def parameters(self) -> dict[str, ParameterRecord]:
        """The search space as recorded, by name."""
        return {parameter.name: parameter for parameter in self.record.space}

    @property
    def notes(self) -> dict[str, list[str]]:
        """What the user should know of the data and of the model; records of older programs have none."""
        return self.record.notes

    def origin(self, origin: str) -> Trial | None:
        """The trial of that origin: `documented` or `baseline`."""
        return next((trial for trial in self.trials if trial.record.origin == origin), None)

    def measured(self, *names: str) -> bool:
        """True if a trial ended with every one of these metrics finite."""
        return any(trial.measured(*names) for trial in self.trials)

    def curve(self, metric: str) -> dict[int, np.ndarray]:
        """A metric's course by trial number: (epochs, 2) with epoch and value; trials without it are left out."""
        if metric not in self.log.column_names or self.log.num_rows == 0:
            return {}
        points = np.column_stack([self._column("epoch"), self._column(metric)])
        curves = np.split(points, self._starts[1:])
        trials = self._column("trial")[self._starts].astype(int)
        return {
            int(trial): curve for trial, curve in zip(trials, curves, strict=True) if np.isfinite(curve[:, 1]).any()
        }

    @cached_property
    def condemned_epochs(self) -> np.ndarray:
        """Trial and epoch (n, 2) of every verdict that condemns, sorted."""
        return _condemned(self.log)

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.unique(self._column("trial"), return_index=True)[1]

    def _column(self, name: str) -> np.ndarray:
        return self.log[name].cast(pa.float64()).to_numpy()


def find(name: str, storage: Path) -> Path:
    """The folder of the sweep called `name` in `storage`, or at the path `name`.

    Raises:
        SweepError: there is none; the message lists the sweeps that are there.
    """
    for folder in (storage / name, Path(name)):
        if SweepFolder(folder).exists:
            return folder
    present = [each.path.name for each in sweeps_in(storage)]
    listed = f"sweeps there: {', '.join(present)}" if present else "there is no sweep there"
    raise SweepError(f"no sweep '{name}' in {storage}; {listed}")


def load(folder: Path) -> Sweep:
    """Read a sweep in whatever state it is: planned, running, killed or finished.

    Raises:
        SweepError: the record cannot be read.
    """
    try:
        record = records.read(folder)
    except RecordError as error:
        raise SweepError(str(error)) from None
    state, required = journal.read(folder), record.config.requirements
    log, problems = _read_log(folder)
    (ends, best), condemned = _last_and_best_rows(log), _first_condemned(log)
    ended = state.status.ended
    trials = [
        _trial(trial, ends.get(number), best.get(number), condemned.get(number), ended, required)
        for number, trial in sorted(state.trials.items())
    ]
    unread = [f"{SweepFolder(folder).record}: {name} is not known here" for name in record.unread]
    return Sweep(folder, record, state, trials, log, (*unread, *state.problems, *problems))


def _read_log(folder: Path) -> tuple[pa.Table, list[str]]:
    """Every file of the epoch log that can be read, and a line for each that cannot; each is opened once: for
    thousands of them that is what takes the time."""
    files = epoch_log.files(folder)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = list(threads.map(_read_file, files))
    problems = [each for each in found if isinstance(each, str)]
    tables = [each for each in found if not isinstance(each, str)]
    if not tables:
        return epoch_log.empty(), problems
    log = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    trials, epochs = (log[name].to_numpy().astype(np.int64) for name in ("trial", "epoch"))
    steps, turns = np.diff(epochs), np.diff(trials)
    if ((turns > 0) | ((turns == 0) & (steps > 0))).all():
        return log, problems
    return log.sort_by([("trial", "ascending"), ("epoch", "ascending")]), problems


def _read_file(path: Path) -> pa.Table | str:
    try:
        return epoch_log.read_file(path, _NOT_READ)
    except epoch_log.LogError as error:
        return f"{error}; it is left out"


def _last_and_best_rows(log: pa.Table) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """By trial, the row of its last epoch and that of the epoch whose numbers are its own; epochs have no gaps."""
    last = np.flatnonzero(np.diff(log["trial"].to_numpy(), append=-1))
    best = last
    if "best_epoch" in log.column_names:
        since = np.nan_to_num((log["epoch"].to_numpy() - log["best_epoch"].cast(pa.float64()).to_numpy())[last])
        best = last - since.astype(np.int64)
    ends, bests = (log.take(pa.array(rows)).to_pylist() for rows in (last, best))
    return {row["trial"]: row for row in ends}, {row["trial"]: row for row in bests}


def _condemned(log: pa.Table) -> np.ndarray:
    condemning = pa.array([verdict.value for verdict in Verdict if verdict.condemned])
    found = pc.is_in(log["verdict"], condemning).to_numpy(zero_copy_only=False)
    return np.column_stack([log[name].to_numpy()[found] for name in ("trial", "epoch")])


def _first_condemned(log: pa.Table) -> dict[int, int]:
    trials, epochs = _condemned(log).T
    trials, first = np.unique(trials, return_index=True)
    return dict(zip(trials.tolist(), epochs[first].tolist(), strict=True))


def _trial(
    record: TrialRecord,
    row: Mapping[str, Any] | None,
    best: Mapping[str, Any] | None,
    condemned_at: int | None,
    sweep_ended: bool,
    required: Sequence[Requirement],
) -> Trial:
    told = {name: value for name, value in record.metrics.items() if is_metric(name)}
    if row is None or best is None:
        return Trial(record, outcome(record.status, record.reason, None, False, sweep_ended), record.epoch, told)
    verdict = Verdict(row["verdict"]) if row["verdict"] is not None else None
    metrics = told | {key: best[key] for key in best if is_metric(key) and best[key] is not None}
    missed, control = unmet(required, metrics), record.control and condemned_at is not None
    return Trial(
        record,
        outcome(record.status, record.reason, verdict, control, sweep_ended, not missed),
        epochs=row["epoch"],
        metrics=metrics,
        unmet=tuple(missed),
        best_epoch=best["epoch"],
        verdict=verdict,
        verdict_detail=row["verdict_detail"] or "",
        condemned_at=condemned_at,
    )


def counts(trials: Sequence[Trial]) -> dict[Outcome, int]:
    """Trials by outcome, in the order of `Outcome`, without the outcomes that do not occur."""
    found = [trial.outcome for trial in trials]
    return {kind: found.count(kind) for kind in Outcome if kind in found}
