"""How often is a stop wrong? Told by the trials that trained to their end all the same.

A stop for a verdict is wrong where the trial ends healthy; one for want of a way to the best, where it becomes the
best of its sweep. One sweep has too few controls for a rate: those of all sweeps of the model in the storage are
counted together.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.sweep import Sweep, Trial
from sweeps.records import journal, ranking
from sweeps.records import record as records
from sweeps.records.folder import sweeps_in
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Reason, Status
from sweeps.records.ranking import Objective
from sweeps.records.record import RecordError
from trainables import epoch_log
from trainables.health import Verdict

NORMAL_95 = 1.959963984540054  # quantile of 0.975


@dataclass(frozen=True)
class Control:
    """A trial that trained on to its end after the epoch at which it would have been stopped."""

    trial: Trial
    stop_at: int
    outdone: bool  # it would have been stopped for want of a way to the best, not for a verdict
    false_stop: bool


@dataclass(frozen=True)
class Rate:
    """Of so many trials that were spared a stop, for how many it would have been wrong."""

    wrong: int = 0
    measured: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval; (0, 1) when nothing was measured."""
        return wilson(self.wrong, self.measured)


@dataclass(frozen=True)
class Controls:
    """How many trials of the sweep were `condemned`, how many of them were `stopped`, and those that trained on to
    the end though they would have been stopped before it."""

    condemned: int
    stopped: int
    measured: list[Control]

    @property
    def of_verdicts(self) -> Rate:
        """Stops by the health verdict."""
        return _rate(control.false_stop for control in self.measured if not control.outdone)

    @property
    def of_outdone(self) -> Rate:
        """Stops of trials without a way to the best."""
        return _rate(control.false_stop for control in self.measured if control.outdone)


@dataclass(frozen=True)
class Pooled:
    """The controls of every sweep of a model in a storage."""

    sweeps: int
    of_verdicts: Rate
    of_outdone: Rate


def controls(sweep: Sweep) -> Controls:
    """Every trial that trained on to the end of its budget after it was condemned, whether as a control or because
    nothing stopped it (`--scheduler none`), or after it was given up."""
    condemned = [trial for trial in sweep.trials if trial.condemned_at is not None or stopped_sick(trial)]
    measured = [
        Control(trial, at, False, trial.healthy)
        for trial in condemned
        if trial.record.status == Status.FINISHED and (at := trial.condemned_at) is not None and at < trial.epochs
    ]
    outdone = [
        Control(trial, kept.epoch, True, _is_best(trial.number, sweep.state.trials, sweep.objectives))
        for trial in sweep.trials
        if trial.record.status == Status.FINISHED and (kept := trial.record.kept) and Reason(kept.reason).is_outdone
    ]
    return Controls(len(condemned), sum(map(stopped_sick, condemned)), measured + outdone)


def pooled(folder: Path, model: str) -> Pooled:
    """The controls of the sweeps of `model` that lie beside each other in `folder`. What cannot be read counts for
    nothing; each sweep's own report names it."""
    verdicts, outdone, found = list[bool](), list[bool](), 0
    for sweep in sweeps_in(folder):
        try:
            record = records.read(sweep.path)
        except RecordError:
            continue
        if record.model == model:
            found += 1
            objectives = ranking.objectives(record.config.metric, record.config.mode)
            trials = journal.read(sweep.path).trials
            for trial, told in trials.items():
                if told.kept and told.status is Status.FINISHED and Reason(told.kept.reason).is_outdone:
                    outdone.append(_is_best(trial, trials, objectives))
                elif told.kept and told.status is Status.FINISHED:
                    verdicts.append(_ended_healthy(sweep.path, trial))
    return Pooled(found, _rate(verdicts), _rate(outdone))


def wilson(successes: int, trials: int, z: float = NORMAL_95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (E. B. Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def _rate(wrong: Iterable[bool]) -> Rate:
    found = list(wrong)
    return Rate(sum(found), len(found))


def _is_best(trial: int, trials: Mapping[int, TrialRecord], objectives: Sequence[Objective]) -> bool:
    """Whether it is the best of the trials that trained to their end."""
    scores = {
        number: [record.metrics.get(objective.metric, math.nan) for objective in objectives]
        for number, record in trials.items()
        if record.status is Status.FINISHED
    }
    return ranking.best(objectives, scores) == trial


def _ended_healthy(folder: Path, trial: int) -> bool:
    rows = epoch_log.read_trial(folder, trial)
    return bool(rows) and rows[-1].get("verdict") == Verdict.HEALTHY


def stopped_sick(trial: Trial) -> bool:
    """Whether the trial was stopped by the health verdict."""
    return trial.record.status == Status.STOPPED and trial.record.reason.is_sickness
