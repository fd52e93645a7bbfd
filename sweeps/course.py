"""Metrics of a trial's course: `health/kl_raw@0.5` is a metric at half of the budget, `health/kl_raw@0..0.5` how far
it moves over the first half, whichever way.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

AT, TO = "@", ".."


def is_course(metric: str) -> bool:
    """True for a metric of the course, false for one of the trial's best epoch."""
    return AT in metric


def base(metric: str) -> str:
    """The metric whose course it is: `health/kl_raw`."""
    return metric.partition(AT)[0]


def shares(metric: str) -> list[float]:
    """The shares of the budget: [0.5], or [0.0, 0.5]."""
    return [float(share) for share in metric.partition(AT)[2].split(TO)]


def value(metric: str, points: Iterable[tuple[float, float]], epochs: int) -> float:
    """A metric of the course, from epoch and value of its base; NaN where an epoch that it takes is not there.

    Args:
        metric: as in the module's text. A share is that of the nearest epoch, 0 that of the first.
        points: of one trial.
        epochs: its budget.
    """
    known = {round(epoch): number for epoch, number in points}
    found = [known.get(max(1, round(share * epochs)), math.nan) for share in shares(metric)]
    return found[0] if len(found) == 1 else abs(found[1] - found[0])
