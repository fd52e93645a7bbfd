"""ASHA as its paper has it (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2).

A trial waits at every rung. A free worker takes up the best that waits among the best 1/η of a rung, highest rung
first; where there is none, a new trial. The paper has no end of trials: here, when nothing else is left and no trial
has trained to its end, the best at the highest rung does, and whoever else waits ends.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sweeps.schedulers.base import GO_ON, Decision, Row, Scheduler, Task, pause
from sweeps.schedulers.fronts import Scores, finite, ordered
from sweeps.schedulers.rungs import milestones
from sweeps.schedulers.settings import FROM_TWO, SHARE_OF_BUDGET, Settings, setting


@dataclass(frozen=True)
class AshaSettings(Settings):
    """Where the rungs lie and who goes on at them."""

    eta: int = setting(FROM_TWO, 3)
    """Of the trials at a rung, one in eta goes on; the next rung is eta times as far."""
    grace: float | None = setting(SHARE_OF_BUDGET, None)
    """The share of the budget at which the first rung lies; as for the health verdict if not given."""


@dataclass
class Rung:
    """The trials that have reached a rung, the best first, of several metrics front by front; larger scores are
    better.

    Scores that are not finite are known, and never ranked.
    """

    scores: dict[int, Scores] = field(default_factory=dict)
    _ranked: list[int] | None = field(default_factory=list)  # None: to be sorted anew

    def reached(self, trial: int, scores: Scores) -> None:
        """The trial stands here with these scores, whatever it had before."""
        self.forget(trial)
        self.scores[trial] = scores
        if not finite(scores):
            return
        if len(scores) == 1 and self._ranked is not None:
            insort(self._ranked, trial, key=lambda other: (-self.scores[other][0], other))
        else:
            self._ranked = None

    def forget(self, trial: int) -> None:
        """The trial does not stand here."""
        scores = self.scores.pop(trial, ())
        if len(scores) > 1:
            self._ranked = None
        elif scores and finite(scores) and self._ranked is not None:
            self._ranked.remove(trial)

    def ranked(self) -> list[int]:
        """The trials with finite scores, the best first."""
        if self._ranked is None:
            self._ranked = ordered({trial: scores for trial, scores in self.scores.items() if finite(scores)})
        return self._ranked

    def promotable(self, eta: int, waits: Callable[[int], bool]) -> int | None:
        """The best that waits among the best 1/η of those that stand here."""
        return next(filter(waits, self.ranked()[: len(self.scores) // eta]), None)


class Asha(Scheduler[AshaSettings]):
    """Promotes from rung to rung."""

    name = "asha"
    settings_type = AshaSettings

    def __init__(self, task: Task, settings: AshaSettings | None = None) -> None:
        super().__init__(task, settings)
        first = task.first_rung(self.settings.grace)
        self.rungs = [*milestones(task.epochs, self.settings.eta, first), task.epochs]
        self.at = [Rung() for _ in self.rungs]
        self.top = len(self.rungs) - 1  # nobody is promoted further than this rung
        self.level: dict[int, int] = {}  # the rung that a trial is on its way to, or waits at
        self._running: set[int] = set()
        self._finalist: int | None = None

    def start(self, trial: int, control: bool = False) -> None:
        """A new trial is on its way to the lowest rung, one that waited to the next, the finalist to its end."""
        if trial in self.paused:
            self.level[trial] = len(self.rungs) - 1 if trial == self._finalist else self.level[trial] + 1
        self.level.setdefault(trial, 0)
        self._running.add(trial)
        super().start(trial, control)

    def decide(self, trial: int, row: Row) -> Decision:
        """Wait at the rung."""
        level = self.level[trial]
        if row.epoch != self.rungs[level]:
            return GO_ON
        self._reached(trial, level, row.scores)
        return pause(f"{self.task.named(row.scores)} waits at the rung of epoch {row.epoch}")

    def end(self, trial: int, row: Row) -> Decision:
        """It has trained to its end."""
        self._reached(trial, len(self.rungs) - 1, row.scores)
        return GO_ON

    def forget(self, trial: int) -> None:
        """It stands at no rung."""
        self._running.discard(trial)
        for rung in self.at:
            rung.forget(trial)

    def resume(self, unstarted: int) -> int | None:
        """The best that may be promoted, from the highest rung down; at the very end the one to be finished."""
        for level in range(self.top - 1, -1, -1):
            if (trial := self.at[level].promotable(self.settings.eta, self._waiting_at(level))) is not None:
                return trial
        if unstarted or self._running or self.at[-1].scores:
            return None
        self._finalist = next(
            (
                trial
                for level in range(self.top, -1, -1)
                for trial in filter(self._waiting_at(level), self.at[level].ranked())
            ),
            None,
        )
        return self._finalist

    def settle(self) -> list[tuple[int, Decision]]:
        """Stop all that wait, with the place that they had in the end."""
        return [(trial, replace(decision, detail=self._place(trial))) for trial, decision in super().settle()]

    def pauses(self, trial: int) -> list[int]:
        """Its rung."""
        return [self.rungs[self.level[trial]]]

    def _reached(self, trial: int, level: int, scores: Scores) -> None:
        self._running.discard(trial)
        self.at[level].reached(trial, scores)

    def _waiting_at(self, level: int) -> Callable[[int], bool]:
        return lambda trial: trial in self.paused and self.level[trial] == level

    def _place(self, trial: int) -> str:
        level = self.level[trial]
        ranked, told = self.at[level].ranked(), self.task.named(self.at[level].scores[trial])
        how = "front by front " if self.task.further else ""
        place = f"{how}ranked {ranked.index(trial) + 1} of {len(ranked)}" if trial in ranked else "no finite number"
        return f"{told} at the rung of epoch {self.rungs[level]}: {place}, not promoted"
