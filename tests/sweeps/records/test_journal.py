"""The journal: what is written is what a resume reads."""

import json
import os

import pytest

from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Journal, read
from sweeps.records.outcomes import Status

SUGGESTED = {"config": {"a": 1, "b": None}, "origin": "search", "control": False, "forecast": {"au": 3}}
ENDED = {"reason": "COLLAPSED", "detail": "0 of 8 units active", "epoch": 7, "metrics": {"val/elbo_gain": 0.5}}


def test_an_absent_journal_is_an_empty_sweep(tmp_path):
    state = read(tmp_path)
    assert (state.trials, state.status, state.best) == ({}, "", None)


def test_a_trial_from_suggestion_to_end(tmp_path):
    journal = Journal(tmp_path)
    journal.append("suggested", trial=3, **SUGGESTED)
    record = read(tmp_path).trials[3]
    assert (record.status, record.config, record.origin) == (Status.PENDING, {"a": 1, "b": None}, "search")
    assert (record.control, record.forecast) == (False, {"au": 3})
    journal.append("started", trial=3)
    assert read(tmp_path).trials[3].status is Status.RUNNING
    journal.append("ended", trial=3, status=Status.STOPPED, **ENDED)
    record = read(tmp_path).trials[3]
    assert record.status is Status.STOPPED
    assert (record.reason, record.detail, record.epoch) == ("COLLAPSED", "0 of 8 units active", 7)
    assert record.metrics == {"val/elbo_gain": 0.5}
    assert record.suggested_at <= record.started_at <= record.ended_at


def test_a_resumed_trial_is_running_again_and_keeps_its_first_start(tmp_path):
    journal = Journal(tmp_path)
    journal.append("suggested", trial=1, **SUGGESTED)
    journal.append("started", trial=1)
    first = read(tmp_path).trials[1].started_at
    journal.append("ended", trial=1, status="INTERRUPTED", **ENDED | {"reason": "SIGNAL"})
    assert not read(tmp_path).trials[1].status.ended
    journal.append("started", trial=1)
    record = read(tmp_path).trials[1]
    assert (record.status, record.started_at, record.ended_at) == (Status.RUNNING, first, None)
    assert (record.reason, record.detail, record.epoch) == ("", "", 7)


def test_sweep_events(tmp_path):
    journal = Journal(tmp_path)
    journal.append("sweep", status="started")
    journal.append("sweep", status="finished", detail="all done", best=4)
    state = read(tmp_path)
    assert (state.status, state.detail, state.best) == ("finished", "all done", 4)
    journal.append("sweep", status="resumed")
    state = read(tmp_path)
    assert (state.status, state.detail, state.best) == ("resumed", "", None)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_line_is_ignored_and_cut_before_the_next(tmp_path, cut):
    journal = Journal(tmp_path)
    journal.append("suggested", trial=1, **SUGGESTED)
    journal.append("started", trial=1)
    path = SweepFolder(tmp_path).journal
    os.truncate(path, path.stat().st_size - cut)
    assert read(tmp_path).trials[1].status is Status.PENDING
    Journal(tmp_path).append("suggested", trial=2, **SUGGESTED)
    assert sorted(read(tmp_path).trials) == [1, 2]
    assert read(tmp_path).trials[1].status is Status.PENDING
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_journal_that_is_only_a_torn_line(tmp_path):
    SweepFolder(tmp_path).journal.write_text('{"event": "sugg')
    Journal(tmp_path)
    assert SweepFolder(tmp_path).journal.read_text() == ""


def test_values_that_json_cannot_hold_are_refused_and_nothing_is_written(tmp_path):
    journal = Journal(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        journal.append("ended", trial=1, metrics={"loss": float("nan")})
    assert not SweepFolder(tmp_path).journal.exists()


@pytest.mark.parametrize(
    ("status", "ended"),
    [("PENDING", False), ("RUNNING", False), ("INTERRUPTED", False),
     ("FINISHED", True), ("STOPPED", True), ("FAILED", True)],
)  # fmt: skip
def test_which_trials_a_resume_leaves_alone(status, ended):
    assert Status(status).ended is ended
