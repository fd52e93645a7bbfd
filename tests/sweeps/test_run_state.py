"""The driver's view of a sweep: who starts again after the death of a worker, and who is given up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeps import config as configuration
from sweeps.config import Options
from sweeps.records import journal
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Status
from sweeps.run_state import WORKER_DEATHS, SweepRun
from sweeps.schedulers.stopping import StoppingPolicy
from sweeps.searchers.search import RandomSearch
from trainables import epoch_log
from trainables.health import HealthConfig

DEATH = ("OUT_OF_MEMORY", "Ray ended it")


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    """A sweep of three trials of nine epochs."""
    config = configuration.complete(
        Options(model="imc_vae", trials=3, epochs=9, seed=0, scheduler="none", storage=str(tmp_path), name="run")
    )
    config.folder.mkdir()
    return SweepRun(
        config,
        RandomSearch(config.search_space(), 0),
        StoppingPolicy("none", 9, "val/elbo_gain", "max"),
        SimpleNamespace(forecast=lambda config: None),
        HealthConfig(),
    )


def start(run: SweepRun) -> int:
    """The number of the trial that starts next."""
    record = run.next_trial()
    run.started(record.trial)
    return record.trial


def epoch(run: SweepRun, trial: int, number: int) -> None:
    run.epoch(trial, {"epoch": number, "val/elbo_gain": 0.0, "verdict": "HEALTHY", "verdict_detail": ""})


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
    assert sum(event == "ended" for event in events(run)) == 3


def test_a_new_epoch_between_two_deaths_makes_them_count_anew(run):
    trial = start(run)
    for number in range(1, 9):
        epoch(run, trial, number)
        run.lost(trial, *DEATH)
        assert start(run) == trial
    assert [event for event in events(run) if event == "lost"] == ["lost"] * 8


def test_an_epoch_trained_again_is_no_progress(run):
    trial = start(run)
    epoch(run, trial, 5)
    run.lost(trial, *DEATH)
    for number in (4, 5):
        epoch(run, trial, number)
        run.lost(trial, *DEATH)
    assert run.records[trial].status is Status.FAILED


def events(run: SweepRun) -> list[str]:
    return [event["event"] for event in journal._events(run.config.folder / "trials.jsonl")]


def test_an_unreadable_epoch_file_costs_its_trial_alone_when_the_sweep_goes_on(run):
    for _ in range(2):
        trial = start(run)
        rows = [{"epoch": 1, "val/elbo_gain": 0.5, "verdict": "HEALTHY", "best_epoch": 1}]
        epoch_log.write(run.config.folder, trial, {"latent_dim": 8}, rows)
    epoch_log.path_of(run.config.folder, 1).write_bytes(b"x")
    policy = StoppingPolicy("none", 9, "val/elbo_gain", "max")
    resumed = SweepRun(run.config, run.search, policy, run.forecaster, run.health)
    assert (resumed.records[1].epoch, resumed.records[2].epoch) == (0, 1)
    assert "trial-00001.parquet cannot be read" in SweepFolder(run.config.folder).errors.read_text()
    resumed.interrupted("SIGNAL")
    assert journal.read(run.config.folder).trials[2].metrics == {"val/elbo_gain": 0.5}  # no config/latent_dim
