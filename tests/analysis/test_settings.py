"""Which setting is best, against hand computation."""

import math

import pytest

from analysis import settings
from sweeps.ablation import Ablation, Variant
from tests.analysis.conftest import CONFIG


def test_the_margin_to_the_next_healthy_trial(writer):
    writer.trial([0.1] * 10)
    assert settings.margin(writer.load()) is None
    writer.trial([0.1] * 7 + [0.2, 0.25, 0.29])
    writer.trial([0.9] * 2, status="STOPPED", reason="RUNG")
    writer.trial([0.8] * 10, verdicts={10: "COLLAPSED"})
    found = settings.margin(writer.load())
    assert found.next.number == 1
    assert found.gap == pytest.approx(0.19)
    assert found.wobble == pytest.approx(0.05)  # of 0.1, 0.05 and 0.04: the last three steps


def test_the_margin_of_a_metric_that_is_better_when_lower(make_writer):
    writer = make_writer(metric=["val/mse"], mode=["min"], epochs=2)
    writer.trial([0.9, 0.5], metric="val/mse")
    writer.trial([0.9, 0.2], metric="val/mse")
    found = settings.margin(writer.load())
    assert (found.next.number, found.gap, found.wobble) == (1, pytest.approx(0.3), None)


def test_a_search_has_no_settings(writer):
    writer.trial([0.1])
    assert settings.settings(writer.load()) == []


def test_settings_are_ranked_by_their_mean_over_seeds(ablated):
    first, second = settings.settings(ablated.load())
    assert (first.name, second.name) == ("two", "documented")
    assert first.scores == pytest.approx({0: 0.2, 1: 1.3, 2: 2.2, 3: 3.3})
    assert (first.mean, second.mean) == pytest.approx((1.75, 1.5))
    assert first.low < 1.75 < first.high
    gap = settings.gap(ablated.load(), first, second)
    assert (gap.mean, gap.pairs) == (pytest.approx(0.25), 4)
    half = 3.182446 * math.sqrt(0.01 / 3) / 2  # Student's t with 3 degrees of freedom
    assert (gap.low, gap.high) == pytest.approx((0.25 - half, 0.25 + half), rel=1e-6)


def test_a_setting_that_fell_sick_stands_behind_one_that_did_not(make_writer):
    variants = [Variant(name, CONFIG) for name in ("sick once", "always sick", "healthy")]
    writer = make_writer(ablation=Ablation(2, variants, []))
    for seed in range(2):
        writer.trial([0.9] * 10, seed=seed, origin="sick once", verdicts={} if seed else {10: "COLLAPSED"})
        writer.trial([0.9] * 10, seed=seed, origin="always sick", verdicts={10: "COLLAPSED"})
        writer.trial([0.1] * 10, seed=seed, origin="healthy")
    found = settings.settings(writer.load())
    assert [(setting.name, len(setting.scores)) for setting in found] == [
        ("healthy", 2),
        ("sick once", 1),
        ("always sick", 0),
    ]
    assert math.isnan(found[0].low)  # two seeds are too few for an interval
    assert settings.gap(writer.load(), found[0], found[1]).mean == pytest.approx(-0.8)
    assert settings.gap(writer.load(), found[0], found[2]) is None
