"""Stopping by hand, as whoever asks for it meets it: what is asked for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps import api, stopping
from sweeps.config import ConfigError
from sweeps.records import lock, record, requests
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import SweepEvent
from sweeps.records.outcomes import SweepStatus
from sweeps.records.record import SweepRecord
from sweeps.run_state import SweepRun
from tests.sweeps.test_run_state import finish, start, sweep


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    """A sweep with one trial that has ended and one that runs; nobody holds its lock yet."""
    run = sweep(tmp_path)
    record.write(SweepRecord("run", "5eeb", run.config.model, run.config), run.config.folder)
    run.journal.append(SweepEvent(SweepStatus.STARTED))
    assert [start(run), start(run)] == [1, 2]
    finish(run, 1)
    return run


def refusal(text: str, storage: Path) -> str:
    with pytest.raises(ConfigError) as error:
        stopping.ask(text, str(storage))
    (problem,) = error.value.problems
    return problem


def test_a_trial_and_a_sweep_are_asked_for_and_the_driver_is_named(run: SweepRun, tmp_path: Path) -> None:
    folder = run.config.folder
    with lock.exclusive(SweepFolder(folder).lock):
        said = stopping.ask("run:2", str(tmp_path))
        assert said.startswith("The driver ends trial 2 at the end of its epoch, or now if it waits (process ")
        assert requests.read(folder) == requests.Requests(trials={2})
        api.stop("run", storage=tmp_path)
    assert requests.read(folder) == requests.Requests(sweep=True, trials={2})


def test_while_the_best_are_confirmed_that_is_what_ends(run: SweepRun, tmp_path: Path) -> None:
    folder = SweepFolder(run.config.folder)
    folder.confirmation.path.mkdir()
    record.write(SweepRecord("run/confirm", "5eed", run.config.model, run.config), folder.confirmation.path)
    with lock.exclusive(folder.lock), lock.exclusive(folder.confirmation.lock):
        stopping.ask("run", str(tmp_path))
    assert requests.read(folder.path) == requests.Requests()
    assert requests.read(folder.confirmation.path) == requests.Requests(sweep=True)


def test_what_cannot_be_stopped_is_said_in_a_sentence(run: SweepRun, tmp_path: Path) -> None:
    assert refusal("run:2", tmp_path) == "--stop run:2: run does not run"
    with lock.exclusive(SweepFolder(run.config.folder).lock):
        assert refusal("run:1", tmp_path) == "--stop run:1: trial 1 has ended already: FINISHED at epoch 9"
        assert refusal("run:3", tmp_path) == "--stop run:3: trial 3 has not begun; run has trials 1 to 2"
        assert "expected NAME for the sweep, or NAME:k for a trial" in refusal("run:x", tmp_path)
        run.journal.append(SweepEvent(SweepStatus.INTERRUPTED))
        assert refusal("run", tmp_path) == "--stop run: run does not run"
    assert refusal("other", tmp_path) == f"--stop other: no sweep other in {tmp_path}"
    assert requests.read(run.config.folder) == requests.Requests()
