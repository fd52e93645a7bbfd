"""The default, followed by hand: the verdict first, then legs, promotion, predicted ends and who is given up."""

import math

import pytest

from sweeps.schedulers import parse
from sweeps.schedulers.base import LoggedRow, Task
from tests.sweeps.schedulers.rows import SCORE, Epoch, made
from trainables.health import HealthConfig, Verdict

WAITS = [verdict for verdict in Verdict if verdict.condemned and verdict is not Verdict.NUMERIC]


def train(scheduler, trial, first, last, score=0.0, verdict=Verdict.HEALTHY):
    """The last decision of a trial that trains epochs `first` to `last`; `score`: a number or of the epoch."""
    value = score if callable(score) else lambda epoch: score
    decision = None
    for epoch in range(first, last + 1):
        hear = scheduler.end if epoch == scheduler.task.epochs else scheduler.on_epoch
        decision = hear(trial, Epoch(epoch, value(epoch), verdict))
    return decision


def begun(scheduler, trial, unstarted, control=False):
    """A worker takes up a trial that the scheduler chose, or a new one."""
    scheduler.resume(unstarted)
    scheduler.start(trial, control)


def finish(scheduler, trials, unstarted, gain=1.0):
    """Trials 1, 2, … that rise by `gain` from 0 to the end of the budget."""
    last = scheduler.task.epochs
    for trial in trials:
        begun(scheduler, trial, unstarted)
        for epoch in range(1, last + 1):
            if train(scheduler, trial, epoch, epoch, gain * epoch / last).pause:
                scheduler.start(trial)


# ---- the verdict


@pytest.mark.parametrize("verdict", WAITS)
def test_a_condemned_trial_waits_behind_all_others(verdict):
    scheduler = made("health-asha", epochs=40)
    begun(scheduler, 1, 2)
    decision = train(scheduler, 1, 1, 1, 9.0, verdict)
    assert (decision.pause, decision.reason, decision.detail) == (True, verdict, "sick at epoch 1")
    for trial in (2, 3):
        begun(scheduler, trial, 3 - trial)
        assert train(scheduler, trial, 1, 2, 0.1 * trial).pause == (trial == 2)
    assert scheduler.resume(0) == 2  # the better score of the condemned does not count


def test_numeric_stops_at_once():
    scheduler = made("health-asha")
    begun(scheduler, 1, 0)
    decision = train(scheduler, 1, 1, 1, math.nan, Verdict.NUMERIC)
    assert (decision.stop, decision.reason, decision.detail) == (True, "NUMERIC", "sick at epoch 1")


def test_a_condemned_trial_is_taken_up_at_last_while_recovery_is_plausible_and_ends_with_its_verdict():
    """Ten condemned trials of other sweeps stayed sick. Among 200 one in forty may still recover, among 20 one in
    four is no longer plausible."""
    for trials, taken_up in ((200, 1), (20, None)):
        scheduler = made("health-asha", epochs=40)
        begun(scheduler, 1, trials - 1)
        train(scheduler, 1, 1, 1, 0.5, Verdict.COLLAPSED)
        scheduler.resume(trials - 1)
        for other in range(2, trials + 1):
            scheduler.start(other)
            scheduler.forget(other)
        assert scheduler.resume(0) == taken_up
    ((trial, decision),) = scheduler.settle()
    assert (trial, decision.stop, decision.reason, decision.detail) == (1, True, "COLLAPSED", "sick at epoch 1")


def test_a_condemned_trial_that_was_taken_up_trains_a_leg_and_may_recover():
    scheduler = made("health-asha", epochs=40)
    begun(scheduler, 1, 199)
    train(scheduler, 1, 1, 1, 0.5, Verdict.COLLAPSED)
    begun(scheduler, 1, 0)
    assert train(scheduler, 1, 2, 2, 0.5, Verdict.COLLAPSED).reason == "COLLAPSED"  # the end of the leg
    begun(scheduler, 1, 0)
    assert not train(scheduler, 1, 3, 3, 0.5, Verdict.COLLAPSED).pause
    assert not train(scheduler, 1, 4, 39, 0.6).pause  # nobody else has the better prospects
    assert not train(scheduler, 1, 40, 40, 0.6).stop


def test_a_condemned_control_trains_to_its_end():
    scheduler = made("health-asha", epochs=40)
    begun(scheduler, 1, 9, control=True)
    decision = train(scheduler, 1, 1, 1, 0.1, Verdict.COLLAPSED)
    assert (decision.keep, decision.reason, decision.detail) == (True, "COLLAPSED", "sick at epoch 1")
    assert train(scheduler, 1, 2, 39, 0.1, Verdict.COLLAPSED) == scheduler.on_epoch(1, Epoch(39, 0.1))
    assert not train(scheduler, 1, 40, 40, 0.1, Verdict.COLLAPSED).stop


def test_who_is_condemned_in_the_last_epoch_is_stopped_in_name_unless_it_is_a_control():
    for control in (False, True):
        scheduler = made("health-asha")
        begun(scheduler, 1, 0, control)
        train(scheduler, 1, 1, 11, 1.0)
        assert train(scheduler, 1, 12, 12, 1.0, Verdict.COLLAPSED).stop is not control


# ---- legs


def test_trials_are_promoted_from_rung_to_rung_while_there_are_trials_to_begin():
    scheduler = made("health-asha", epochs=40)
    assert scheduler.rungs == [2, 6, 18, 40]
    for trial, score in ((1, 0.3), (2, 0.1)):
        begun(scheduler, trial, 20)
        decision = train(scheduler, trial, 1, 2, score)
        assert (decision.pause, decision.reason) == (True, "RUNG")
        assert decision.detail == f"val/elbo_gain {score} at epoch 2: others have the better prospects"
    assert scheduler.resume(20) is None  # of two nobody is a third
    begun(scheduler, 3, 20)
    decision = train(scheduler, 3, 1, 2, 0.5)
    assert not decision.pause  # it would be taken up at once
    assert decision.detail == "val/elbo_gain 0.5 at epoch 2: the best prospects of 3"
    assert train(scheduler, 3, 3, 6, 0.5).pause
    assert scheduler.resume(20) is None


def test_once_all_have_begun_the_best_predicted_end_goes_on():
    scheduler = made("health-asha", epochs=40)
    for trial, score in ((1, 0.3), (2, 0.1), (3, 0.2)):
        begun(scheduler, trial, 3 - trial)
        train(scheduler, trial, 1, 2, score)
    assert scheduler.resume(0) == 1
    begun(scheduler, 1, 0)
    assert not train(scheduler, 1, 3, 4, 0.3).pause
    assert not train(scheduler, 1, 5, 6, 0.3).pause  # no gain yet, and still the best
    assert 2 not in scheduler.pauses(1)
    assert 8 in scheduler.pauses(1)


def test_the_longer_way_counts_by_what_others_gained_on_it():
    scheduler = made("health-asha", epochs=40)
    for trial in (1, 2):
        begun(scheduler, trial, 2 - trial)
    train(scheduler, 1, 1, 2, 0.0)
    train(scheduler, 2, 1, 2, 0.1)
    begun(scheduler, 2, 0)
    train(scheduler, 2, 3, 4, lambda epoch: 0.1 * epoch)  # it gains 0.1 an epoch
    (one,), (other,) = scheduler.predicted(1), scheduler.predicted(2)
    assert one == pytest.approx(0.0 + 0.2 + 0.1)  # what 2 gained, on the mean, in epochs 3 and 4
    assert other == pytest.approx(0.4)


# ---- who is given up


def test_who_has_no_plausible_way_to_the_best_is_given_up_with_the_numbers():
    scheduler = made("health-asha", epochs=40)
    finish(scheduler, (1, 2, 3, 4), 6)
    begun(scheduler, 5, 5)
    assert train(
        scheduler, 5, 1, 2, -0.4
    ).pause  # 1.4 missing; the others gained 0.95 from there: 1.5 times as much is
    assert scheduler.given_up() == []
    begun(scheduler, 6, 4)
    decision = train(scheduler, 6, 1, 2, -0.5)
    assert (decision.stop, decision.reason) == (True, "GIVEN_UP")
    assert decision.detail == (
        "val/elbo_gain at best -0.5: needs 1.5 more in 38 epochs; of 4 trials that finished healthy none gained more "
        "than 0.95 from epoch 2 on"
    )


def test_who_misses_a_requirement_is_not_the_best_that_others_are_given_up_for():
    scheduler = made("health-asha", epochs=40)
    for trial in (1, 2, 3, 4):
        begun(scheduler, trial, 6)
        for epoch in range(1, 41):
            hear = scheduler.end if epoch == 40 else scheduler.on_epoch
            if hear(trial, Epoch(epoch, epoch / 40, met=trial == 1 and epoch < 20)).pause:
                scheduler.start(trial)
    begun(scheduler, 5, 5)
    assert train(scheduler, 5, 1, 2, -0.9).pause  # 1.375 from the best epoch that meets it, of trial 1
    begun(scheduler, 6, 4)
    assert train(scheduler, 6, 1, 2, -1.0).stop


def test_a_finish_gives_up_those_that_wait():
    scheduler = made("health-asha", epochs=40)
    begun(scheduler, 1, 9)
    train(scheduler, 1, 1, 2, -0.5)
    finish(scheduler, (2, 3, 4), 5)
    assert scheduler.given_up() == []  # three finished trials are too few
    finish(scheduler, (5,), 5)
    ((trial, decision),) = scheduler.given_up()
    assert (trial, decision.stop, decision.reason) == (1, True, "GIVEN_UP")
    assert scheduler.given_up() == []
    assert scheduler.paused == {}


def test_a_control_that_is_given_up_trains_to_its_end():
    scheduler = made("health-asha", epochs=40)
    begun(scheduler, 1, 9, control=True)
    train(scheduler, 1, 1, 2, -0.5)
    finish(scheduler, (2, 3, 4, 5), 1)
    ((trial, decision),) = scheduler.given_up()
    assert (trial, decision.keep, decision.reason) == (1, True, "GIVEN_UP")
    begun(scheduler, 6, 0)
    assert train(scheduler, 6, 1, 2, 0.1).pause is False  # a control comes last
    scheduler.forget(6)
    assert scheduler.resume(0) == 1
    begun(scheduler, 1, 0)
    assert not any(train(scheduler, 1, epoch, epoch, -0.5).pause for epoch in range(3, 40))


def test_many_trials_ask_for_more_evidence():
    for trials, given_up in ((10, True), (100, False)):
        scheduler = made("health-asha", epochs=40)
        finish(scheduler, (1, 2, 3, 4), trials - 4)
        begun(scheduler, 5, trials - 5)
        assert train(scheduler, 5, 1, 2, -9.0).stop is given_up


def test_a_failed_trial_sets_no_rung():
    scheduler = made("health-asha", epochs=40)
    for trial, score in ((1, 0.3), (2, 0.9), (3, 0.1)):
        begun(scheduler, trial, 20)
        train(scheduler, trial, 1, 2, score)
    assert scheduler.resume(20) == 2
    scheduler.forget(2)
    scheduler.leave(2)
    assert scheduler.resume(20) is None


@pytest.mark.parametrize(("epochs", "rungs"), [(1, [1]), (2, [2]), (3, [2, 3]), (100, [5, 15, 45, 100])])
def test_the_first_rung_lies_at_the_end_of_the_grace_and_no_leg_is_a_single_epoch(epochs, rungs):
    assert made("health-asha", epochs=epochs).rungs == rungs


# ---- settings


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


# ---- what earlier sweeps foretell


def foretold(places):
    """Four trials with the scores 0.4, 0.3, … at the first rung: the best has been taken up, the others wait, and 16
    are to begin."""
    scheduler = made("health-asha", epochs=40)
    for trial, place in enumerate(places, 1):
        scheduler.foretell(trial, place)
    for trial in (1, 2, 3, 4):
        begun(scheduler, trial, 20 - trial)
    assert all(train(scheduler, trial, 1, 2, 0.5 - 0.1 * trial).pause for trial in (1, 2, 3, 4))
    assert scheduler.resume(16) == 1
    scheduler.start(1)
    return scheduler


def test_a_trial_need_not_wait_for_others_where_the_scores_agree_with_what_was_foretold():
    scheduler = foretold([0.8, 0.6, 0.4, 0.2])
    assert not train(scheduler, 1, 3, 6, 0.4).pause  # nobody else has come that far
    assert scheduler.resume(16) == 2


@pytest.mark.parametrize("places", [(), (0.2, 0.4, 0.6, 0.8), (0.8, 0.2, 0.6, 0.4), (0.5, 0.5, 0.5, 0.5)])
def test_what_was_foretold_counts_for_nothing_where_the_scores_do_not_agree(places):
    scheduler = foretold(places)
    assert train(scheduler, 1, 3, 6, 0.4).pause
    assert scheduler.resume(16) is None


def test_what_was_foretold_counts_until_a_trial_has_finished():
    scheduler = foretold([0.8, 0.6, 0.4, 0.2])
    for epoch in range(3, 41):
        assert not train(scheduler, 1, epoch, epoch, 0.4).pause
    assert scheduler.resume(16) is None
