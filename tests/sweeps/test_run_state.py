"""The driver's view of a sweep: who starts again after the death of a worker, and who is given up."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from sweeps.completion import complete
from sweeps.options import SweepOptions
from sweeps.progress import Progress
from sweeps.records import journal, requests
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Reason, Status
from sweeps.result import result
from sweeps.run_state import WORKER_DEATHS, SweepRun
from sweeps.schedulers import known, parse
from sweeps.schedulers.base import Task
from sweeps.searchers.random import RandomSearch
from trainables import epoch_log
from trainables.files import epochs_file
from trainables.health import HealthConfig

SILENT = SimpleNamespace(status_line=lambda: "")
DEATH = (Reason.OUT_OF_MEMORY, "Ray ended it")


def sweep(storage: Path, scheduler: str = "none", trials: int = 3, **options: Any) -> SweepRun:
    """A sweep of trials of nine epochs; on a folder that has one, its resume."""
    config = complete(
        SweepOptions(
            model="imc_vae",
            trials=trials,
            epochs=9,
            seed=0,
            scheduler=scheduler,
            storage=str(storage),
            name="run",
            **options,
        )
    )
    config.folder.mkdir(exist_ok=True)
    return SweepRun(
        config,
        RandomSearch(config.search_space(), 0, config.metric, config.mode),
        parse(scheduler).make(Task(9, "val/elbo_gain", "max")),
        SimpleNamespace(forecast=lambda config: None),
        HealthConfig(),
    )


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    """A sweep of three trials that all run to their end."""
    return sweep(tmp_path)


def start(run: SweepRun) -> int:
    """The number of the trial that starts next."""
    record = run.next_trial()
    run.started(record.trial)
    return record.trial


def epoch(run: SweepRun, trial: int, number: int, score: float = 0.0) -> None:
    run.epoch(trial, {"epoch": number, "val/elbo_gain": score, "verdict": "HEALTHY", "verdict_detail": ""})


def finish(run: SweepRun, trial: int) -> None:
    epoch(run, trial, 9)
    run.ended(trial, run.latest[trial])


def test_the_numbers_of_a_trial_are_those_of_its_best_epoch_even_after_a_sick_spell(run):
    trial = start(run)
    for number, (score, best, verdict) in enumerate(
        [(0.1, 1, "HEALTHY"), (-0.3, 2, "GRACE"), (0.05, 1, "HEALTHY")], 1
    ):
        told = {"val/elbo_gain": score, "verdict": verdict, "verdict_detail": "", "best_epoch": best}
        run.epoch(trial, {"epoch": number, "config/latent_dim": 8.0, **told})
        assert run.best[trial]["epoch"] == best
    run.ended(trial, run.latest[trial])
    assert run.records[trial].metrics == {"val/elbo_gain": 0.1}  # and no hyperparameter among them


def test_the_best_so_far_is_found_by_the_rule_that_finds_the_best(run):
    trials = [start(run) for _ in range(3)]
    assert run.best_so_far() is None
    for trial, score in zip(trials, (0.3, 0.3, math.nan), strict=True):
        epoch(run, trial, 1, score)
    assert (run.best_so_far(), run.best_trial()) == (1, None)  # of two alike the first, as at the end
    assert "best trial 1: 0.3000" in Progress(run, SILENT, Console())._summary().plain
    run.epoch(1, {"epoch": 2, "val/elbo_gain": 0.4, "verdict": "COLLAPSED", "verdict_detail": ""})
    assert run.best_so_far() == 2


def test_a_trial_that_lost_its_worker_is_the_next_to_start(run):
    assert [start(run), start(run)] == [1, 2]
    run.lost(1, *DEATH)
    assert (run.records[1].status, run.records[1].detail) == (Status.PENDING, "starts again: Ray ended it")
    assert start(run) == 1
    assert (run.records[1].status, run.records[1].detail) == (Status.RUNNING, "")
    assert start(run) == 3


def test_who_ran_out_of_memory_is_told_what_would_need_less(run):
    assert [start(run), start(run)] == [1, 2]
    run.ended(1, {"failure": "OUT_OF_MEMORY", "failure_detail": "RuntimeError: CUDA out of memory"})
    run.ended(2, {"failure": "ERROR", "failure_detail": "KeyError: 'x'"})
    assert run.records[1].detail == (
        "RuntimeError: CUDA out of memory; a smaller latent_dim, hidden_dim, layers or batch_size needs less "
        "(--set NAME=VALUE or --space NAME=LOW..HIGH)"
    )
    assert run.records[2].detail == "KeyError: 'x'"


def test_after_the_second_death_it_runs_alone(run):
    assert [start(run), start(run)] == [1, 2]
    run.lost(1, *DEATH)
    assert start(run) == 1
    run.lost(1, *DEATH)
    assert start(run) == 3
    assert run.next_trial() is None
    assert run.waiting
    finish(run, 2)
    assert run.next_trial() is None
    finish(run, 3)
    assert start(run) == 1
    finish(run, 1)
    assert run.next_trial() is None
    assert not run.waiting


def test_two_never_run_alone_together(run):
    assert [start(run), start(run), start(run)] == [1, 2, 3]
    for trial in (1, 2):
        run.lost(trial, *DEATH)
        assert start(run) == trial
        run.lost(trial, *DEATH)
    finish(run, 3)
    assert start(run) == 1
    assert run.next_trial() is None
    finish(run, 1)
    assert start(run) == 2


def test_who_dies_alone_is_given_up_with_the_reason(run):
    while start(run) < 3:
        pass
    finish(run, 1)
    finish(run, 2)
    for death in range(WORKER_DEATHS):
        run.lost(3, *DEATH)
        assert (run.next_trial() is None) == (death == WORKER_DEATHS - 1)
    record = journal.read(run.config.folder).trials[3]
    assert (record.status, record.reason) == (Status.FAILED, "OUT_OF_MEMORY")
    advice = run.config.search_space().memory_advice()
    assert record.detail == f"its worker died 3 times in a row; at last Ray ended it; {advice}"
    run.lost(3, *DEATH)  # heard twice
    assert events(run).count(journal.Ended) == 3


def test_a_new_epoch_between_two_deaths_makes_them_count_anew(run):
    trial = start(run)
    for number in range(1, 9):
        epoch(run, trial, number)
        run.lost(trial, *DEATH)
        assert start(run) == trial
    assert events(run).count(journal.Lost) == 8


def test_an_epoch_trained_again_is_no_progress(run):
    trial = start(run)
    epoch(run, trial, 5)
    run.lost(trial, *DEATH)
    for number in (4, 5):
        epoch(run, trial, number)
        run.lost(trial, *DEATH)
    assert run.records[trial].status is Status.FAILED


def test_who_waits_frees_the_worker_and_is_taken_up_when_all_are_there(tmp_path):
    run = sweep(tmp_path, "hyperband", trials=9)  # the first bracket: nine trials, a rung at epoch 1
    for trial in range(1, 10):
        assert start(run) == trial
        epoch(run, trial, 1, score=float(trial))
        run.ended(trial, run.latest[trial])  # its worker is free: no end
        assert (run.records[trial].status, run.records[trial].epoch) == (Status.PAUSED, 1)
    ended = {trial for trial, record in run.records.items() if record.status is Status.STOPPED}
    assert ended == {1, 2, 3, 4, 5, 6}  # 7, 8 and 9 go on
    assert run.records[6].detail == ("val/elbo_gain 6 below the cutoff 7 of 9 trials of its bracket at epoch 1")
    assert [start(run) for _ in range(3)] == [9, 8, 7]
    assert run.next_trial() is None
    assert run.waiting
    assert journal.read(run.config.folder).trials[9].status is Status.RUNNING
    assert events(run).count(journal.Paused) == 9


def test_a_worker_lost_on_the_way_from_a_pause_is_replaced(tmp_path):
    run = sweep(tmp_path, "pasha", trials=3)
    for trial in (1, 2, 3):
        start(run)
        epoch(run, trial, 1, score=float(trial))
    assert start(run) == 3  # promoted
    run.lost(3, *DEATH)
    assert run.records[3].status is Status.PENDING
    assert start(run) == 3
    epoch(run, 3, 1, score=3.0)  # its checkpoint once more
    assert run.records[3].status is Status.RUNNING
    run.lost(1, *DEATH)  # told late of a worker that it no longer has
    assert run.records[1].status is Status.PAUSED


def test_who_still_waits_at_the_end_is_stopped_with_its_place(tmp_path):
    run = sweep(tmp_path, "pasha", trials=2)
    for trial in (1, 2):
        start(run)
        epoch(run, trial, 1, score=float(trial))
    assert start(run) == 2  # nothing else is left: the best is finished
    finish(run, 2)
    assert run.next_trial() is None
    assert not run.waiting
    record = journal.read(run.config.folder).trials[1]
    assert (record.status, record.reason) == (Status.STOPPED, "RUNG")
    assert record.detail == "val/elbo_gain 1 at the rung of epoch 1: ranked 2 of 2, not promoted"


def test_a_sweep_cut_off_says_who_waited(tmp_path):
    run = sweep(tmp_path, "hyperband", trials=9)
    start(run)
    epoch(run, 1, 1)
    start(run)
    run.interrupted(Reason.SIGNAL)
    state = journal.read(run.config.folder)
    assert {record.status for record in state.trials.values()} == {Status.INTERRUPTED}
    assert state.trials[1].detail == "waiting after epoch 1 of 9; a resume goes on from there"
    assert (state.trials[1].paused, state.trials[2].paused) == (True, False)


def events(run: SweepRun) -> list[type]:
    return [type(event) for event in journal.events(run.config.folder, [])]


def test_an_unreadable_epoch_file_costs_its_trial_alone_when_the_sweep_goes_on(run, tmp_path):
    for _ in range(2):
        trial = start(run)
        rows = [{"epoch": 1, "val/elbo_gain": 0.5, "verdict": "HEALTHY", "best_epoch": 1}]
        epoch_log.write(run.config.folder, trial, {"latent_dim": 8}, rows)
    epochs_file(run.config.folder, 1).write_bytes(b"x")
    resumed = sweep(tmp_path)
    assert (resumed.records[1].epoch, resumed.records[2].epoch) == (0, 1)
    (problem,) = resumed.problems
    assert "trial-00001.parquet cannot be read" in problem
    assert resumed.errors == 0
    resumed.interrupted(Reason.SIGNAL)
    assert journal.read(run.config.folder).trials[2].metrics == {"val/elbo_gain": 0.5}  # no config/latent_dim


def test_an_unreadable_line_of_the_journal_is_told_and_its_number_is_not_given_again(run, tmp_path):
    assert [start(run), start(run)] == [1, 2]
    path = SweepFolder(run.config.folder).journal
    path.write_text(path.read_text().replace('"trial": 1,', '"trial": 1', 1))  # no JSON any more
    resumed = sweep(tmp_path)
    assert list(resumed.records) == [2]
    assert "line 1 cannot be read" in resumed.problems[0]
    assert [start(resumed) for _ in range(3)] == [2, 3, 4]
    assert resumed.next_trial() is None


def by_hand(run: SweepRun, trial: int) -> None:
    requests.stop(run.config.folder, trial)
    run.hear_requests()


def test_a_running_trial_stopped_by_hand_ends_with_its_next_epoch_and_keeps_its_value(run):
    assert [start(run), start(run)] == [1, 2]
    by_hand(run, 1)
    assert run.records[1].status is Status.RUNNING
    row = {"epoch": 2, "val/elbo_gain": 0.5, "verdict": "HEALTHY", "verdict_detail": "", "best_epoch": 2}
    assert run.epoch(1, row).stop
    run.ended(1, row)  # Ray tells the end too
    record = journal.read(run.config.folder).trials[1]
    assert (record.status, record.reason, record.detail) == (Status.STOPPED, "BY_HAND", "stopped by hand at epoch 2")
    assert (record.epoch, record.metrics) == (2, {"val/elbo_gain": 0.5})
    run.hear_requests()
    assert requests.read(run.config.folder) == requests.Requests()
    assert not run.epoch(2, row).stop
    assert start(run) == 3


def test_a_waiting_trial_stopped_by_hand_ends_at_once_and_is_not_taken_up(tmp_path):
    run = sweep(tmp_path, "hyperband", trials=9)
    for trial in range(1, 10):
        start(run)
        epoch(run, trial, 1, score=float(trial))  # 7, 8 and 9 may go on
    by_hand(run, 9)
    assert (run.records[9].status, run.records[9].detail) == (Status.STOPPED, "stopped by hand at epoch 1")
    assert [start(run), start(run)] == [8, 7]
    by_hand(run, 8)
    epoch(run, 8, 2, score=8.0)
    epoch(run, 7, 3, score=7.0)  # the rung: nobody else is waited for
    assert start(run) == 7


def test_nobody_is_measured_against_a_trial_stopped_by_hand(tmp_path):
    run = sweep(tmp_path, "hyperband", trials=9)
    for trial in range(1, 9):
        assert start(run) == trial
        epoch(run, trial, 1, score=float(trial))
    by_hand(run, 8)
    epoch(run, start(run), 1, score=0.5)  # the bracket is complete
    assert [start(run), start(run)] == [7, 6]
    assert run.records[5].detail == "val/elbo_gain 5 below the cutoff 6 of 8 trials of its bracket at epoch 1"


def test_a_request_outlives_the_driver_and_a_trial_that_waits_to_begin_again_is_not_begun(tmp_path):
    run = sweep(tmp_path)
    assert [start(run), start(run)] == [1, 2]
    requests.stop(run.config.folder, 1)
    requests.stop(run.config.folder, 1)
    requests.stop(run.config.folder, 17)  # no such trial
    again = sweep(tmp_path)
    again.hear_requests()
    assert (again.records[1].status, again.records[1].detail) == (
        Status.STOPPED,
        "stopped by hand before its first epoch",
    )
    assert requests.read(run.config.folder) == requests.Requests()
    assert [start(again), start(again)] == [2, 3]
    assert [event for event in events(run) if event is journal.Ended] == [journal.Ended]


def test_a_trial_that_loses_its_worker_before_it_is_stopped_by_hand_does_not_begin_again(run):
    start(run)
    by_hand(run, 1)
    run.lost(1, *DEATH)
    run.hear_requests()
    assert run.records[1].reason is Reason.BY_HAND
    assert start(run) == 2


def test_a_whole_sweep_stopped_by_hand_is_cut_off_and_can_go_on(run):
    start(run)
    requests.stop(run.config.folder)
    run.hear_requests()
    assert run.stopping is Reason.BY_HAND
    assert requests.read(run.config.folder) == requests.Requests()
    run.interrupted(run.stopping)
    record = journal.read(run.config.folder).trials[1]
    assert (record.status, record.reason) == (Status.INTERRUPTED, "BY_HAND")


def play(run: SweepRun, workers: int) -> list[int]:
    """Train with so many workers until nothing is left; who started, in order."""
    begun: list[int] = []
    running: list[int] = []
    while True:
        while len(running) < workers and (record := run.next_trial()) is not None:
            run.started(record.trial)
            running.append(record.trial)
            begun.append(record.trial)
        if not running:
            return begun
        trial = running.pop(0)
        number = run.records[trial].epoch + 1
        row = {"epoch": number, "val/elbo_gain": (trial * 7 % 11) + 0.1 * number, "verdict": "HEALTHY"}
        log = epoch_log.read_trial(run.config.folder, trial)
        epoch_log.write(run.config.folder, trial, {"latent_dim": 8}, [*log, {"seconds": 1.0 * number, **row}])
        if number == 9:
            run.records[trial].epoch = 9
            run.ended(trial, row)
        elif not run.epoch(trial, row).stop and run.records[trial].status is Status.RUNNING:
            running.append(trial)


@pytest.mark.parametrize("scheduler", known())
@pytest.mark.parametrize("first", [4, 10])
def test_an_extended_sweep_leaves_what_has_ended_and_and_begins_the_others(tmp_path, scheduler, first):
    run = sweep(tmp_path, scheduler, trials=first)
    play(run, workers=2)
    ended = {trial: (record.status, record.detail) for trial, record in run.records.items()}
    run.journal.append(journal.Extended(first, 24))
    again = sweep(tmp_path, scheduler, trials=24)
    begun = play(again, workers=2)
    assert not set(begun) & set(ended)
    assert set(again.records) == set(range(1, 25))
    assert {trial: (again.records[trial].status, again.records[trial].detail) for trial in ended} == ended
    assert all(record.status.ended for record in again.records.values())


def test_a_trial_that_misses_what_is_required_says_so_and_is_never_the_best(tmp_path):
    run = sweep(tmp_path, require=("health/au>=4", "memory/rss_mib<=100"))
    for au, memory, score in ((3.0, 150.0, 0.9), (4.0, 99.0, 0.1), (5.0, 99.0, 0.2)):
        trial = start(run)
        row = {"epoch": 9, "val/elbo_gain": score, "health/au": au, "memory/rss_mib": memory}
        run.ended(trial, row | {"verdict": "HEALTHY", "verdict_detail": ""})
    record = journal.read(run.config.folder).trials[1]
    assert record.status is Status.FINISHED
    assert record.detail == "health/au 3, required >= 4; memory/rss_mib 150, required <= 100"
    assert run.best_trial() == 3
    assert result(run, 3, "").detail == "1 × not as required"
    assert result(run, None, "").detail.startswith("no trial ended healthy and meets health/au>=4 and memory/rss_mib")
