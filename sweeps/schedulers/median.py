"""The median stopping rule of Vizier (Golovin et al. 2017, section 3.2.2).

After epoch s a trial stops if its best value so far is strictly worse than the median, over the completed trials, of
the mean of their values up to s. Completed are those that trained to their end, as in Optuna's MedianPruner: those
stopped by the rule are not. Beyond the paper: a value that is not finite stops the trial, and nothing else stops in
the grace.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import defaultdict
from dataclasses import dataclass

from sweeps.schedulers.base import GO_ON, RUNG, Decision, Row, Scheduler, Task, stop
from sweeps.schedulers.settings import SHARE_OF_BUDGET, Settings, setting


@dataclass(frozen=True)
class MedianSettings(Settings):
    """When the rule begins."""

    grace: float | None = setting(SHARE_OF_BUDGET, None)
    """The share of the budget in which nothing stops; as for the health verdict if not given."""


class Median(Scheduler[MedianSettings]):
    """Stops who is worse than the median of the completed trials."""

    name = "median"
    settings_type = MedianSettings

    def __init__(self, task: Task, settings: MedianSettings | None = None) -> None:
        super().__init__(task, settings)
        grace = self.settings.grace
        self.grace = math.ceil((task.grace if grace is None else grace) * task.epochs)  # epochs; 0 is none at all
        self._values: dict[int, list[float]] = defaultdict(list)  # by trial
        self._means: dict[int, list[float]] = defaultdict(list)  # of the completed trials, sorted, by epoch

    def decide(self, trial: int, row: Row) -> Decision:
        """Against the trials completed so far."""
        task, score = self.task, row.score
        if not math.isfinite(score):
            return stop(RUNG, f"{task.metric} is {task.told(score)} at epoch {row.epoch}")
        values = self._values[trial]
        values.append(score)
        middle, best = self.median(len(values)), max(values)
        if len(values) <= self.grace or best >= middle:
            return GO_ON
        return stop(
            RUNG,
            f"{task.metric} at best {task.told(best)}, {task.worse} the median {task.told(middle)} of "
            f"{len(self._means[len(values)])} finished trials at epoch {row.epoch}",
        )

    def end(self, trial: int, row: Row) -> Decision:
        """One more completed trial, unless its last value is not finite."""
        if not math.isfinite(row.score):
            self._values.pop(trial, None)
            return GO_ON
        total = 0.0
        for epoch, value in enumerate([*self._values.pop(trial, []), row.score], start=1):
            total += value
            insort(self._means[epoch], total / epoch)
        return GO_ON

    def forget(self, trial: int) -> None:
        """It will not be completed."""
        self._values.pop(trial, None)

    def median(self, epoch: int) -> float:
        """The median of the running means after `epoch`; −∞ while no trial has completed."""
        means = self._means[epoch]
        if not means:
            return -math.inf
        middle = len(means) // 2
        return means[middle] if len(means) % 2 else (means[middle - 1] + means[middle]) / 2
