"""The numbers that a model's source states for success, against what the trials reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import search_spaces
from analysis import tables
from analysis.sweep import Sweep, Trial
from search_spaces import Target
from sweeps.records.outcomes import Origin, Status


@dataclass(frozen=True)
class Reached:
    """A trial's value of the target's metric; None where there is no such trial, value, or claim for it."""

    value: float
    met: bool


@dataclass(frozen=True)
class Outcome:
    """One target: the best, the documented and the documented "before" trial, and all that trained to their end."""

    target: Target
    best: Reached | None
    documented: Reached | None
    before: Reached | None
    met: int  # of `trials`
    trials: int  # that trained to their end, measured the metric, and for whose configuration the target is stated


@dataclass(frozen=True)
class Count:
    """How many targets a trial meets, of those that are stated for its configuration and were measured."""

    met: int
    measured: int


def stated(sweep: Sweep) -> list[Target]:
    """The targets of the sweep's record; of an older one, those of the model's space if it is known."""
    if sweep.record.targets is not None:
        return sweep.record.targets
    return list(search_spaces.load(sweep.model).targets) if sweep.model in search_spaces.names() else []


def outcomes(sweep: Sweep) -> list[Outcome]:
    """Every stated target that some trial measured."""
    ended = [trial for trial in sweep.trials if trial.record.status == Status.FINISHED]
    found = [_outcome(sweep, target, ended) for target in stated(sweep)]
    return [outcome for outcome in found if outcome.trials or outcome.documented or outcome.before]


def count(sweep: Sweep, trial: Trial) -> Count:
    """How many of the stated targets a trial meets at its best epoch."""
    reached = [one for target in stated(sweep) if (one := _reached(target, trial)) is not None]
    return Count(sum(one.met for one in reached), len(reached))


def _outcome(sweep: Sweep, target: Target, ended: Sequence[Trial]) -> Outcome:
    reached = [one for trial in ended if (one := _reached(target, trial)) is not None]
    named = (tables.best_trial(sweep), sweep.origin(Origin.DOCUMENTED), sweep.origin(Origin.BASELINE))
    best, documented, before = (_reached(target, trial) for trial in named)
    return Outcome(target, best, documented, before, sum(one.met for one in reached), len(reached))


def _reached(target: Target, trial: Trial | None) -> Reached | None:
    if trial is None or target.metric not in trial.metrics or not target.applies(trial.record.config):
        return None
    value = trial.metric(target.metric)
    return Reached(value, target.met(value))
