"""Promotion from rung to rung, followed by hand. Rungs of 27 epochs with η 3: 2, 6, 18, 27."""

import math

import pytest

from sweeps.schedulers.asha import Rung
from tests.sweeps.schedulers.rows import Epoch, made


def train(scheduler, trial, epoch, score):
    """Until the epoch, after which it has to wait."""
    scheduler.start(trial)
    assert scheduler.pauses(trial) == [epoch]
    assert scheduler.on_epoch(trial, Epoch(epoch, score)).pause


def test_algorithm_2_of_the_paper_by_hand():
    """Nine trials, the better the earlier: who is promoted, and when, is that of the paper's rule."""
    scheduler, order = made("asha", epochs=27), []
    for new in range(1, 10):
        while (trial := scheduler.resume(10 - new)) is not None:
            order.append((trial, scheduler.rungs[scheduler.level[trial]]))
            train(scheduler, trial, scheduler.rungs[scheduler.level[trial] + 1], -trial)
        train(scheduler, new, 2, -new)
    assert scheduler.rungs == [2, 6, 18, 27]
    # of three at the first rung one may go on, of six a second, of nine a third
    assert order == [(1, 2), (2, 2)]
    assert scheduler.resume(0) == 3
    train(scheduler, 3, 6, -3)
    assert scheduler.resume(0) == 1  # the best of the three at the second rung


def test_at_the_end_the_best_of_the_highest_rung_is_finished_and_the_others_are_stopped():
    scheduler = made("asha", epochs=27)
    train(scheduler, 1, 2, 0.5)
    train(scheduler, 2, 2, 0.9)
    assert scheduler.resume(0) == 2
    scheduler.start(2)
    assert not scheduler.on_epoch(2, Epoch(6, 1.0)).pause
    scheduler.end(2, Epoch(27, 2.0))
    assert scheduler.resume(0) is None
    ((trial, decision),) = scheduler.settle()
    assert (trial, decision.stop, decision.reason) == (1, True, "RUNG")
    assert decision.detail == "val/elbo_gain 0.5 at the rung of epoch 2: ranked 2 of 2, not promoted"


def test_who_has_failed_stands_at_no_rung():
    scheduler = made("asha", epochs=27)
    for trial in (1, 2, 3):
        train(scheduler, trial, 2, float(trial))
    scheduler.forget(3)
    scheduler.leave(3)
    assert scheduler.resume(9) is None


@pytest.mark.parametrize(("eta", "promotable"), [(2, 3), (3, 3), (4, None)])
def test_one_in_eta_of_a_rung_is_promotable(eta, promotable):
    rung = Rung()
    for trial in (1, 2, 3):
        rung.reached(trial, (float(trial),))
    assert rung.promotable(eta, lambda trial: True) == promotable
    assert rung.promotable(eta, lambda trial: trial != 3) is None


def test_a_score_that_is_not_finite_counts_and_is_never_promoted():
    rung = Rung()
    for trial, score in ((1, math.nan), (2, math.inf), (3, 0.0)):
        rung.reached(trial, (score,))
    assert rung.ranked() == [3]
    assert rung.promotable(3, lambda trial: True) == 3
    rung.forget(1)
    assert rung.promotable(3, lambda trial: True) is None
