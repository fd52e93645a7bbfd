"""Successive halving with early stopping at rungs; pure bookkeeping that knows no Ray.

The stopping form of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"): at a rung a
trial goes on if it is among the best 1/η of the trials that have reached the rung so far. Differences, on purpose:

- a rung stops nobody before η trials have reached it: of fewer, no share of 1/η can be told;
- a value that is not finite is never recorded and never goes on;
- `forget` takes a trial's values out again, so a trial found sick later sets no cutoff;
- trials are compared within a `cohort`: one whose KL weight is still rising is not measured against one whose
  has risen, since the score charges the KL.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass, field

from sweeps.schedulers.base import Row

RISING = "rising KL"  # a cohort


def cohort(row: Row) -> str:
    """Whom a trial is compared with after that epoch: those whose KL weight rises as well, or else the others."""
    return RISING if row.kl_rising else ""


@dataclass(frozen=True)
class RungDecision:
    """Whether the trial goes on; for a stop, the cutoff it missed and the number of trials seen at the rung."""

    go_on: bool
    cutoff: float = math.nan
    seen: int = 0


def milestones(epochs: int, reduction_factor: int, first: int) -> list[int]:
    """The epochs of the rungs: first, first·η, first·η², … below `epochs`."""
    rungs = []
    epoch = first
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= reduction_factor
    return rungs


@dataclass
class Rungs:
    """The rungs of one sweep. Larger values are better."""

    epochs: int
    reduction_factor: int = 3
    first: int = 1
    _recorded: dict[tuple[int, str], dict[int, float]] = field(default_factory=dict)
    _ranked: dict[tuple[int, str], list[float]] = field(default_factory=dict)  # the same values, ascending

    def __post_init__(self) -> None:
        if self.reduction_factor < 2 or self.first < 1:
            raise ValueError(
                f"reduction_factor={self.reduction_factor}, first={self.first}: expected at least 2 and 1"
            )
        self._milestones = set(milestones(self.epochs, self.reduction_factor, self.first))

    def judge(self, trial: int, epoch: int, value: float, cohort: str = "") -> RungDecision:
        """Record `value` if `epoch` is a rung, and decide."""
        if epoch not in self._milestones:
            return RungDecision(True)
        at = (epoch, cohort)
        rung, ranked = self._recorded.setdefault(at, {}), self._ranked.setdefault(at, [])
        if not math.isfinite(value):
            return RungDecision(False, seen=len(rung))
        self._remove(at, trial)
        rung[trial] = value
        insort(ranked, value)
        if len(ranked) < self.reduction_factor:
            return RungDecision(True, seen=len(ranked))
        cutoff = ranked[-(len(ranked) // self.reduction_factor)]
        return RungDecision(value >= cutoff, cutoff, len(ranked))

    def forget(self, trial: int) -> None:
        """Take every value of `trial` out of the rungs."""
        for at in self._recorded:
            self._remove(at, trial)

    def _remove(self, at: tuple[int, str], trial: int) -> None:
        if trial in self._recorded[at]:
            ranked = self._ranked[at]
            del ranked[bisect_left(ranked, self._recorded[at].pop(trial))]
