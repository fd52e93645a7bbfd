"""PASHA, progressive ASHA (Bohdal et al. 2023, "PASHA: Efficient HPO and NAS with Progressive Resource Allocation",
algorithm 1, soft ranking with the noise estimated from the curves).

ASHA by promotion (Li et al. 2020): a trial waits at every rung; a free worker takes up the best of those among the
best 1/η of a rung, highest rung first, otherwise a new trial. At first only the two lowest rungs are in use; another
is added when the trials at the top rung are ranked otherwise than the same trials were at the rung below. Two trials
are told apart only if their scores differ by more than ε: the 90th percentile of the differences, at the top rung, of
the pairs there whose curves crossed at least twice.

The paper trains the winner again from the start, with the whole budget; here the best trial of the highest rung goes
on from its checkpoint when nothing else is left, so that a sweep always has one that trained to its end.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from sweeps.schedulers.asha_stopping import AshaSettings
from sweeps.schedulers.base import GO_ON, Decision, Row, Scheduler, Task, pause
from sweeps.schedulers.rungs import milestones

PERCENTILE = 0.9


class Pasha(Scheduler[AshaSettings]):
    """Promotes from rung to rung, and adds rungs only while they change the ranking."""

    name = "pasha"
    settings_type = AshaSettings

    def __init__(self, task: Task, settings: AshaSettings | None = None) -> None:
        super().__init__(task, settings)
        first = task.first_rung(self.settings.grace)
        self.rungs = [*milestones(task.epochs, self.settings.eta, first), task.epochs]
        self.top = min(1, len(self.rungs) - 1)  # the highest rung in use
        self._at: list[dict[int, float]] = [{} for _ in self.rungs]  # the scores at each
        self._curves: dict[int, list[float]] = {}
        self._level: dict[int, int] = {}  # the rung that a trial is on its way to, or waits at
        self._running: set[int] = set()
        self._finalist: int | None = None

    def start(self, trial: int, control: bool = False) -> None:
        """A new trial is on its way to the lowest rung, one that waited to the next."""
        if trial in self.paused:
            self._level[trial] = len(self.rungs) - 1 if trial == self._finalist else self._level[trial] + 1
        self._level.setdefault(trial, 0)
        self._running.add(trial)
        super().start(trial, control)

    def decide(self, trial: int, row: Row) -> Decision:
        """Wait at the rung."""
        self._curves.setdefault(trial, []).append(row.score)
        level = self._level[trial]
        if row.epoch != self.rungs[level]:
            return GO_ON
        self._reached(trial, level, row.score)
        return pause(f"{self.task.metric} {self.task.told(row.score)} waits at the rung of epoch {row.epoch}")

    def end(self, trial: int, row: Row) -> Decision:
        """It has trained to its end."""
        self._reached(trial, self._level[trial], row.score)
        return GO_ON

    def forget(self, trial: int) -> None:
        """It stands at no rung, and nobody waits for it."""
        self._running.discard(trial)
        for rung in self._at:
            rung.pop(trial, None)

    def resume(self, unstarted: int) -> int | None:
        """The best that may be promoted, from the highest rung down; at the very end the one to be finished."""
        for level in range(self.top - 1, -1, -1):
            ranked = self._ranked(level)
            for trial in ranked[: len(self._at[level]) // self.settings.eta]:
                if self._waits_at(trial, level):
                    return trial
        if unstarted or self._running or self._at[-1]:
            return None
        self._finalist = next(
            (trial for level in range(self.top, -1, -1) for trial in self._ranked(level)
             if self._waits_at(trial, level)), None,
        )  # fmt: skip
        return self._finalist

    def settle(self) -> list[tuple[int, Decision]]:
        """Stop all that wait, with the place that they had in the end."""
        return [(trial, replace(decision, detail=self._place(trial))) for trial, decision in super().settle()]

    def next_pause(self, trial: int) -> int:
        """Its rung."""
        return self.rungs[self._level[trial]]

    def epsilon(self) -> float:
        """Scores at the top rung that differ by no more are equal: their difference is noise."""
        here = self._at[self.top]
        noise = sorted(
            abs(here[one] - here[other])
            for one, other in itertools.combinations(self._ranked(self.top), 2)
            if _crossings(self._curves.get(one, []), self._curves.get(other, [])) >= 2
        )
        return noise[math.ceil(PERCENTILE * len(noise)) - 1] if noise else 0.0

    def _reached(self, trial: int, level: int, score: float) -> None:
        self._running.discard(trial)
        self._at[level][trial] = score
        if level == self.top and level + 1 < len(self.rungs) and not self._ranking_is_stable():
            self.top += 1

    def _ranking_is_stable(self) -> bool:
        """True if at every place of the top rung stands a trial that may stand there at the rung below, too."""
        below, epsilon = self._at[self.top - 1], self.epsilon()
        now = [trial for trial in self._ranked(self.top) if trial in below]
        before = sorted(now, key=below.__getitem__, reverse=True)
        return all(abs(below[one] - below[other]) <= epsilon for one, other in zip(now, before, strict=True))

    def _ranked(self, level: int) -> list[int]:
        """The trials at a rung, the best first, without those whose score is not finite."""
        finite = {trial: score for trial, score in self._at[level].items() if math.isfinite(score)}
        return sorted(finite, key=finite.__getitem__, reverse=True)

    def _waits_at(self, trial: int, level: int) -> bool:
        return trial in self.paused and self._level[trial] == level

    def _place(self, trial: int) -> str:
        level = self._level[trial]
        ranked, told = self._ranked(level), self.task.told(self._at[level][trial])
        place = f"ranked {ranked.index(trial) + 1} of {len(ranked)}" if trial in ranked else "no finite number"
        return f"{self.task.metric} {told} at the rung of epoch {self.rungs[level]}: {place}, not promoted"


def _crossings(one: list[float], other: list[float]) -> int:
    """How often the order of two curves changes."""
    signs = [a > b for a, b in zip(one, other, strict=False) if a != b]
    return sum(before != after for before, after in itertools.pairwise(signs))
