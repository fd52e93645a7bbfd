"""The journal: what is written is what a resume reads."""

import json
import os
from dataclasses import replace
from functools import partial

import pytest

from sweeps.records.folder import SweepFolder
from sweeps.records.journal import (
    Ended,
    Extended,
    Journal,
    Lost,
    Paused,
    Reader,
    Started,
    Suggested,
    SweepEvent,
    events,
    read,
)
from sweeps.records.outcomes import Reason, Status, SweepStatus

SUGGESTED = partial(Suggested, config={"a": 1, "b": None}, origin="search", forecast={"au": 3})
ENDED = partial(Ended, detail="0 of 8 units active", epoch=7, metrics={"val/elbo_gain": 0.5})


def test_an_absent_journal_is_an_empty_sweep(tmp_path):
    state = read(tmp_path)
    assert (state.trials, state.status, state.best) == ({}, "", None)


def test_a_trial_from_suggestion_to_end(tmp_path):
    journal = Journal(tmp_path)
    journal.append(SUGGESTED(3))
    record = read(tmp_path).trials[3]
    assert (record.status, record.config, record.origin) == (Status.PENDING, {"a": 1, "b": None}, "search")
    assert (record.control, record.forecast) == (False, {"au": 3})
    journal.append(Started(3))
    assert read(tmp_path).trials[3].status is Status.RUNNING
    journal.append(ENDED(3, Status.STOPPED, Reason.COLLAPSED))
    record = read(tmp_path).trials[3]
    assert record.status is Status.STOPPED
    assert (record.reason, record.detail, record.epoch) == ("COLLAPSED", "0 of 8 units active", 7)
    assert record.metrics == {"val/elbo_gain": 0.5}
    assert record.suggested_at <= record.started_at <= record.ended_at


def test_a_resumed_trial_is_running_again_and_keeps_its_first_start(tmp_path):
    journal = Journal(tmp_path)
    journal.append(SUGGESTED(1))
    journal.append(Started(1))
    first = read(tmp_path).trials[1].started_at
    journal.append(ENDED(1, Status.INTERRUPTED, Reason.SIGNAL))
    assert not read(tmp_path).trials[1].status.ended
    journal.append(Started(1))
    record = read(tmp_path).trials[1]
    assert (record.status, record.started_at, record.ended_at) == (Status.RUNNING, first, None)
    assert (record.reason, record.detail, record.epoch) == ("", "", 7)


def test_sweep_events(tmp_path):
    journal = Journal(tmp_path)
    journal.append(SweepEvent(SweepStatus.STARTED))
    journal.append(SweepEvent(SweepStatus.FINISHED, "all done", 4))
    state = read(tmp_path)
    assert (state.status, state.detail, state.best) == ("finished", "all done", 4)
    journal.append(SweepEvent(SweepStatus.RESUMED))
    state = read(tmp_path)
    assert (state.status, state.detail, state.best) == ("resumed", "", None)


def test_every_event_comes_back_as_it_was_written(tmp_path):
    told = [
        SweepEvent(SweepStatus.STARTED),
        SUGGESTED(1, control=True, seed=3),
        Started(1),
        Paused(1, 2, Reason.RUNG, "waits"),
        Lost(1, Reason.WORKER_LOST, "its node died"),
        ENDED(1, Status.STOPPED, Reason.RUNG),
        SweepEvent(SweepStatus.FINISHED, "all done", 1),
        Extended(1, 3),
    ]
    journal = Journal(tmp_path)
    for event in told:
        journal.append(event)
    problems: list[str] = []
    assert [replace(event, time=0.0) for event in events(tmp_path, problems)] == told
    assert problems == []


def test_an_extension_says_what_was_asked_and_when(tmp_path):
    journal = Journal(tmp_path)
    journal.append(Extended(5, 9))
    journal.append(Extended(9, 20))
    state = read(tmp_path)
    assert [(each.before, each.trials) for each in state.extended] == [(5, 9), (9, 20)]
    assert 0 < state.extended[0].time <= state.extended[1].time


def test_who_waits_says_so_until_it_starts_again(tmp_path):
    journal = Journal(tmp_path)
    for event in (SUGGESTED(1), Started(1), Paused(1, 2, Reason.RUNG, "2 of 3")):
        journal.append(event)
    record = read(tmp_path).trials[1]
    assert (record.status, record.paused, record.epoch, record.reason) == (Status.PAUSED, True, 2, Reason.RUNG)
    journal.append(Started(1))
    assert not read(tmp_path).trials[1].paused


def test_what_cannot_be_read_is_told_and_what_a_newer_program_tells_is_passed_over(tmp_path):
    Journal(tmp_path).append(SUGGESTED(1))
    with SweepFolder(tmp_path).journal.open("a") as file:
        file.write('{"event": "moved", "trial": 1}\n')
        file.write('{"event": "started"}\nnonsense\n{"event": "started", "trial": 7}\n')
        file.write('{"event": "ended", "trial": 1, "status": "MELTED", "reason": "HEAT", "colour": "red"}\n')
    state = read(tmp_path)
    assert (state.trials[1].status, state.trials[1].reason) == (Status.OTHER, "HEAT")
    assert "line 3 cannot be read and is left out (trial: Field required)" in state.problems[0]
    assert "line 4 cannot be read" in state.problems[1]
    assert state.problems[2] == "trial 7 has an event, but was never suggested; it is left out"


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_line_is_ignored_and_cut_before_the_next(tmp_path, cut):
    journal = Journal(tmp_path)
    journal.append(SUGGESTED(1))
    journal.append(Started(1))
    path = SweepFolder(tmp_path).journal
    os.truncate(path, path.stat().st_size - cut)
    assert read(tmp_path).trials[1].status is Status.PENDING
    Journal(tmp_path).append(SUGGESTED(2))
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
        journal.append(Ended(1, Status.FINISHED, metrics={"loss": float("nan")}))
    assert not SweepFolder(tmp_path).journal.exists()


@pytest.mark.parametrize(
    ("status", "ended"),
    [("PENDING", False), ("RUNNING", False), ("INTERRUPTED", False),
     ("FINISHED", True), ("STOPPED", True), ("FAILED", True)],
)  # fmt: skip
def test_which_trials_a_resume_leaves_alone(status, ended):
    assert Status(status).ended is ended


def test_a_reader_reads_every_byte_once_however_often_it_looks(tmp_path):
    journal, reader = Journal(tmp_path), Reader(tmp_path)
    for trial in range(1, 51):
        for event in (SUGGESTED(trial), Started(trial), ENDED(trial, Status.FINISHED)):
            journal.append(event)
        before = reader.lines.bytes_read
        state = reader.read()
        assert reader.changed == {trial}
        assert reader.lines.bytes_read - before < 1000  # of this trial alone
    assert reader.lines.bytes_read == journal.path.stat().st_size
    assert state.trials == read(tmp_path).trials
    assert len(state.trials) == 50


def test_a_reader_forgets_what_a_journal_told_that_is_there_no_more(tmp_path):
    journal, reader = Journal(tmp_path), Reader(tmp_path)
    journal.append(SUGGESTED(1))
    journal.append(SUGGESTED(2))
    assert set(reader.read().trials) == {1, 2}
    journal.path.write_text(journal.path.read_text().splitlines(keepends=True)[0])
    assert set(reader.read().trials) == {1}
