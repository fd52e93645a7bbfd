"""Epochs and schedulers written down by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sweeps import schedulers
from sweeps.schedulers.base import Scheduler, Task
from trainables.health import Verdict

SCORE = "val/elbo_gain"


@dataclass(frozen=True)
class Epoch:
    """A `Row` of plain numbers."""

    epoch: int
    score: float
    verdict: Verdict = Verdict.HEALTHY
    kl_rising: bool = False
    met: bool = True

    @property
    def scores(self) -> tuple[float, ...]:
        """The one metric."""
        return (self.score,)

    @property
    def verdict_detail(self) -> str:
        """Tells the epoch."""
        return "" if self.verdict is Verdict.HEALTHY else f"sick at epoch {self.epoch}"


def made(text: str, epochs: int = 12, mode: str = "max", metric: str = SCORE) -> Scheduler[Any]:
    """The scheduler of a sweep of trials of so many epochs."""
    return schedulers.parse(text).make(Task(epochs, metric, mode))
