"""The rungs alone."""

import math

import pytest

from tests.sweeps.schedulers.rows import Epoch, made
from trainables.health import Verdict


def test_the_worse_trial_stops_at_a_rung_with_the_numbers():
    scheduler = made("asha-stopping")
    assert not scheduler.on_epoch(1, Epoch(1, 0.5)).stop
    assert not scheduler.on_epoch(2, Epoch(1, 0.1)).stop
    decision = scheduler.on_epoch(3, Epoch(1, 0.25))
    assert (decision.stop, decision.reason) == (True, "RUNG")
    assert decision.detail == "val/elbo_gain 0.25 below the cutoff 0.5 of 3 trials at epoch 1"


def test_the_smaller_value_wins_with_mode_min():
    scheduler = made("asha-stopping", mode="min", metric="val/mse")
    assert not scheduler.on_epoch(1, Epoch(1, -0.5)).stop
    assert not scheduler.on_epoch(2, Epoch(1, -0.25)).stop
    decision = scheduler.on_epoch(3, Epoch(1, -0.75))
    assert decision.detail == "val/mse 0.75 above the cutoff 0.25 of 3 trials at epoch 1"
    assert not scheduler.on_epoch(4, Epoch(1, -0.125)).stop


@pytest.mark.parametrize("mode", ["max", "min"])
def test_nan_never_wins(mode):
    scheduler = made("asha-stopping", mode=mode)
    decision = scheduler.on_epoch(1, Epoch(1, math.nan))
    assert (decision.stop, decision.detail) == (True, "val/elbo_gain is nan at epoch 1")
    assert not any(scheduler.on_epoch(trial, Epoch(1, 0.0)).stop for trial in (2, 3, 4))


def test_it_does_not_hear_the_verdict():
    scheduler = made("asha-stopping")
    assert not scheduler.on_epoch(1, Epoch(2, 9.0, Verdict.COLLAPSED)).stop
    assert scheduler.on_epoch(1, Epoch(3, math.nan, Verdict.NUMERIC)).reason == "RUNG"


def test_a_trial_whose_kl_still_rises_is_compared_with_its_like():
    scheduler = made("asha-stopping")
    assert not scheduler.on_epoch(1, Epoch(1, 9.0, kl_rising=True)).stop
    assert not scheduler.on_epoch(2, Epoch(1, 1.0, kl_rising=True)).stop
    assert not any(scheduler.on_epoch(trial, Epoch(1, 1.0)).stop for trial in (3, 4, 5))
    decision = scheduler.on_epoch(6, Epoch(1, 2.0, kl_rising=True))
    assert decision.detail == "val/elbo_gain 2 below the cutoff 9 of 3 trials with rising KL at epoch 1"


def test_an_epoch_seen_before_changes_nothing():
    scheduler = made("asha-stopping")
    scheduler.on_epoch(1, Epoch(1, 0.5))
    before = repr(scheduler.rungs)
    assert not scheduler.on_epoch(1, Epoch(1, 99.0)).stop
    assert repr(scheduler.rungs) == before
    assert not any(scheduler.on_epoch(trial, Epoch(1, 0.6)).stop for trial in (2, 3))


@pytest.mark.parametrize(("eta", "stopped"), [(2, [2, 3]), (3, [3]), (4, [])])
def test_eta_is_how_many_share_one_place(eta, stopped):
    scheduler = made(f"asha-stopping:eta={eta}")
    scores = {1: 4.0, 2: 1.0, 3: 0.0}
    assert [trial for trial, score in scores.items() if scheduler.on_epoch(trial, Epoch(1, score)).stop] == stopped


@pytest.mark.parametrize(("grace", "rung"), [(0, 1), (0.05, 1), (0.25, 5), (0.9, 18)])
def test_the_grace_moves_the_first_rung(grace, rung):
    scheduler = made(f"asha-stopping:grace={grace}", epochs=20)
    stops = [
        epoch
        for epoch in range(1, 20)
        if [scheduler.on_epoch(trial, Epoch(epoch, -trial)).stop for trial in (1, 2, 3)][-1]
    ]
    assert stops[0] == rung
