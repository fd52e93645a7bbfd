"""What trials still gain from an epoch on, as this sweep's own curves tell. Larger scores are better.

All curves are of the best score so far, for that is what a trial is worth.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

import numpy as np


class Gains:
    """The gains of E epochs, from all trials as far as they have been heard, and from those that finished.

    Args:
        epochs: E, the budget of a trial.
    """

    def __init__(self, epochs: int) -> None:
        self._count, self._sum, self._square = np.zeros((3, epochs + 1))
        self._to_go: tuple[np.ndarray, np.ndarray] | None = None
        self._finished: list[list[float]] = [[] for _ in range(epochs + 1)]  # by epoch, sorted
        self.finished = 0

    def hear(self, curve: Sequence[float], first: int) -> None:
        """The epochs `first`, … of a trial's `curve`, which has its best score so far after epochs 1, 2, ….

        Gains from −∞ are left out.
        """
        for epoch in range(max(first, 2), len(curve) + 1):
            gain = curve[epoch - 1] - curve[epoch - 2]
            if math.isfinite(gain):
                self._count[epoch] += 1
                self._sum[epoch] += gain
                self._square[epoch] += gain * gain
        self._to_go = None

    def finish(self, curve: Sequence[float]) -> None:
        """A trial has ended healthy: what it gained from every epoch on."""
        for epoch, score in enumerate(curve, 1):
            insort(self._finished[epoch], curve[-1] - score)
        self.finished += 1

    def to_go(self, epoch: int) -> tuple[float, float]:
        """Mean and standard deviation of what a trial gains after `epoch`, as far as trials have been.

        Sums of the means and variances of the gains of the epochs that follow, as if those were independent.
        """
        if self._to_go is None:
            count = np.maximum(self._count, 1)
            mean = self._sum / count
            variance = np.maximum(self._square / count - mean**2, 0.0)
            self._to_go = _after(mean), np.sqrt(_after(variance))
        mean_E, sd_E = self._to_go
        return float(mean_E[epoch]), float(sd_E[epoch])

    def largest(self, epoch: int, risk: float) -> tuple[float, int]:
        """What a finished trial gained after `epoch`, such that a further one gains more with a chance of `risk` at
        most if it is like them: the ⌈(n + 1)(1 − risk)⌉-th smallest of n gains, ∞ if n is too small for that; and how
        many of the n gained more."""
        gains = self._finished[epoch]
        place = math.ceil((len(gains) + 1) * (1.0 - risk) - 1e-9)
        return (math.inf, 0) if place > len(gains) else (gains[place - 1], len(gains) - place)


def _after(values_E: np.ndarray) -> np.ndarray:
    """The sum of the values after every epoch, (E + 1,)."""
    return np.append(np.cumsum(values_E[::-1])[::-1][1:], 0.0)
