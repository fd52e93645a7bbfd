"""Successive halving, rung by rung."""

import math

import pytest

from sweeps.schedulers.rungs import Rungs, milestones


@pytest.mark.parametrize(
    ("epochs", "factor", "first", "expected"),
    [(12, 3, 1, [1, 3, 9]), (9, 3, 1, [1, 3]), (100, 3, 5, [5, 15, 45]), (100, 2, 30, [30, 60]), (1, 3, 1, [])],
)
def test_milestones(epochs, factor, first, expected):
    assert milestones(epochs, factor, first) == expected


@pytest.mark.parametrize(("factor", "first"), [(1, 1), (3, 0)])
def test_impossible_settings_are_refused(factor, first):
    with pytest.raises(ValueError, match=f"reduction_factor={factor}, first={first}: expected at least 2 and 1"):
        Rungs(10, factor, first)


def test_the_best_third_goes_on():
    rungs = Rungs(12)
    decisions = [rungs.judge(trial, 3, value) for trial, value in enumerate([1.0, 2.0, 0.5, 1.5, 1.9, 3.0, 1.95])]
    assert [decision.go_on for decision in decisions] == [True, True, False, False, False, True, False]
    assert [decision.seen for decision in decisions] == [1, 2, 3, 4, 5, 6, 7]
    assert [decision.cutoff for decision in decisions[2:]] == [2.0] * 5


@pytest.mark.parametrize(("third", "goes_on"), [(0.5, False), (2.0, True)])
def test_a_rung_stops_nobody_before_eta_trials_have_reached_it(third, goes_on):
    rungs = Rungs(12, reduction_factor=3)
    assert rungs.judge(1, 3, 1.0).go_on
    assert rungs.judge(2, 3, -100.0).go_on
    assert rungs.judge(3, 3, third).go_on is goes_on


def test_between_rungs_every_trial_goes_on():
    rungs = Rungs(12)
    for epoch in (3, 4, 12):
        rungs.judge(1, epoch, 5.0)
        rungs.judge(2, epoch, 5.0)
    assert rungs.judge(3, 4, -100.0).go_on
    assert rungs.judge(3, 12, -100.0).go_on  # the last epoch is no rung
    assert not rungs.judge(3, 3, -100.0).go_on


def test_equal_values_go_on_together():
    rungs = Rungs(12)
    assert all(rungs.judge(trial, 3, 1.0).go_on for trial in range(6))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_never_wins_and_sets_no_cutoff(value):
    rungs = Rungs(12)
    assert not rungs.judge(1, 3, value).go_on  # even alone
    decisions = [rungs.judge(trial, 3, -5.0) for trial in (2, 3, 4)]
    assert [(decision.go_on, decision.seen) for decision in decisions] == [(True, 1), (True, 2), (True, 3)]


def test_a_forgotten_trial_sets_no_cutoff():
    rungs = Rungs(12)
    rungs.judge(1, 1, 10.0)
    rungs.judge(1, 3, 10.0)
    rungs.judge(2, 3, 0.0)
    assert not rungs.judge(3, 3, 1.0).go_on
    rungs.forget(1)
    rungs.forget(99)
    decision = rungs.judge(4, 3, 2.0)
    assert (decision.go_on, decision.cutoff, decision.seen) == (True, 2.0, 3)
    assert rungs.judge(5, 1, -1.0).seen == 1


def test_cohorts_do_not_meet():
    rungs = Rungs(12)
    rungs.judge(1, 3, 10.0, "rising KL")
    rungs.judge(2, 3, 0.0, "rising KL")
    decisions = [rungs.judge(trial, 3, 1.0) for trial in (3, 4, 5)]
    assert [(decision.go_on, decision.seen) for decision in decisions] == [(True, 1), (True, 2), (True, 3)]
    assert not rungs.judge(6, 3, 1.0, "rising KL").go_on


def test_judging_twice_counts_once():
    rungs = Rungs(12)
    rungs.judge(1, 3, 1.0)
    assert rungs.judge(1, 3, 1.0).seen == 1
