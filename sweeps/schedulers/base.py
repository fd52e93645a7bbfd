"""What a scheduler is: it hears every epoch of every trial, and says who goes on, waits, ends, and is taken up again.

A scheduler is pure. The driver of a live sweep (`sweeps.run_state`), its resume (`sweeps.history`) and the replay of
recorded curves (`analysis.replay.simulate`) ask the very same objects, in the same order:

    foretell  earlier sweeps on the same data expect something of a trial that is to start
    resume    a worker is free: who of the waiting takes it? None leaves it to a new trial
    start     a worker begins to train a trial, or goes on with one that waited
    on_epoch  the trial has trained an epoch that is not its last: go on, pause at the checkpoint, stop, or be kept
    end       the trial has trained its last epoch; a stop is one in name
    forget    the trial has failed, or was stopped by hand: it counts for nothing
    given_up  after each of these: the waiting that will not be taken up again, but for controls among them
    settle    nothing runs and nothing is to come: what still waits ends

Paused is not stopped: a paused trial lies at its checkpoint until it is taken up, given up or settled. Trials are
known by number. A start or an epoch may come again, after the death of a worker, and then changes nothing. What a
scheduler decides may depend on what it has decided before and told (a start, an end, a decision that is in the
journal), but of epochs only on those of the trial that is asked about: a resume does not know how those of others lay
between.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sweeps.records.outcomes import Reason
from sweeps.records.ranking import Objective
from sweeps.schedulers.fronts import Scores
from sweeps.schedulers.settings import Settings
from trainables.health import HealthConfig, Verdict, in_kl_grace
from trainables.requirements import Requirement, unmet

RUNG = Reason.RUNG  # of a stop or a pause that is no verdict
GIVEN_UP = Reason.GIVEN_UP


class Action(StrEnum):
    """What becomes of a trial after an epoch."""

    GO_ON = "GO_ON"
    PAUSE = "PAUSE"  # it leaves its worker, and may be taken up again
    STOP = "STOP"
    KEEP = "KEEP"  # it would be stopped, but is a control: it goes on, or waits on


@dataclass(frozen=True)
class Decision:
    """What to do with a trial and why, the latter in one sentence with the numbers; to go on needs none, except where
    it might have had to wait: then the journal has it."""

    action: Action
    reason: Reason = Reason.NONE
    detail: str = ""

    @property
    def stop(self) -> bool:
        """True if the trial ends here."""
        return self.action is Action.STOP

    @property
    def pause(self) -> bool:
        """True if the trial waits."""
        return self.action is Action.PAUSE

    @property
    def keep(self) -> bool:
        """True if the trial is a control that would be stopped."""
        return self.action is Action.KEEP


GO_ON = Decision(Action.GO_ON)


def stop(reason: Reason | Verdict, detail: str) -> Decision:
    """The trial ends."""
    return Decision(Action.STOP, Reason(reason.value), detail)


def pause(detail: str) -> Decision:
    """The trial waits. If it is never taken up again, this is why it ended."""
    return Decision(Action.PAUSE, RUNG, detail)


@dataclass(frozen=True)
class Task:
    """What a scheduler knows of its sweep: the budget in epochs, the metric and its mode (max or min), and the
    share of the budget in which nobody is condemned; the `further` metrics of a sweep that has several, and what a
    trial must meet to be ranked."""

    epochs: int
    metric: str
    mode: str
    grace: float = HealthConfig.grace_share
    further: tuple[Objective, ...] = ()
    requirements: tuple[Requirement, ...] = ()

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """All metrics, the first in front."""
        return (Objective(self.metric, self.mode), *self.further)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of an epoch."""
        metrics = (objective.metric for objective in self.objectives)
        return (*LoggedRow.COLUMNS, *metrics, *(requirement.metric for requirement in self.requirements))

    @property
    def sign(self) -> float:
        """Multiplied by it, larger values are better."""
        return 1.0 if self.mode == "max" else -1.0

    def told(self, score: float) -> str:
        """A score as the metric's value."""
        return f"{self.sign * score:.4g}"

    def named(self, scores: Scores) -> str:
        """All metrics with their values."""
        told = zip(self.objectives, scores, strict=True)
        return ", ".join(f"{one.metric} {one.sign * score:.4g}" for one, score in told)

    @property
    def worse(self) -> str:
        """On which side of another the value of the worse trial lies."""
        return "below" if self.sign > 0 else "above"

    def first_rung(self, grace: float | None) -> int:
        """The epoch that ends a grace of that share of the budget; None: the sweep's own."""
        return max(1, math.ceil((self.grace if grace is None else grace) * self.epochs))


class Row(Protocol):
    """An epoch of a trial, as a scheduler reads it."""

    @property
    def epoch(self) -> int:
        """From 1."""

    @property
    def score(self) -> float:
        """The sweep's first metric, larger is better; NaN where there is none."""

    @property
    def scores(self) -> Scores:
        """All metrics of the sweep, the first in front."""

    @property
    def met(self) -> bool:
        """True if the epoch meets all that is required."""

    @property
    def verdict(self) -> Verdict:
        """Of the trial's health after this epoch."""

    @property
    def verdict_detail(self) -> str:
        """The verdict's sentence."""

    @property
    def kl_rising(self) -> bool:
        """True while the KL weight is below half its final value."""


class LoggedRow:
    """A row of the epoch log as a `Row`. Nothing is read before it is asked for."""

    __slots__ = ("_row", "_task")
    COLUMNS = (
        "epoch",
        "verdict",
        "verdict_detail",
        "schedule/kl_weight",
        "schedule/kl_weight_final",
    )  # and those of the task

    def __init__(self, row: Mapping[str, Any], task: Task) -> None:
        self._row, self._task = row, task

    @property
    def epoch(self) -> int:
        """See `Row`."""
        return int(self._row["epoch"])

    @property
    def score(self) -> float:
        """See `Row`."""
        return self._score(self._task.metric, self._task.sign)

    @property
    def scores(self) -> Scores:
        """See `Row`."""
        return tuple(self._score(one.metric, one.sign) for one in self._task.objectives)

    @property
    def met(self) -> bool:
        """See `Row`."""
        return not unmet(self._task.requirements, self._row)

    @property
    def verdict(self) -> Verdict:
        """See `Row`."""
        return Verdict(self._row.get("verdict") or Verdict.HEALTHY)

    @property
    def verdict_detail(self) -> str:
        """See `Row`."""
        return self._row.get("verdict_detail") or ""

    @property
    def kl_rising(self) -> bool:
        """See `Row`."""
        return in_kl_grace(self._row)

    def _score(self, metric: str, sign: float) -> float:
        value = self._row.get(metric)
        return math.nan if value is None else sign * float(value)


S = TypeVar("S", bound=Settings)


class Scheduler(ABC, Generic[S]):
    """Decides after every epoch of every trial. A subclass names itself and its settings, and gives `decide`.

    Args:
        task: the sweep.
        settings: its own; None for their defaults.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Settings]] = Settings

    def __init__(self, task: Task, settings: S | None = None) -> None:
        self.task = task
        self.settings: S = settings or self.settings_type()  # type: ignore[assignment]
        self.paused: dict[int, Decision] = {}  # who waits, and why
        self.foretold: dict[int, float] = {}  # the place of a trial, 1 for the best, as earlier sweeps have it
        self._heard: dict[int, int] = {}  # the last epoch of every trial

    def foretell(self, trial: int, place: float) -> None:
        """What earlier sweeps on the same data expect of a trial, told before it starts."""
        self.foretold[trial] = place

    def start(self, trial: int, control: bool = False) -> None:
        """A worker begins to train a trial, or goes on with one that waited. `control`: it runs on if condemned."""
        self.paused.pop(trial, None)

    def on_epoch(self, trial: int, row: Row) -> Decision:
        """The decision after an epoch that is not the trial's last."""
        if row.epoch <= self._heard.get(trial, 0):
            return GO_ON
        self._heard[trial] = row.epoch
        decision = self.decide(trial, row)
        if decision.pause:
            self.paused[trial] = decision
        return decision

    @abstractmethod
    def decide(self, trial: int, row: Row) -> Decision:
        """The decision after an epoch that was not heard of before."""

    def end(self, trial: int, row: Row) -> Decision:
        """Hear of the trial's last epoch; a stop is one in name."""
        return GO_ON

    def forget(self, trial: int) -> None:
        """The trial has failed, is condemned, or was stopped by hand: from now on it counts for nothing."""

    def resume(self, unstarted: int) -> int | None:
        """The waiting trial that takes a free worker; None leaves it to a new trial, of which `unstarted` are left.

        Only proposes: the trial waits until `start`.
        """
        return None

    def given_up(self) -> list[tuple[int, Decision]]:
        """Waiting trials that will not be taken up again, each told once: they stop, or are kept as controls."""
        return []

    def settle(self) -> list[tuple[int, Decision]]:
        """Stop all that wait: nothing runs, `resume(0)` is None, so nothing can change any more."""
        waiting = [(trial, replace(decision, action=Action.STOP)) for trial, decision in self.paused.items()]
        for trial, _ in waiting:
            self.leave(trial)
        return waiting

    def leave(self, trial: int) -> None:
        """The trial has ended and waits no more."""
        self.paused.pop(trial, None)

    def pauses(self, trial: int) -> list[int]:
        """The epochs after which the trial, once started, may have to wait: its worker keeps a checkpoint there, and
        at any epoch in which it is condemned."""
        return []
