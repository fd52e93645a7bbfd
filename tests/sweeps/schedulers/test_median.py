"""The median rule on numbers small enough for paper."""

import math

import pytest

from tests.sweeps.schedulers.rows import Epoch, made


def complete(scheduler, trial: int, values: list[float]) -> None:
    for epoch, value in enumerate(values[:-1], start=1):
        assert not scheduler.on_epoch(trial, Epoch(epoch, value)).stop
    scheduler.end(trial, Epoch(len(values), values[-1]))


def test_nothing_stops_before_a_trial_has_completed():
    scheduler = made("median")
    assert not any(
        scheduler.on_epoch(trial, Epoch(epoch, -100.0)).stop for trial in range(5) for epoch in range(1, 4)
    )


def test_the_median_is_of_running_means_up_to_the_same_epoch():
    scheduler = made("median:grace=0", epochs=3)
    complete(scheduler, 1, [2.0, 4.0, 9.0])  # means 2, 3, 5
    complete(scheduler, 2, [4.0, 4.0, 1.0])  # means 4, 4, 3
    assert [scheduler.median(epoch) for epoch in (1, 2, 3)] == [3.0, 3.5, 4.0]
    complete(scheduler, 3, [9.0, 9.0, 9.0])
    assert [scheduler.median(epoch) for epoch in (1, 2, 3)] == [4.0, 4.0, 5.0]


def test_the_best_value_so_far_counts_and_a_tie_goes_on():
    scheduler = made("median:grace=0", epochs=4)
    complete(scheduler, 1, [2.0, 4.0, 9.0, 9.0])  # means 2, 3, 5
    assert not scheduler.on_epoch(2, Epoch(1, 3.0)).stop
    assert not scheduler.on_epoch(2, Epoch(2, -7.0)).stop  # best so far 3, median 3
    decision = scheduler.on_epoch(2, Epoch(3, 4.99))
    assert decision.stop
    assert decision.detail == "val/elbo_gain at best 4.99, below the median 5 of 1 finished trials at epoch 3"


def test_the_grace_stops_nothing():
    scheduler = made("median:grace=0.5", epochs=4)
    complete(scheduler, 1, [1.0] * 4)
    assert [scheduler.on_epoch(2, Epoch(epoch, 0.0)).stop for epoch in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_stops_at_once(value):
    assert made("median:grace=0.9").on_epoch(1, Epoch(1, value)).stop


def test_only_the_completed_count():
    scheduler = made("median:grace=0", epochs=3)
    complete(scheduler, 1, [1.0, 1.0, math.nan])  # no last value
    scheduler.on_epoch(2, Epoch(1, 9.0))
    scheduler.forget(2)
    assert scheduler.median(1) == -math.inf
    complete(scheduler, 3, [5.0, 5.0, 5.0])
    complete(scheduler, 4, [5.0, 5.0, 0.0])  # to its end, if below the median there
    assert scheduler.median(3) == pytest.approx((5.0 + 10 / 3) / 2)
