"""What an ablation found: paired effects with their intervals, and the verdict on every documented claim.

A table is a family: the claims one, and of the studies' steps each metric one. Within it Holm's correction decides
which changes are told from none, with a probability of at most 5 % that any of those decisions is wrong where
there is no effect at all. The intervals hold together for the whole family too, but by Bonferroni: a change that Holm
tells from none may have an interval that just reaches 0. See `sweeps.paired` for what the tests assume.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analysis.sweep import Sweep, Trial
from sweeps import course, paired
from sweeps.ablation import OUTCOMES, Ablation, Contrast
from sweeps.records.outcomes import Status
from sweeps.seeds import Evidence, evidence

NONE = "no difference in any pair"
SAME = "the same difference in every pair, judged by its sign alone"


@dataclass(frozen=True)
class Effect:
    """The mean change of a metric from `before` to `after` over pairs of the same seed, split and data order.

    `low` and `high` bound it at 1 − 0.05 / (comparisons of the family), less where verdicts were looked for more
    than once; NaN where nothing can be said. `p`: adjusted for the family by Holm; NaN with too few pairs. `note`:
    what numbers and bounds do not tell.
    """

    metric: str
    before: float
    after: float
    mean: float
    low: float
    high: float
    pairs: int
    p: float
    note: str = ""

    @property
    def significant(self) -> bool:
        """True if the change is told from none."""
        return self.p <= paired.ERROR


class Finding(StrEnum):
    """What the data say of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    UNTESTABLE = "cannot be tested on this data"


@dataclass(frozen=True)
class ClaimResult:
    """A documented claim and its test; `effect` is None where there is no verdict."""

    text: str
    source: str
    metric: str
    direction: str
    finding: Finding
    note: str
    effect: Effect | None = None


def design(sweep: Sweep) -> Ablation | None:
    """What the sweep compares; None for a search."""
    return sweep.record.config.ablation


def steps(sweep: Sweep, metrics: Sequence[str]) -> list[tuple[Contrast, dict[str, Effect]]]:
    """The steps of the studies, and of each the effect on those of `metrics` that its trials have, by metric."""
    ablation = design(sweep)
    if ablation is None:
        return []
    told = ablation.steps
    by_metric = {metric: _family(sweep, ablation, [(step, metric) for step in told]) for metric in metrics}
    return [
        (step, {metric: effect for metric in metrics if (effect := by_metric[metric][place])})
        for place, step in enumerate(told)
    ]


def claims(sweep: Sweep) -> list[ClaimResult]:
    """The verdict on every claim of the ablation."""
    ablation = design(sweep)
    if ablation is None:
        return []
    told = ablation.claims
    found = _family(sweep, ablation, [(claim, claim.metric) for claim in told])
    return [_result(sweep, ablation, claim, effect) for claim, effect in zip(told, found, strict=True)]


def trials_of(sweep: Sweep, variant: str) -> list[Trial]:
    """The trials of the variant of that name."""
    return [trial for trial in sweep.trials if trial.record.origin == variant]


def _family(sweep: Sweep, ablation: Ablation, told: Sequence[tuple[Contrast, str]]) -> list[Effect | None]:
    """The effects of comparisons on a metric each, judged together; None without a pair."""
    shown = [_evidence(sweep, ablation, comparison, metric) for comparison, metric in told]
    adjusted = paired.holm(np.array([each.p for each in shown]))
    tested = max(1, int(np.isfinite(adjusted).sum()))
    errors = paired.ERROR * paired.shares(len(ablation.looks)) / tested  # by look
    return [
        _effect(metric, each, errors[each.looks - 1], float(p)) if len(each.pairs) else None
        for (_, metric), each, p in zip(told, shown, adjusted, strict=True)
    ]


def _effect(metric: str, shown: Evidence, error: float, p: float) -> Effect:
    pairs, binary = shown.pairs, metric in OUTCOMES
    before, after = (float(value) for value in pairs.mean(axis=0))
    note = "" if binary or math.isnan(p) or not paired.no_spread(pairs) else SAME if before != after else NONE
    return Effect(metric, before, after, after - before, *paired.interval(pairs, error, binary), len(pairs), p, note)


def _result(sweep: Sweep, ablation: Ablation, claim: Contrast, effect: Effect | None) -> ClaimResult:
    told = claim.name, claim.source, claim.metric, claim.direction
    if effect is None or math.isnan(effect.p):
        return ClaimResult(*told, Finding.UNTESTABLE, _why_not(sweep, ablation, claim, effect))
    if not effect.significant:
        finding = Finding.INCONCLUSIVE
    else:
        finding = Finding.SUPPORTED if (effect.mean > 0) == (claim.direction == "up") else Finding.CONTRADICTED
    return ClaimResult(*told, finding, effect.note, effect)


def _why_not(sweep: Sweep, ablation: Ablation, claim: Contrast, effect: Effect | None) -> str:
    trials = [trial for variant in (claim.before, claim.after) for trial in trials_of(sweep, variant)]
    finished = [trial for trial in trials if trial.record.status == Status.FINISHED]
    if finished and all(math.isnan(_value(sweep, trial, claim.metric)) for trial in finished):
        return f"no trial has {claim.metric}"
    if effect is None and len(ablation.looks) > 1:
        return f"no complete pair at a look, the first of which is after {ablation.looks[0]} seeds"
    return f"{effect.pairs if effect else 0} complete pairs, {paired.FEWEST_PAIRS} are needed"


def _evidence(sweep: Sweep, ablation: Ablation, comparison: Contrast, metric: str) -> Evidence:
    first = sweep.record.config.seed
    before, after = (
        {
            trial.record.seed - first: _value(sweep, trial, measured)
            for trial in trials_of(sweep, variant)
            if trial.record.status.ended
        }
        for variant, measured in comparison.sides(metric)
    )
    return evidence(before, after, ablation.looks, metric in OUTCOMES)


def _value(sweep: Sweep, trial: Trial, metric: str) -> float:
    """A trial's metric, or 0 / 1 for an outcome; NaN if it did not finish or has none."""
    if trial.record.status != Status.FINISHED:
        return math.nan
    if metric in OUTCOMES:
        return float(OUTCOMES[metric](trial.verdict))
    if course.is_course(metric):
        return course.value(metric, sweep.curve(course.base(metric)).get(trial.number, ()), sweep.epochs)
    return trial.metric(metric)
