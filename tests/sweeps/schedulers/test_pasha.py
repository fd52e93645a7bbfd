"""Promotion from rung to rung, followed by hand. Rungs of 27 epochs with η 3: 2, 6, 18, 27."""

import math

from tests.sweeps.schedulers.rows import Epoch, made


def waiting(scores: dict[int, float]):
    """Trials that wait at the lowest rung."""
    scheduler = made("pasha", epochs=27)
    for trial, score in scores.items():
        train(scheduler, trial, 2, score)
    return scheduler


def train(scheduler, trial: int, epoch: int, score: float):
    """Until the epoch, after which it has to wait."""
    scheduler.start(trial)
    assert scheduler.pauses(trial) == [epoch]
    decision = scheduler.on_epoch(trial, Epoch(epoch, score))
    assert decision.pause
    return decision


def test_a_free_worker_takes_the_best_of_a_third():
    scheduler = waiting({1: 0.5, 2: 0.9})
    assert scheduler.rungs == [2, 6, 18, 27]
    assert scheduler.resume(9) is None  # of two nobody is a third
    train(scheduler, 3, 2, 0.1)
    assert scheduler.resume(9) == 2
    assert scheduler.resume(9) == 2  # only proposes
    train(scheduler, 2, 6, 1.0)
    assert scheduler.resume(9) is None


def test_no_rung_is_added_while_the_ranking_stays():
    scheduler = waiting({trial: float(trial) for trial in range(1, 10)})
    for trial, score in ((9, 90.0), (8, 80.0), (7, 70.0)):
        assert scheduler.resume(9) == trial
        train(scheduler, trial, 6, score)
    assert scheduler.top == 1
    assert scheduler.resume(9) is None  # the best of the top rung stays there


def test_a_ranking_that_changes_adds_a_rung():
    scheduler = waiting({trial: float(trial) for trial in range(1, 10)})
    for trial, score in ((9, 70.0), (8, 80.0), (7, 90.0)):
        assert scheduler.resume(9) == trial
        train(scheduler, trial, 6, score)
    assert scheduler.top == 2
    assert scheduler.resume(9) == 7
    assert train(scheduler, 7, 18, 99.0).detail == "val/elbo_gain 99 waits at the rung of epoch 18"


def test_curves_that_cross_twice_tell_how_far_two_scores_may_lie_apart():
    scheduler = made("pasha", epochs=27)
    for trial, scores in {1: [1.0, 3.0, 1.0, 3.0, 1.0, 3.0], 2: [2.0] * 5 + [2.5], 3: [0.0] * 6}.items():
        scheduler.start(trial)
        for epoch, score in enumerate(scores[:2], start=1):
            scheduler.on_epoch(trial, Epoch(epoch, score))
        scheduler.start(trial)
        for epoch, score in enumerate(scores[2:], start=3):
            scheduler.on_epoch(trial, Epoch(epoch, score))
    assert scheduler.epsilon() == 0.5  # of 1 and 2 alone: 3 never crosses them


def test_the_best_is_finished_when_nothing_else_is_left():
    scheduler = waiting({1: 0.5, 2: 0.9})
    scheduler.start(3)
    assert scheduler.resume(0) is None  # it still runs
    scheduler.forget(3)
    assert scheduler.resume(1) is None  # a new trial comes first
    assert scheduler.resume(0) == 2
    scheduler.start(2)
    assert scheduler.pauses(2) == [27]
    assert not scheduler.on_epoch(2, Epoch(6, 1.0)).pause  # straight to the end
    scheduler.end(2, Epoch(27, 2.0))
    assert scheduler.resume(0) is None
    ((trial, decision),) = scheduler.settle()
    assert (trial, decision.stop, decision.reason) == (1, True, "RUNG")
    assert decision.detail == "val/elbo_gain 0.5 at the rung of epoch 2: ranked 2 of 2, not promoted"


def test_who_is_not_finite_is_never_taken_up():
    scheduler = waiting({1: math.nan, 2: math.inf, 3: math.nan})
    assert scheduler.resume(0) is None
    assert {decision.detail.rpartition(": ")[2] for _, decision in scheduler.settle()} == {
        "no finite number, not promoted"
    }
