"""The default: the verdict first, the rungs behind it."""

import pytest

from sweeps.schedulers import parse
from sweeps.schedulers.base import LoggedRow, Task
from tests.sweeps.schedulers.rows import SCORE, Epoch, made
from trainables.health import HealthConfig, Verdict

CONDEMNED = [verdict for verdict in Verdict if verdict.condemned]


@pytest.mark.parametrize("verdict", CONDEMNED)
def test_a_condemned_trial_stops_at_once_and_leaves_the_rungs(verdict):
    scheduler = made("health-asha")
    scheduler.on_epoch(1, Epoch(1, 9.0))
    decision = scheduler.on_epoch(1, Epoch(2, 9.0, verdict))
    assert (decision.stop, decision.reason, decision.detail) == (True, verdict, "sick at epoch 2")
    assert not any(scheduler.on_epoch(trial, Epoch(1, 0.1)).stop for trial in (2, 3, 4))


def test_the_grace_stops_nothing():
    scheduler = made("health-asha")
    assert not scheduler.on_epoch(1, Epoch(1, 9.0, Verdict.GRACE)).stop
    assert not scheduler.on_epoch(2, Epoch(1, 0.2)).stop
    assert scheduler.on_epoch(3, Epoch(1, 0.1)).stop  # the values of the first count


def test_a_condemned_control_runs_on_outside_the_rungs():
    scheduler = made("health-asha")
    scheduler.start(1, control=True)
    scheduler.on_epoch(1, Epoch(1, 9.0))
    scheduler.on_epoch(2, Epoch(3, 1.0))
    scheduler.on_epoch(3, Epoch(3, 1.0))
    assert not scheduler.on_epoch(1, Epoch(2, 9.0, Verdict.COLLAPSED)).stop
    assert not scheduler.on_epoch(1, Epoch(3, -9.0, Verdict.COLLAPSED)).stop
    assert not scheduler.on_epoch(1, Epoch(9, 99.0)).stop  # recovered: still outside
    assert not any(scheduler.on_epoch(trial, Epoch(1, 0.1)).stop for trial in (4, 5, 6))
    assert not any(scheduler.on_epoch(trial, Epoch(9, 1.0)).stop for trial in (2, 3, 4))
    assert not scheduler.end(1, Epoch(12, 9.0, Verdict.COLLAPSED)).stop


def test_a_healthy_control_is_ranked_like_any_other():
    scheduler = made("health-asha")
    scheduler.on_epoch(1, Epoch(1, 9.0))
    scheduler.on_epoch(2, Epoch(1, 2.0))
    scheduler.start(3, control=True)
    assert scheduler.on_epoch(3, Epoch(1, 1.0)).stop


def test_who_is_condemned_in_the_last_epoch_is_stopped_in_name():
    scheduler = made("health-asha")
    scheduler.start(2, control=True)
    decision = scheduler.end(1, Epoch(12, 1.0, Verdict.COLLAPSED))
    assert (decision.stop, decision.reason, decision.detail) == (True, "COLLAPSED", "sick at epoch 12")
    assert not scheduler.end(2, Epoch(12, 1.0, Verdict.COLLAPSED)).stop
    assert not made("asha").end(1, Epoch(12, 1.0, Verdict.COLLAPSED)).stop


def test_what_a_trial_condemned_in_the_last_epoch_left_at_the_rungs_stays():
    scheduler = made("health-asha")
    scheduler.on_epoch(1, Epoch(1, 9.0))
    scheduler.end(1, Epoch(12, 1.0, Verdict.COLLAPSED))
    assert not scheduler.on_epoch(2, Epoch(1, 0.2)).stop
    assert scheduler.on_epoch(3, Epoch(1, 0.1)).stop


def test_a_failed_trial_sets_no_cutoff():
    scheduler = made("health-asha")
    scheduler.on_epoch(1, Epoch(1, 9.0))
    scheduler.forget(1)
    assert not any(scheduler.on_epoch(trial, Epoch(1, 0.1)).stop for trial in (2, 3, 4))


def test_the_first_rung_lies_at_the_end_of_the_grace():
    scheduler = made("health-asha", epochs=100)
    stops = [[scheduler.on_epoch(trial, Epoch(epoch, -trial)).stop for trial in (1, 2, 3)] for epoch in range(1, 6)]
    assert stops == [[False] * 3] * 4 + [[False, False, True]]


def test_settings_not_given_are_those_of_the_health_thresholds():
    known = HealthConfig(grace_share=0.2, consecutive=4, kl_floor=0.1)
    assert parse("health-asha:patience=1").settings.health(known) == HealthConfig(
        grace_share=0.2, consecutive=1, kl_floor=0.1
    )
    assert parse("health-asha:grace=0.3,control=0").settings.health(known) == HealthConfig(
        grace_share=0.3, consecutive=4, kl_floor=0.1, control_share=0.0
    )
    assert parse("asha:grace=0.3").settings.health(known) == known


def test_a_row_of_the_epoch_log_is_read_as_it_was_written():
    task = Task(12, "val/mse", "min")
    row = {"epoch": 3, "val/mse": 0.5, "verdict": "COLLAPSED", "verdict_detail": "why", SCORE: 9.0,
           "schedule/kl_weight": 1e-4, "schedule/kl_weight_final": 1e-3}  # fmt: skip
    read = LoggedRow(row, task)
    found = (read.epoch, read.score, read.verdict, read.verdict_detail, read.kl_rising)
    assert found == (3, -0.5, Verdict.COLLAPSED, "why", True)
    bare = LoggedRow({"epoch": 1}, task)
    assert (bare.verdict, bare.verdict_detail, bare.kl_rising) == (Verdict.HEALTHY, "", False)
    assert bare.score != bare.score
