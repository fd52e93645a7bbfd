"""Effects and claims against hand computation."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from analysis import ablation
from analysis.ablation import Finding, bootstrap_interval
from sweeps.journal import Status
from trainables.health import Verdict

METRIC = "val/elbo_gain"


def sweep_of(values, comparisons, failed=()):
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
                record=SimpleNamespace(seed=seed, status=status),
                verdict=Verdict.COLLAPSED if value < 0 else Verdict.HEALTHY,
                metric=lambda name, value=value: value if name == METRIC else math.nan,
            )
        )
    config = {"ablation": {"variants": [{}] * count, "comparisons": comparisons}}
    return SimpleNamespace(trials=trials, record={"config": config})


def claim(before, after, direction="up", metric=METRIC):
    told = {"metric": metric, "direction": direction, "source": "notes"}
    return {"study": "claims", "name": "text", "before": before, "after": after, **told}


def test_the_bootstrap_of_few_pairs_is_exact():
    differences = np.array([0.0, 1.0, 5.0])
    means = sorted(np.mean(draw) for draw in itertools.product(differences, repeat=3))
    assert bootstrap_interval(differences, 0.8) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])))


def test_the_bootstrap_of_many_pairs_is_close_to_the_normal_interval():
    differences = np.random.default_rng(0).normal(2.0, 3.0, 400)
    low, high = bootstrap_interval(differences, 0.95)
    half = 1.96 * differences.std() / 20
    assert low == pytest.approx(differences.mean() - half, abs=0.03)
    assert high == pytest.approx(differences.mean() + half, abs=0.03)
    assert bootstrap_interval(differences, 0.95) == (low, high)


def test_effects_are_paired_by_seed():
    sweep = sweep_of([[1.0, 5.0, 9.0], [1.1, 5.2, 9.3]], [])
    (effect,) = ablation.effects(sweep, {"before": 0, "after": 1}, [METRIC, "val/absent"])
    assert (effect.before, effect.after, effect.pairs) == (5.0, pytest.approx(5.2), 3)
    assert effect.mean == pytest.approx(0.2)
    assert 0.1 <= effect.low < effect.mean < effect.high <= 0.3 + 1e-12


def test_a_pair_with_a_failed_or_infinite_side_does_not_count():
    values = [[1.0, 2.0, 3.0, 4.0], [2.0, 3.0, math.nan, 5.0]]
    (effect,) = ablation.effects(sweep_of(values, [], failed={2}), {"before": 0, "after": 1}, [METRIC])
    assert effect.pairs == 2


def test_claims():
    values = [[1.0, 2.0, 3.0, 4.0], [2.0, 3.1, 4.2, 5.0], [1.5, 1.5, 3.5, 3.5]]
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
    assert found[4].note == "no difference in any pair"
    # simultaneous bounds are wider than those of one effect
    assert found[0].low <= found[0].effect.low
    assert found[0].high >= found[0].effect.high


def test_more_claims_widen_the_bounds():
    noisy = [[0.0] * 5, [0.3, 0.1, 0.4, 0.02, 0.6]]
    one = ablation.claims(sweep_of(noisy, [claim(0, 1)]))[0]
    many = ablation.claims(sweep_of(noisy, [claim(0, 1)] * 30))[0]
    assert many.low < one.low
    assert many.high > one.high


def test_two_pairs_are_too_few():
    (found,) = ablation.claims(sweep_of([[0.0, 0.0], [1.0, 1.0]], [claim(0, 1)]))
    assert (found.finding, found.note) == (Finding.UNTESTABLE, "2 complete pairs, 3 are needed")


def test_outcomes_are_metrics_too():
    values = [[1.0, 2.0, 3.0], [-1.0, -1.0, 2.0]]
    (effect,) = ablation.effects(sweep_of(values, []), {"before": 0, "after": 1}, ["outcome/collapsed"])
    assert (effect.before, effect.after) == (0.0, pytest.approx(2 / 3))
