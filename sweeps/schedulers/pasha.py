"""PASHA, progressive ASHA (Bohdal et al. 2023, "PASHA: Efficient HPO and NAS with Progressive Resource Allocation",
algorithm 1, soft ranking with the noise estimated from the curves).

ASHA (`sweeps.schedulers.asha`) of which at first only the two lowest rungs are in use. Another is added when the
trials at the top rung are ranked otherwise than the same trials were at the rung below. Two trials are told apart
only if their scores differ by more than ε: the 90th percentile of the differences, at the top rung, of the pairs
there whose curves crossed at least twice. Of several metrics the first alone adds a rung; all promote.

The paper trains the winner again from the start, with the whole budget; here the best trial of the highest rung goes
on from its checkpoint when nothing else is left, so that a sweep always has one that trained to its end.
"""

from __future__ import annotations

import itertools
import math

from sweeps.schedulers.asha import Asha, AshaSettings
from sweeps.schedulers.base import Decision, Row, Task
from sweeps.schedulers.fronts import Scores

PERCENTILE = 0.9


class Pasha(Asha):
    """Promotes from rung to rung, and adds rungs only while they change the ranking."""

    name = "pasha"

    def __init__(self, task: Task, settings: AshaSettings | None = None) -> None:
        super().__init__(task, settings)
        self.top = min(1, self.top)
        self._curves: dict[int, list[float]] = {}

    def decide(self, trial: int, row: Row) -> Decision:
        """Wait at the rung."""
        self._curves.setdefault(trial, []).append(row.score)
        return super().decide(trial, row)

    def epsilon(self) -> float:
        """Scores at the top rung that differ by no more are equal: their difference is noise."""
        here = self.at[self.top]
        noise = sorted(
            abs(here.scores[one][0] - here.scores[other][0])
            for one, other in itertools.combinations(here.ranked(), 2)
            if _crossings(self._curves.get(one, []), self._curves.get(other, [])) >= 2
        )
        return noise[math.ceil(PERCENTILE * len(noise)) - 1] if noise else 0.0

    def _reached(self, trial: int, level: int, scores: Scores) -> None:
        super()._reached(trial, level, scores)
        if level == self.top and level + 1 < len(self.rungs) and not self._ranking_is_stable():
            self.top += 1

    def _ranking_is_stable(self) -> bool:
        """True if at every place of the top rung stands a trial that may stand there at the rung below, too."""
        below, epsilon = self.at[self.top - 1].scores, self.epsilon()
        now = [trial for trial in self.at[self.top].ranked() if trial in below]
        before = sorted(now, key=lambda trial: below[trial][0], reverse=True)
        return all(abs(below[one][0] - below[other][0]) <= epsilon for one, other in zip(now, before, strict=True))


def _crossings(one: list[float], other: list[float]) -> int:
    """How often the order of two curves changes."""
    signs = [a > b for a, b in zip(one, other, strict=False) if a != b]
    return sum(before != after for before, after in itertools.pairwise(signs))
