"""What replayed sweeps cost and found, with bootstrap intervals over the orders.

A sweep hands its user the best trial that finished healthy and meets what is required, so only such a trial counts,
from the moment it finishes, with its score at its best healthy epoch. Regret is measured in parts of a range: from
what costs nothing to the best score of any recorded trial that counts. What costs nothing is 0 for val/elbo_gain (a
decoder that ignores z at no rate), and for any other metric the median of the trials' scores. The target is the best
score less 1 % of that range.

The intervals say how much depends on the order in which the trials were suggested and on the choice of controls. That
other trials might have been recorded they do not say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from analysis.replay.curves import Curves
from analysis.replay.simulate import End
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.records.outcomes import Reason
from trainables.health import Verdict

GAIN = "val/elbo_gain"
TARGET_SHARE = 0.01  # of the range, below the best score
RESAMPLES = 1000
INTERVAL = (0.025, 0.975)
GRID = 101  # points of the regret curve


@dataclass(frozen=True, eq=False)
class Truth:
    """What the trials would come to if none were stopped. Scores are signed: larger is better.

    `best` is NaN if no trial ends healthy with a finite score, or none with one above `free`.
    """

    score: np.ndarray  # (N,), at the best healthy epoch of those that meet what is required, or of all where none
    # does; at the last one of a trial that ends sick
    healthy: np.ndarray  # (N,), at the last epoch, by the recorded thresholds
    ranked: np.ndarray  # (N,), healthy with a finite score, and meets what is required: it may be the best
    best: float
    free: float  # the score that costs nothing
    epochs: int  # of all trials

    @property
    def target(self) -> float:
        """The score that counts as found."""
        return self.best - TARGET_SHARE * (self.best - self.free)

    def regret(self, score: np.ndarray | float) -> np.ndarray | float:
        """From 1 (nothing better than what costs nothing) to 0 (the best)."""
        return np.clip((self.best - score) / (self.best - self.free), 0.0, 1.0)


def truth(curves: Curves) -> Truth:
    """Read off the curves."""
    last = curves.first[1:] - 1
    verdicts = JudgedVerdicts(curves, curves.health)

    def is_healthy(at: int) -> bool:
        return verdicts[at].verdict is Verdict.HEALTHY

    healthy = np.array([is_healthy(at) for at in last.tolist()])
    score, met = curves.scores[last].copy(), _met(curves)
    ranked = healthy.copy()
    for trial in np.flatnonzero(healthy):
        rows = np.arange(curves.first[trial], last[trial] + 1)
        downwards = rows[np.lexsort((-np.nan_to_num(curves.scores[rows], nan=-math.inf), ~met[rows]))]
        at = next(at for at in downwards.tolist() if is_healthy(at))
        score[trial], ranked[trial] = curves.scores[at], met[at]
    ranked &= np.isfinite(score)
    candidates = score[ranked]
    best = float(candidates.max(initial=-math.inf))
    free = 0.0 if curves.metric == GAIN else float(np.median(score[np.isfinite(score)])) if len(candidates) else 0.0
    return Truth(score, healthy, ranked, best if best > free else math.nan, free, len(curves.durations))


def _met(curves: Curves) -> np.ndarray:
    """Whether each epoch meets what is required: (R,)."""
    met = np.ones(len(curves.durations), dtype=bool)
    for requirement in curves.requirements:
        name = requirement.metric
        met &= np.array([requirement.violation({name: value}) <= 0 for value in curves.columns[name]])
    return met


@dataclass(frozen=True)
class Measures:
    """One replayed order."""

    spent: int  # epochs
    seconds: float  # simulated
    target_spent: float  # epochs until the target was reached; infinite if it was not
    target_seconds: float
    regret: float
    finished: int
    healthy: int  # of the finished
    condemned: int  # stopped by the verdict
    false_stops: int  # of the condemned: healthy when run to the end
    steps: tuple[tuple[int, float], ...]  # epochs spent when the best score rose, and the regret from then on


def measure(ends: Sequence[End], truth: Truth) -> Measures:
    """What one order came to."""
    finished = [end for end in ends if not end.reason]
    condemned = [end for end in ends if Reason(end.reason).is_sickness]
    healthy = [end for end in finished if truth.healthy[end.trial] and math.isfinite(truth.score[end.trial])]
    ranked = [end for end in finished if truth.ranked[end.trial]]
    steps, best = [(0, 1.0)], truth.free
    for end in ranked:
        if truth.score[end.trial] > best:
            best = truth.score[end.trial]
            steps.append((end.spent, float(truth.regret(best))))
    reached = next((end for end in ranked if truth.score[end.trial] >= truth.target), None)
    return Measures(
        spent=sum(end.epoch for end in ends),
        seconds=max(end.seconds for end in ends),
        target_spent=reached.spent if reached else math.inf,
        target_seconds=reached.seconds if reached else math.inf,
        regret=steps[-1][1] if math.isfinite(truth.best) else math.nan,
        finished=len(finished),
        healthy=len(healthy),
        condemned=len(condemned),
        false_stops=sum(bool(truth.healthy[end.trial]) for end in condemned),
        steps=tuple(steps),
    )


@dataclass(frozen=True)
class Estimate:
    """A statistic over the orders with its 95 % bootstrap interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A scheduler over all orders. Means, but medians of what may be infinite."""

    reached: Estimate  # share of the orders in which the target was reached
    target_spent: Estimate
    target_seconds: Estimate
    regret: Estimate
    yields: Estimate  # healthy finishers of all finishers
    finished: Estimate
    condemned: Estimate
    false_stops: Estimate
    spent: Estimate
    saved: Estimate  # share of the epochs of all trials
    seconds: Estimate


def summarise(measures: Sequence[Measures], truth: Truth, seed: int) -> Summary:
    """Over the orders; the same seed resamples the same orders for every scheduler."""
    sample = np.random.default_rng(seed).integers(len(measures), size=(RESAMPLES, len(measures)))
    column = {
        item.name: np.array([getattr(one, item.name) for one in measures], dtype=float)
        for item in fields(Measures)
        if item.name != "steps"
    }

    def estimate(statistic: Callable[..., np.ndarray], *values: np.ndarray) -> Estimate:
        whole = statistic(*(value[None] for value in values))[0]
        resampled = np.sort(statistic(*(value[sample] for value in values)))
        low, high = (float(resampled[round(share * (RESAMPLES - 1))]) for share in INTERVAL)
        return Estimate(float(whole), low, high)

    return Summary(
        reached=estimate(_mean, np.isfinite(column["target_spent"])),
        target_spent=estimate(_median, column["target_spent"]),
        target_seconds=estimate(_median, column["target_seconds"]),
        regret=estimate(_mean, column["regret"]),
        yields=estimate(_ratio, column["healthy"], column["finished"]),
        finished=estimate(_mean, column["finished"]),
        condemned=estimate(_mean, column["condemned"]),
        false_stops=estimate(_mean, column["false_stops"]),
        spent=estimate(_mean, column["spent"]),
        saved=estimate(_mean, 1 - column["spent"] / truth.epochs),
        seconds=estimate(_mean, column["seconds"]),
    )


@dataclass(frozen=True, eq=False)
class RegretCurve:
    """Mean regret against epochs spent, with its interval: (GRID,) each."""

    spent: np.ndarray
    regret: np.ndarray
    low: np.ndarray
    high: np.ndarray


def regret_curve(measures: Sequence[Measures], truth: Truth, seed: int) -> RegretCurve:
    """From the first epoch to all trials run to their end, in equal ratios."""
    grid = np.geomspace(1, truth.epochs, GRID)
    curves = np.empty((len(measures), GRID))
    for curve, one in zip(curves, measures, strict=True):
        spent, regret = np.array(one.steps).T
        curve[:] = regret[np.searchsorted(spent, grid, side="right") - 1]
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(measures), np.full(len(measures), 1 / len(measures)), size=RESAMPLES)
    low, high = np.quantile(counts @ curves / len(measures), INTERVAL, axis=0)
    return RegretCurve(grid, curves.mean(axis=0), low, high)


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=1)


def _median(values: np.ndarray) -> np.ndarray:
    """The upper median: of an even number of orders the later one, so that infinity is never averaged."""
    return np.sort(values, axis=1)[:, values.shape[1] // 2]


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    total = whole.sum(axis=1)
    return np.divide(part.sum(axis=1), total, out=np.full(len(total), np.nan), where=total > 0)
