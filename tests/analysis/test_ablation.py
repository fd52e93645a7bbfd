"""Effects and claims against hand computation."""

from __future__ import annotations

import itertools
import math
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from analysis import ablation
from analysis.ablation import NONE, SAME, Finding
from sweeps.ablation import CLAIMS, Ablation, Contrast, Variant
from sweeps.records.outcomes import Status
from trainables.health import Verdict

METRIC = "val/elbo_gain"


def sweep_of(values, comparisons, failed=(), looks=None):
    """Variant v with seed s has METRIC `values[v][s]`."""
    count = len(values)
    trials = []
    for seed, variant in itertools.product(range(len(values[0])), range(count)):
        number = seed * count + variant + 1
        status = Status.FAILED if number in failed else Status.FINISHED
        value = values[variant][seed]
        trials.append(
            SimpleNamespace(
                number=number,
                record=SimpleNamespace(seed=seed, status=status, origin=f"variant {variant}"),
                verdict=Verdict.COLLAPSED if value < 0 else Verdict.HEALTHY,
                metric=lambda name, value=value: value if name == METRIC else math.nan,
            )
        )
    variants = [Variant(f"variant {number}", {}) for number in range(count)]
    ablation = Ablation(len(values[0]), variants, comparisons, looks or [])
    return SimpleNamespace(trials=trials, record=SimpleNamespace(config=SimpleNamespace(ablation=ablation, seed=0)))


def claim(before, after, direction="up", metric=METRIC):
    return Contrast(CLAIMS, "text", f"variant {before}", f"variant {after}", metric, direction, "notes")


def step(before, after):
    return Contrast("steps", "step", f"variant {before}", f"variant {after}")


def only_effect(sweep, metric=METRIC):
    ((_, effects),) = ablation.steps(sweep, [metric, "val/absent"])
    assert list(effects) == [metric]
    return effects[metric]


def test_effects_are_paired_by_seed():
    effect = only_effect(sweep_of([[1.0, 5.0, 9.0], [1.1, 5.2, 9.3]], [step(0, 1)]))
    assert (effect.before, effect.after, effect.pairs) == (5.0, pytest.approx(5.2), 3)
    expected = stats.ttest_1samp([0.1, 0.2, 0.3], 0)
    bounds = expected.confidence_interval(0.95)
    assert (effect.mean, effect.low, effect.high) == pytest.approx((0.2, bounds.low, bounds.high))
    assert effect.p == pytest.approx(expected.pvalue)
    assert not effect.significant


def test_trials_are_found_by_their_variant_in_whatever_order_they_ran():
    sweep = sweep_of([[1.0, 5.0, 9.0], [1.1, 5.2, 9.3]], [step(0, 1)])
    expected = only_effect(sweep)
    sweep.trials.reverse()
    for number, trial in enumerate(sweep.trials, 1):
        trial.number = number
    assert only_effect(sweep) == expected


def test_a_pair_with_a_failed_or_infinite_side_does_not_count():
    values = [[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, math.nan, 5.0]]
    effect = only_effect(sweep_of(values, [step(0, 1)], failed={2}))
    assert effect.pairs == 2
    assert math.isnan(effect.p)
    assert math.isnan(effect.low)
    assert not effect.significant


def test_claims():
    values = [[1.0, 2.0, 3.0, 4.0], [2.0, 3.1, 4.0, 5.1], [1.5, 1.5, 3.5, 3.5]]
    told = [claim(0, 1), claim(0, 1, "down"), claim(0, 2), claim(0, 1, metric="val/absent"), claim(0, 0)]
    found = ablation.claims(sweep_of(values, told))
    assert [each.finding for each in found] == [
        Finding.SUPPORTED,
        Finding.CONTRADICTED,
        Finding.INCONCLUSIVE,
        Finding.UNTESTABLE,
        Finding.INCONCLUSIVE,
    ]
    assert found[3].note == "no trial has val/absent"
    assert found[4].note == NONE
    assert math.isnan(found[4].effect.low)
    expected = stats.ttest_1samp([1.0, 1.1, 1.0, 1.1], 0)
    bounds = expected.confidence_interval(1 - 0.05 / 4)  # of four that could be tested
    effect = found[0].effect
    assert (effect.low, effect.high) == pytest.approx((bounds.low, bounds.high))
    assert effect.p == pytest.approx(4 * expected.pvalue)


def test_more_claims_ask_for_more():
    noisy = [[0.0] * 5, [0.3, 0.2, 0.4, 0.25, 0.5]]
    one = ablation.claims(sweep_of(noisy, [claim(0, 1)]))[0]
    many = ablation.claims(sweep_of(noisy, [claim(0, 1)] * 30))[0]
    assert (one.finding, many.finding) == (Finding.SUPPORTED, Finding.INCONCLUSIVE)
    assert many.effect.low < 0 < one.effect.low
    assert many.effect.high > one.effect.high


def test_steps_are_judged_together_by_metric_and_apart_from_claims():
    noisy = [[0.0] * 5, [0.3, 0.2, 0.4, 0.25, 0.5]]
    alone = only_effect(sweep_of(noisy, [step(0, 1)]))
    assert only_effect(sweep_of(noisy, [step(0, 1), *[claim(0, 1)] * 30])) == alone
    rows = ablation.steps(sweep_of(noisy, [step(0, 1)] * 30), [METRIC])
    assert rows[0][1][METRIC].p == pytest.approx(30 * alone.p)


def test_three_pairs_of_one_sign_are_no_verdict_by_themselves():
    """Without any effect they come in one of four comparisons."""
    (found,) = ablation.claims(sweep_of([[0.0] * 3, [0.1, 0.5, 0.9]], [claim(0, 1)]))
    assert found.finding is Finding.INCONCLUSIVE


@pytest.mark.parametrize(("pairs", "finding"), [(5, Finding.INCONCLUSIVE), (6, Finding.SUPPORTED)])
def test_the_same_difference_in_every_pair_is_judged_by_its_sign(pairs, finding):
    (found,) = ablation.claims(sweep_of([[0.0] * pairs, [1.0] * pairs], [claim(0, 1)]))
    assert (found.finding, found.note) == (finding, SAME)
    assert found.effect.p == 2.0 ** (1 - pairs)
    assert math.isnan(found.effect.low)


def test_two_pairs_are_too_few():
    (found,) = ablation.claims(sweep_of([[0.0, 0.0], [1.0, 1.0]], [claim(0, 1)]))
    assert (found.finding, found.note) == (Finding.UNTESTABLE, "2 complete pairs, 3 are needed")


def test_outcomes_are_metrics_too():
    values = [[1.0, 2.0, 3.0], [-1.0, -1.0, 2.0]]
    effect = only_effect(sweep_of(values, [step(0, 1)]), "outcome/collapsed")
    assert (effect.before, effect.after) == (0.0, pytest.approx(2 / 3))
    assert effect.p == 0.5  # McNemar: two of two
    assert -1 <= effect.low < 0 < effect.high <= 1


def test_looks_are_paid_for_and_seeds_beyond_a_whole_look_wait():
    rng = np.random.default_rng(0)
    before = rng.normal(size=9)
    values = [before.tolist(), (before + 1 + 0.1 * rng.normal(size=9)).tolist()]
    (found,) = ablation.claims(sweep_of(values, [claim(0, 1)], looks=[5, 8, 12, 20]))
    assert found.effect.pairs == 8
    differences = np.subtract(values[1], values[0])
    p = [stats.ttest_1samp(differences[:count], 0).pvalue / share for count, share in ((5, 0.1), (8, 0.2))]
    assert found.effect.p == pytest.approx(min(p))
    bounds = stats.ttest_1samp(differences[:8], 0).confidence_interval(1 - 0.05 * 0.2)
    assert (found.effect.low, found.effect.high) == pytest.approx((bounds.low, bounds.high))
    short = [side[:4] for side in values]
    (found,) = ablation.claims(sweep_of(short, [claim(0, 1)], looks=[5, 8, 12, 20]))
    assert found.finding is Finding.UNTESTABLE
    assert found.note == "no complete pair at a look, the first of which is after 5 seeds"


def test_a_search_has_neither():
    sweep = SimpleNamespace(trials=[], record=SimpleNamespace(config=SimpleNamespace(ablation=None)))
    assert (ablation.design(sweep), ablation.steps(sweep, [METRIC]), ablation.claims(sweep)) == (None, [], [])


def test_a_claim_about_the_course_of_a_trial_compares_its_epochs(make_writer):
    told = partial(Contrast, CLAIMS, before="documented", after="documented", source="notes")
    comparisons = [
        told("rises", metric="val/x@0.5", metric_before="val/x@0", direction="up"),
        told("settles", metric="val/x@0.5..1", metric_before="val/x@0..0.5", direction="down"),
    ]
    writer = make_writer(epochs=4, seed=0, ablation=Ablation(4, [Variant("documented", {})], comparisons))
    for seed in range(4):
        writer.trial([1.0, 5.0 + 0.1 * seed, 6.0, 5.5], metric="val/x", origin="documented", seed=seed)
    rises, settles = ablation.claims(writer.load())
    assert (rises.finding, rises.effect.before, rises.effect.after) == (Finding.SUPPORTED, 1.0, pytest.approx(5.15))
    assert settles.finding is Finding.SUPPORTED
    assert settles.effect.before == pytest.approx(4.15)
    assert settles.effect.after == pytest.approx(np.mean([0.5, 0.4, 0.3, 0.2]))
