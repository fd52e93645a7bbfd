"""The median stopping rule of Vizier (Golovin et al. 2017, section 3.2.2), a baseline of the replay.

After epoch s a trial stops if its best value so far is strictly worse than the median, over the completed trials, of
the mean of their values up to s. Completed are those that trained to their end, as in Optuna's MedianPruner: those
stopped by the rule are not. Beyond the paper: a value that is not finite stops the trial, and nothing else stops in
the first `grace` epochs.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict


class MedianRule:
    """The rule for values of which larger are better."""

    def __init__(self, grace: int = 1) -> None:
        self.grace = grace
        self._values: dict[int, list[float]] = defaultdict(list)  # by trial
        self._means: dict[int, list[float]] = defaultdict(list)  # of the completed trials, sorted, by epoch

    def stops(self, trial: int, value: float) -> bool:
        """Hear of the trial's next epoch; True if it stops there."""
        if not math.isfinite(value):
            return True
        values = self._values[trial]
        values.append(value)
        return len(values) > self.grace and max(values) < self.median(len(values))

    def completed(self, trial: int) -> None:
        """The trial, all of whose epochs were heard of, is at its end."""
        total = 0.0
        for epoch, value in enumerate(self._values.pop(trial), start=1):
            total += value
            insort(self._means[epoch], total / epoch)

    def median(self, epoch: int) -> float:
        """The median of the running means after `epoch`; −∞ while no trial has completed."""
        means = self._means[epoch]
        if not means:
            return -math.inf
        middle = len(means) // 2
        return means[middle] if len(means) % 2 else (means[middle - 1] + means[middle]) / 2
