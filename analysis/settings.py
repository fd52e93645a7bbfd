"""Which setting is best, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis import tables
from analysis.ablation import trials_of
from analysis.sweep import Sweep, Trial
from sweeps import paired

LAST_SHARE = 0.2  # of the budget: where the course of the best is watched
FEWEST_STEPS = 3


@dataclass(frozen=True)
class Margin:
    """How far the best trial is ahead of the next.

    `wobble` is the median change of its own score from one epoch to the next in the last fifth of the budget, None
    for a course too short to say: a gap of that size means nothing. What another seed would change is not in it.
    """

    next: Trial
    gap: float
    wobble: float | None


@dataclass(frozen=True)
class Setting:
    """A variant of an ablation. `scores`: by seed, of its trials that finished healthy; the mean of them is bounded
    at 95 % by Student's t over seeds, NaN with too few. The bounds are those of each setting by itself.
    """

    name: str
    trials: list[Trial]
    scores: dict[int, float] = field(default_factory=dict)
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Gap:
    """How much better one setting is than `other`, in pairs of the same seed. The bounds are Student's, at 95 % for
    these two alone, and do not know that one of them was chosen as the best; NaN with too few pairs.
    """

    other: Setting
    mean: float
    low: float
    high: float
    pairs: int


def margin(sweep: Sweep) -> Margin | None:
    """The best trial against the next by the first metric; None with fewer than two that finished healthy."""
    objective = sweep.objectives[0]
    healthy = tables.ranked(sweep.objectives, [trial for trial in sweep.trials if trial.ranked])
    scored = [trial for trial in healthy if math.isfinite(trial.metric(objective.metric))]
    if len(scored) < 2:
        return None
    gap = objective.sign * (scored[0].metric(objective.metric) - scored[1].metric(objective.metric))
    return Margin(scored[1], gap, _wobble(sweep, scored[0]))


def settings(sweep: Sweep) -> list[Setting]:
    """The variants of an ablation, the best first: those healthy with the most seeds, then by the mean score; []
    where there are none to compare."""
    ablation = sweep.record.config.ablation
    if ablation is None or len(ablation.variants) < 2:
        return []
    objective = sweep.objectives[0]
    found = [
        _setting(variant.name, trials_of(sweep, variant.name), objective.metric) for variant in ablation.variants
    ]
    ranked = [setting for setting in found if setting.scores]
    ranked.sort(key=lambda setting: (-len(setting.scores), -objective.sign * setting.mean))
    return ranked + [setting for setting in found if not setting.scores]


def gap(sweep: Sweep, first: Setting, second: Setting) -> Gap | None:
    """By how much `first` is better than `second`; None without a seed that both have."""
    sign = sweep.objectives[0].sign
    seeds = sorted(first.scores.keys() & second.scores)
    differences = np.array([sign * (first.scores[seed] - second.scores[seed]) for seed in seeds])
    if not seeds:
        return None
    return Gap(second, float(differences.mean()), *paired.mean_interval(differences, paired.ERROR), len(seeds))


def _setting(name: str, trials: Sequence[Trial], metric: str) -> Setting:
    scores = {
        trial.record.seed: trial.metric(metric)
        for trial in trials
        if trial.healthy and math.isfinite(trial.metric(metric))
    }
    if not scores:
        return Setting(name, list(trials))
    values = np.array(list(scores.values()))
    return Setting(name, list(trials), scores, float(values.mean()), *paired.mean_interval(values, paired.ERROR))


def _wobble(sweep: Sweep, trial: Trial) -> float | None:
    curve = sweep.curve(sweep.objectives[0].metric).get(trial.number, np.empty((0, 2)))
    steps = np.abs(np.diff(curve[-max(FEWEST_STEPS, math.ceil(LAST_SHARE * sweep.epochs)) - 1 :, 1]))
    steps = steps[np.isfinite(steps)]
    return float(np.median(steps)) if len(steps) >= FEWEST_STEPS else None
