import math
from dataclasses import replace

import pytest

from sweeps.records import record
from sweeps.records.journal import Extended, SweepState, TrialRecord
from sweeps.records.outcomes import Status, SweepStatus
from sweeps.tracking import projection
from sweeps.tracking.projection import LogSummary

SWEEP = {
    "name": "demo",
    "id": "5eeb",
    "model": "imc_vae",
    "created": 1000.0,
    "config": {"epochs": 10, "seed": 7, "metric": ["val/elbo_gain"], "mode": ["max"], "set": ["latent_dim=16"]},
    "space": [],
    "data": {"source": "embedded", "fingerprint": "f00d"},
    "code": {"commit": None, "dirty": False},
    "packages": {"torch": "2.13.0"},
    "command": ["sweeps/run.py", "imc_vae"],
}


def trial(index=1, status=Status.FINISHED, score=0.5, **fields):
    times = {"suggested_at": 10.0, "started_at": 20.0, "ended_at": 30.0}
    metrics = {"val/elbo_gain": score}
    return TrialRecord(index, {"learning_rate": 1e-3}, "search", status=status, metrics=metrics, **times | fields)


def row(epoch, **values):
    fixed = {"trial": 1, "epoch": epoch, "seconds": 2.0 * epoch, "verdict": "HEALTHY", "verdict_detail": ""}
    return fixed | {"control": False, "config/learning_rate": 1e-3} | values


@pytest.mark.parametrize(
    ("status", "reason", "expected", "tags"),
    [
        (Status.RUNNING, "", "RUNNING", {}),
        (Status.FINISHED, "", "FINISHED", {}),
        (Status.STOPPED, "RUNG", "KILLED", {"stop.reason": "RUNG", "stop.epoch": "4", "stop.detail": "why"}),
        (Status.FAILED, "ERROR", "FAILED", {"stop.reason": "ERROR", "stop.epoch": "4", "error": "why"}),
        (
            Status.INTERRUPTED,
            "SIGNAL",
            "KILLED",
            {"stop.reason": "SIGNAL", "stop.epoch": "4", "stop.detail": "why", "resumable": "true"},
        ),
    ],
)
def test_only_finished_trials_end_finished(status, reason, expected, tags):
    view = projection.trial_view(
        record.of(SWEEP), trial(status=status, reason=reason, detail="why", epoch=4), LogSummary(4)
    )

    assert view.status == expected
    assert {name: value for name, value in view.tags.items() if name in projection.TRANSIENT_TAGS} == tags


def test_the_score_on_the_test_part_stands_beside_the_best_one():
    sweep = record.of(SWEEP | {"config": SWEEP["config"] | {"test": True}})
    told = replace(trial(), metrics={"val/elbo_gain": 0.5, "test/elbo_gain": 0.4, "test/mse": 0.1})
    view = projection.trial_view(sweep, told, LogSummary(4, best_epoch=3))
    assert [(point.key, point.value, point.step) for point in view.metrics] == [
        ("best/val/elbo_gain", 0.5, 3), ("best/test/elbo_gain", 0.4, 3),
    ]  # fmt: skip


def test_stated_targets_and_notes_are_tags():
    stated = [
        {"metric": "val/elbo_gain", "text": "it works", "source": "notes", "low": 0.4, "high": None, "when": {}},
        {"metric": "val/elbo_gain", "text": "and well", "source": "notes", "low": 0.9, "high": None, "when": {}},
        {"metric": "val/elbo_gain", "text": "wide", "source": "notes", "low": 0.1, "high": 1.0, "when": {"width": 8}},
        {"metric": "val/other", "text": "unknown", "source": "notes", "low": 0.1, "high": 1.0, "when": {}},
    ]
    sweep = record.of(SWEEP | {"targets": stated, "notes": {"data": ["a is left out", "b is grey"], "model": []}})
    assert projection.trial_view(sweep, trial(), LogSummary(4)).tags["targets.met"] == "1 of 2"
    assert "targets.met" not in projection.trial_view(record.of(SWEEP), trial(), LogSummary(4)).tags
    tags = projection.sweep_view(sweep, SweepState(), {}).tags
    assert tags["note.data"] == "a is left out; b is grey"
    assert "note.data" not in projection.sweep_view(record.of(SWEEP), SweepState(), {}).tags


def test_an_extension_is_a_tag():
    state = SweepState(extended=[Extended(5, 9, 1_760_000_000.0), Extended(9, 20, 1_760_086_400.0)])
    assert projection.sweep_view(record.of(SWEEP), state, {}).tags["sweep.extended"] == (
        "from 5 to 9 trials on 2025-10-09 08:53 UTC; from 9 to 20 trials on 2025-10-10 08:53 UTC"
    )


def test_points_carry_the_time_of_their_epoch_and_only_what_is_new():
    rows = [row(1, **{"val/r2": 0.1}), row(2, **{"val/r2": 0.2})]

    assert projection.points(trial(), rows, after=1) == [("val/r2", 0.2, 24_000, 2)]


def test_values_that_are_not_finite_become_a_tag():
    a, b = "train/loss", "val/psnr"
    rows = [row(1, **{a: 1.0, b: None}), row(2, **{a: math.nan, b: math.inf}), row(3, **{a: math.nan, b: 2.0})]

    assert [(point.key, point.step) for point in projection.points(trial(), rows, after=0)] == [(a, 1), (b, 3)]
    assert projection.summarise(rows).nonfinite == f"{a} at epoch 2, {b} at epoch 2"


def test_what_is_no_metric_is_no_point():
    rows = [row(1, best_epoch=1, **{"latent/kl": [0.1, 0.2], "val/mse": 0.5})]

    assert [point.key for point in projection.points(trial(), rows, after=0)] == ["val/mse"]


def test_the_best_epoch_is_a_metric_of_its_own():
    rows = [row(epoch, best_epoch=min(epoch, 2)) for epoch in (1, 2, 3)]

    view = projection.trial_view(record.of(SWEEP), trial(score=0.7), projection.summarise(rows))

    assert [(point.key, point.value, point.step) for point in view.metrics] == [("best/val/elbo_gain", 0.7, 2)]
    assert (view.tags["best_epoch"], view.tags["epochs"]) == ("2", "3")


def test_a_long_error_keeps_its_beginning_and_its_end():
    ended = trial(status=Status.FAILED, reason="ERROR", detail="Traceback" + "x" * 20_000 + "ValueError: boom")

    error = projection.trial_view(record.of(SWEEP), ended, LogSummary()).tags["error"]

    assert error.startswith("Traceback")
    assert error.endswith("ValueError: boom")
    assert len(error) <= 5000


def test_forecast_numbers_are_metrics_so_that_they_sort_as_numbers():
    ended = trial(forecast={"sigma2": 0.25, "au": 3, "kl": math.nan, "collapsed": True})

    view = projection.trial_view(record.of(SWEEP), ended, LogSummary())

    forecast = {point.key: point.value for point in view.metrics if point.key.startswith("forecast/")}
    assert forecast == {"forecast/sigma2": 0.25, "forecast/au": 3.0}
    assert view.tags["forecast.collapsed"] == "true"


def test_a_condemned_control_is_not_the_best_trial():
    state = SweepState({1: trial(1, score=0.9), 2: trial(2, score=0.4), 3: trial(3, Status.STOPPED, score=0.8)})
    logs = {1: LogSummary(10, "COLLAPSED", control=True), 2: LogSummary(10, "HEALTHY"), 3: LogSummary(5)}

    assert projection.best_trial(record.of(SWEEP).config, state, logs) == 2
    state.best = 1
    assert projection.best_trial(record.of(SWEEP).config, state, logs) == 1


def test_the_best_of_a_metric_to_minimise_is_the_smallest():
    state = SweepState({1: trial(1, score=0.9), 2: trial(2, score=0.4)})

    assert projection.best_trial(replace(record.of(SWEEP).config, mode=["min"]), state, {}) == 2


def test_the_parent_counts_what_became_of_the_trials():
    collapsed = trial(2, Status.STOPPED, reason="COLLAPSED", epoch=4)
    state = SweepState(
        {1: trial(1, epoch=10), 2: collapsed, 3: trial(3, Status.FAILED, epoch=1)}, SweepStatus("started")
    )
    logs = {1: LogSummary(10, "COLLAPSED", control=True), 2: LogSummary(4), 3: LogSummary(1)}

    view = projection.sweep_view(record.of(SWEEP), state, logs)

    assert view.status == "RUNNING"
    assert {point.key: point.value for point in view.metrics} == {
        "sweep/finished": 1,
        "sweep/stopped": 1,
        "sweep/stopped_collapsed": 1,
        "sweep/failed": 1,
        "sweep/controls": 1,
        "sweep/epochs_run": 15,
        "sweep/epochs_saved": 6,
    }
    assert {point.step for point in view.metrics} == {15}
    assert view.params["set"] == '["latent_dim=16"]'


def test_without_its_driver_nothing_runs():
    state = SweepState({1: trial(1), 2: trial(2, Status.RUNNING)}, SweepStatus("started"))

    lost = projection.as_lost(state)

    assert (lost.status, lost.trials[1].status, lost.trials[2].status) == ("interrupted", "FINISHED", "INTERRUPTED")
    assert lost.trials[2].reason == "DRIVER_LOST"
    assert state.trials[2].status == "RUNNING"


def test_an_interrupted_sweep_has_nothing_running_and_keeps_its_own_reason():
    state = SweepState({1: trial(1, Status.RUNNING)}, SweepStatus("interrupted"), "the time budget is spent")

    lost = projection.as_lost(state)

    assert (lost.status, lost.detail, lost.trials[1].status) == (
        "interrupted",
        "the time budget is spent",
        "INTERRUPTED",
    )


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "trial 3"),
        ({"origin": "documented"}, "trial 3 documented"),
        ({"status": Status.STOPPED, "reason": "RUNG"}, "trial 3 RUNG"),
        (
            {"status": Status.FAILED, "reason": "OUT_OF_MEMORY", "origin": "baseline"},
            "trial 3 baseline OUT_OF_MEMORY",
        ),
        ({"status": Status.RUNNING, "reason": "WORKER_LOST"}, "trial 3"),
    ],
)
def test_the_name_tells_where_a_trial_came_from_and_why_it_ended(fields, name):
    ended = TrialRecord(3, {}, **{"origin": "search", "status": Status.FINISHED} | fields)

    assert projection.trial_view(record.of(SWEEP), ended, LogSummary()).name == name


def test_the_description_of_a_trial_says_what_became_of_it_and_how_to_repeat_it():
    stopped = trial(3, Status.STOPPED, reason="COLLAPSED", detail="0 of 8 units active", epoch=4)

    note = projection.trial_view(record.of(SWEEP), stopped, LogSummary(4)).tags[projection.NOTE]

    assert note.splitlines()[0] == "Stopped after epoch 4 of 10. **COLLAPSED** 0 of 8 units active"
    assert "`python sweeps/run.py --trial demo:3`" in note
    assert (
        projection.NOTE
        not in projection.trial_view(record.of(SWEEP), trial(status=Status.RUNNING), LogSummary(4)).tags
    )


def test_the_description_of_a_sweep_names_the_best_trial_once_it_has_ended():
    state = SweepState(
        {1: trial(1, epoch=10), 2: trial(2, Status.STOPPED, reason="RUNG", epoch=4)}, SweepStatus(SweepStatus.STARTED)
    )
    assert projection.NOTE not in projection.sweep_view(record.of(SWEEP), state, {}).tags

    state.status, state.detail = SweepStatus.FINISHED, "1 × RUNG"
    note = projection.sweep_view(record.of(SWEEP), state, {}).tags[projection.NOTE]

    assert note.splitlines()[0] == "2 trials of 10 epochs of imc_vae on embedded, finished. 1 × RUNG"
    assert "Best: trial 1, val/elbo_gain 0.5." in note


def test_what_the_verdict_said_is_not_told_twice():
    stopped = trial(3, Status.STOPPED, reason="COLLAPSED", detail="0 of 8 units active", epoch=4)

    tags = projection.trial_view(record.of(SWEEP), stopped, LogSummary(4, "COLLAPSED", "0 of 8 units active")).tags
    assert (tags["stop.detail"], "verdict.detail" in tags) == ("0 of 8 units active", False)
    tags = projection.trial_view(record.of(SWEEP), stopped, LogSummary(4, "GRACE", "too early to say")).tags
    assert tags["verdict.detail"] == "too early to say"


def test_who_misses_what_is_required_is_tagged_and_not_the_best():
    sweep = record.of(SWEEP | {"config": SWEEP["config"] | {"require": ["health/au>=4"]}})
    trials = {
        number: replace(trial(number), metrics={"val/elbo_gain": score, "health/au": au})
        for number, (score, au) in enumerate([(0.9, 3.0), (0.2, 4.0)], 1)
    }
    logs = {number: LogSummary(4, "HEALTHY") for number in trials}
    assert projection.best_trial(sweep.config, SweepState(trials), logs) == 2
    tags = [projection.trial_view(sweep, trials[number], logs[number]).tags for number in (1, 2)]
    assert [each.get("required.missed") for each in tags] == ["health/au 3, required >= 4", None]
