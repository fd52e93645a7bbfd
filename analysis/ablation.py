"""What an ablation found: paired effects with bootstrap intervals, and the verdict on every documented claim."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from analysis.sweep import Sweep, Trial
from sweeps.journal import Status
from trainables.health import Verdict

LEVEL = 0.95
DRAWS = 10_000
EXACT_UP_TO = 6  # pairs: 6⁶ resamples are enumerated, no draws needed
FEWEST_PAIRS = 3
CLAIMS = "claims"
OUTCOMES = {
    "outcome/collapsed": (Verdict.COLLAPSED, Verdict.CODEBOOK_COLLAPSED),
    "outcome/numeric": (Verdict.NUMERIC,),
}


@dataclass(frozen=True)
class Effect:
    """The mean change of a metric from `before` to `after` over pairs of the same seed and data order.

    `low` and `high` bound it at `LEVEL` by the percentile bootstrap over pairs (Efron 1979). It is exact for few
    pairs, and too narrow for very few: five seeds are a beginning.
    """

    metric: str
    before: float
    after: float
    mean: float
    low: float
    high: float
    pairs: int


class Finding(StrEnum):
    """What the data say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    UNTESTABLE = "cannot be tested on this data"


@dataclass(frozen=True)
class ClaimResult:
    """A documented claim and its test.

    `low` and `high` are simultaneous bounds: at the level 1 − 0.05 / (number of claims tested) each (Bonferroni),
    so that all of them hold together in 95 of 100 ablations.
    """

    text: str
    source: str
    metric: str
    direction: str
    finding: Finding
    note: str
    effect: Effect | None = None
    low: float = math.nan
    high: float = math.nan


def comparisons(sweep: Sweep) -> list[dict[str, Any]]:
    """The comparisons of an ablation, none for a search."""
    return (sweep.record["config"].get("ablation") or {}).get("comparisons", [])


def effects(sweep: Sweep, comparison: dict[str, Any], metrics: Sequence[str]) -> list[Effect]:
    """The effect of a comparison on each of `metrics` that its trials have."""
    found = []
    for metric in metrics:
        pairs = _pairs(sweep, comparison, metric)
        if len(pairs):
            low, high = bootstrap_interval(pairs[:, 1] - pairs[:, 0], LEVEL)
            before, after = pairs.mean(axis=0)
            found.append(Effect(metric, before, after, after - before, low, high, len(pairs)))
    return found


def claims(sweep: Sweep) -> list[ClaimResult]:
    """The verdict on every claim of the ablation."""
    told = [comparison for comparison in comparisons(sweep) if comparison["study"] == CLAIMS]
    pairs = [_pairs(sweep, claim, claim["metric"]) for claim in told]
    tested = sum(len(values) >= FEWEST_PAIRS for values in pairs)
    return [_test(sweep, claim, values, tested) for claim, values in zip(told, pairs, strict=True)]


def bootstrap_interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    """The percentile interval of the mean of `differences` (n,) over resamples of its n values.

    All nⁿ resamples are enumerated for n ≤ 6; beyond that 10,000 are drawn, always the same.
    """
    count = len(differences)
    if count <= EXACT_UP_TO:
        places = np.array(list(itertools.product(range(count), repeat=count)))
    else:
        places = np.random.default_rng(0).integers(count, size=(DRAWS, count))
    means = differences[places].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _test(sweep: Sweep, claim: dict[str, Any], pairs: np.ndarray, tested: int) -> ClaimResult:
    told = {key: claim[key] for key in ("source", "metric", "direction")}
    if len(pairs) < FEWEST_PAIRS:
        return ClaimResult(claim["name"], **told, finding=Finding.UNTESTABLE, note=_why_not(sweep, claim, pairs))
    differences = pairs[:, 1] - pairs[:, 0]
    low, high = bootstrap_interval(differences, 1 - (1 - LEVEL) / tested)
    bounds = (low, high) if claim["direction"] == "up" else (-high, -low)
    if bounds[0] > 0:
        finding = Finding.SUPPORTED
    elif bounds[1] < 0:
        finding = Finding.CONTRADICTED
    else:
        finding = Finding.INCONCLUSIVE
    note = "no difference in any pair" if not differences.any() else ""
    effect = effects(sweep, claim, [claim["metric"]])[0]
    return ClaimResult(claim["name"], **told, finding=finding, note=note, effect=effect, low=low, high=high)


def _why_not(sweep: Sweep, claim: dict[str, Any], pairs: np.ndarray) -> str:
    sides = [_trials(sweep, claim[side]) for side in ("before", "after")]
    ended = [trial for side in sides for trial in side.values() if trial.record.status == Status.FINISHED]
    if ended and all(math.isnan(_value(trial, claim["metric"])) for trial in ended):
        return f"no trial has {claim['metric']}"
    return f"{len(pairs)} complete pairs, {FEWEST_PAIRS} are needed"


def _pairs(sweep: Sweep, comparison: dict[str, Any], metric: str) -> np.ndarray:
    """(n, 2): the metric before and after, for each seed whose two trials finished with a finite value."""
    before, after = (_trials(sweep, comparison[side]) for side in ("before", "after"))
    values = [(_value(before[seed], metric), _value(after[seed], metric)) for seed in sorted(before.keys() & after)]
    return np.array([pair for pair in values if np.isfinite(pair).all()]).reshape(-1, 2)


def _trials(sweep: Sweep, variant: int) -> dict[int, Trial]:
    """The finished trials of a variant, by seed."""
    count = len(sweep.record["config"]["ablation"]["variants"])
    return {
        trial.record.seed: trial
        for trial in sweep.trials
        if (trial.number - 1) % count == variant and trial.record.status == Status.FINISHED
    }


def _value(trial: Trial, metric: str) -> float:
    """A metric of the last epoch, or 0 / 1 for an outcome; NaN if the trial has none."""
    if metric in OUTCOMES:
        return float(trial.verdict in OUTCOMES[metric])
    return trial.metric(metric)
