"""The median rule on numbers small enough for paper."""

import math

import pytest

from analysis.replay.median import MedianRule


def completed(rule: MedianRule, trial: int, values: list[float]) -> None:
    for value in values:
        rule.stops(trial, value)
    rule.completed(trial)


def test_nothing_stops_before_a_trial_has_completed():
    rule = MedianRule()
    assert not any(rule.stops(trial, -100.0) for trial in range(5) for _ in range(3))


def test_the_median_is_of_running_means_up_to_the_same_epoch():
    rule = MedianRule(grace=0)
    completed(rule, 1, [2.0, 4.0, 9.0])  # means 2, 3, 5
    completed(rule, 2, [4.0, 4.0, 1.0])  # means 4, 4, 3
    assert [rule.median(epoch) for epoch in (1, 2, 3)] == [3.0, 3.5, 4.0]
    completed(rule, 3, [9.0, 9.0, 9.0])
    assert [rule.median(epoch) for epoch in (1, 2, 3)] == [4.0, 4.0, 5.0]


def test_the_best_value_so_far_counts_and_a_tie_goes_on():
    rule = MedianRule(grace=0)
    completed(rule, 1, [2.0, 4.0, 9.0])  # means 2, 3, 5
    assert not rule.stops(2, 3.0)
    assert not rule.stops(2, -7.0)  # best so far 3, median 3
    assert rule.stops(2, 4.99)  # best so far 4.99, median 5


def test_the_grace_stops_nothing():
    rule = MedianRule(grace=2)
    completed(rule, 1, [1.0, 1.0, 1.0])
    assert [rule.stops(2, 0.0) for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_at_once(value):
    assert MedianRule(grace=9).stops(1, value)
