"""Measures by hand, intervals against closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.replay.regret import Measures, Truth, measure, regret_curve, summarise, truth
from analysis.replay.simulate import End
from tests.analysis.replay.conftest import SCORE, curves_of
from trainables.requirements import Requirement

HEALTHY, SICK = {"verdict": "HEALTHY"}, {"verdict": "COLLAPSED"}


def ended(*ends) -> list[End]:
    return [End(trial, epoch, reason, "", seconds, spent) for trial, epoch, reason, seconds, spent in ends]


def known(final, healthy, best, free=0.0, epochs=40) -> Truth:
    return Truth(np.array(final), np.array(healthy), np.array(healthy), best, free, epochs)


def test_a_trial_is_worth_its_best_healthy_epoch_if_it_ends_healthy():
    curves = curves_of([
        [{SCORE: 9.0} | SICK, {SCORE: 0.5}, {SCORE: math.nan}, {SCORE: 0.4}],
        [{SCORE: 0.7}, {SCORE: 0.3}, {SCORE: 0.2}, {SCORE: 0.1} | SICK],
    ])  # fmt: skip
    found = truth(curves)
    assert found.score.tolist() == [0.5, 0.1]
    assert found.best == 0.5


def test_the_truth_is_read_off_the_curves():
    curves = curves_of([
        [{SCORE: 9.0} | SICK, {SCORE: 0.5}], [{SCORE: 0.1}, {SCORE: 0.8} | SICK], [{SCORE: 0.1} | SICK, {SCORE: 0.4}],
        [{SCORE: 0.1}, {SCORE: math.nan}],
    ])  # fmt: skip
    found = truth(curves)
    assert found.healthy.tolist() == [True, False, True, True]
    assert (found.best, found.free, found.epochs) == (0.5, 0.0, 8)
    assert found.target == pytest.approx(0.495)
    assert [found.regret(score) for score in (0.5, 0.25, 0.0, -3.0)] == [0.0, 0.5, 1.0, 1.0]


def test_of_another_metric_the_median_is_free():
    rows = [[{"val/mse": value}] for value in (4.0, 1.0, 2.0, 3.0, 9.0)]
    found = truth(curves_of(rows, metric="val/mse", mode="min"))
    assert (found.best, found.free) == (-1.0, -3.0)
    assert found.target == pytest.approx(-1.02)


@pytest.mark.parametrize(
    "rows", [[{SCORE: -0.1}, {SCORE: 0.9} | SICK], [{SCORE: math.nan}, {SCORE: None}], [{SCORE: 0.0}, {SCORE: -1.0}]]
)
def test_nothing_better_than_what_is_free(rows):
    found = truth(curves_of([[row] for row in rows]))
    assert math.isnan(found.best)
    measures = measure(ended((0, 1, "", 1.0, 1), (1, 1, "", 2.0, 2)), found)
    assert math.isinf(measures.target_spent)
    assert math.isnan(measures.regret)


def test_one_order_by_hand():
    found = known([0.5, 1.0, 0.995, 0.9, 0.2], [True, True, True, False, True], best=1.0)
    ends = ended(
        (3, 4, "", 4.0, 4),  # sick at its end: found nothing
        (0, 4, "", 8.0, 8),
        (4, 2, "COLLAPSED", 10.0, 10),  # healthy when run to its end
        (2, 4, "", 14.0, 14),  # within 1 %
        (1, 1, "RUNG", 15.0, 15),
    )
    assert measure(ends, found) == Measures(
        spent=15, seconds=15.0, target_spent=14, target_seconds=14.0, regret=pytest.approx(0.005), finished=3,
        healthy=2, condemned=1, false_stops=1, steps=((0, 1.0), (8, 0.5), (14, pytest.approx(0.005))),
    )  # fmt: skip


def test_a_worse_finisher_raises_no_regret():
    found = known([1.0, 0.5, -2.0], [True] * 3, best=1.0)
    ends = ended((2, 1, "", 1.0, 1), (0, 1, "", 2.0, 2), (1, 1, "", 3.0, 3))
    assert measure(ends, found).steps == ((0, 1.0), (2, 0.0))


def measured(**columns) -> list[Measures]:
    count = len(next(iter(columns.values())))
    rest = {"spent": 1, "seconds": 1.0, "target_spent": 1.0, "target_seconds": 1.0, "regret": 0.0, "finished": 1,
            "healthy": 1, "condemned": 0, "false_stops": 0, "steps": ((0, 1.0),)}  # fmt: skip
    return [Measures(**(rest | {name: values[order] for name, values in columns.items()})) for order in range(count)]


FOUND = known([1.0], [True], best=1.0, epochs=100)


def test_the_interval_of_a_mean_is_that_of_the_central_limit():
    values = np.random.default_rng(1).normal(50, 10, size=400)
    found = summarise(measured(spent=values), FOUND, seed=0).spent
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.2)
    assert found.high == pytest.approx(values.mean() + half, abs=0.2)
    saved = summarise(measured(spent=values), FOUND, seed=0).saved
    assert (saved.value, saved.low, saved.high) == pytest.approx(
        (1 - found.value / 100, 1 - found.high / 100, 1 - found.low / 100), abs=1e-3
    )


def test_a_yield_is_of_all_finishers_not_a_mean_of_shares():
    found = summarise(measured(finished=[10, 1, 0], healthy=[9, 0, 0]), FOUND, seed=0)
    assert found.yields.value == pytest.approx(9 / 11)
    assert found.finished.value == pytest.approx(11 / 3)


def test_without_any_finisher_there_is_no_yield():
    assert math.isnan(summarise(measured(finished=[0, 0], healthy=[0, 0]), FOUND, seed=0).yields.value)


def test_a_target_not_reached_counts_as_never():
    found = summarise(measured(target_spent=[30.0, 10.0, math.inf, 20.0, 40.0]), FOUND, seed=0)
    assert found.reached.value == 0.8
    assert (found.target_spent.value, found.target_spent.low, found.target_spent.high) == (30.0, 10.0, math.inf)
    half = summarise(measured(target_spent=[10.0, math.inf]), FOUND, seed=0)
    assert half.target_spent.value == math.inf


def test_every_scheduler_is_resampled_alike():
    values = np.random.default_rng(1).normal(50, 10, size=30)
    one, other = (summarise(measured(spent=values + shift), FOUND, seed=3).spent for shift in (0.0, 5.0))
    assert (other.low - one.low, other.high - one.high) == pytest.approx((5.0, 5.0))


def test_the_regret_curve_steps_down_when_a_trial_finishes():
    orders = measured(steps=[((0, 1.0), (10, 0.5)), ((0, 1.0), (10, 0.5), (50, 0.0))])
    found = regret_curve(orders, FOUND, seed=0)
    assert (found.spent[0], found.spent[-1]) == pytest.approx((1, 100))
    for spent, regret in ((9, 1.0), (11, 0.5), (49, 0.5), (99, 0.25)):
        assert found.regret[np.searchsorted(found.spent, spent) - 1] == regret
    assert (found.low <= found.regret).all()
    assert (found.regret <= found.high).all()
    assert (found.low[-1], found.high[-1]) == (0.0, 0.5)


def test_a_trial_that_misses_a_requirement_is_never_the_best():
    """Its own best epoch is the best of those that meet it, if one does."""
    curves = curves_of([
        [{SCORE: 0.9, "health/au": 4.0}, {SCORE: 0.8, "health/au": 4.0}],
        [{SCORE: 0.6, "health/au": 4.0}, {SCORE: 0.5, "health/au": 8.0}],
    ])  # fmt: skip
    free = truth(curves)
    assert (free.score.tolist(), free.best) == ([0.9, 0.6], 0.9)
    bound = truth(replace(curves, requirements=(Requirement.parse("health/au>=8"),)))
    assert (bound.score.tolist(), bound.best) == ([0.9, 0.5], 0.5)
    assert (bound.healthy.tolist(), bound.ranked.tolist()) == ([True, True], [False, True])
    ends = ended((0, 2, "", 2.0, 2), (1, 2, "", 4.0, 4))
    assert measure(ends, free).target_spent == 2
    assert measure(ends, bound).target_spent == 4
