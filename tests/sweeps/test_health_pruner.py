"""The health verdict in front of Optuna's own pruners, in real studies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch
from optuna.pruners import HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from analysis import report, sweep
from sweeps.health_pruner import METRIC, HealthPruner
from sweeps.recorder import RecorderError
from sweeps.records import journal
from sweeps.records.journal import Suggested
from sweeps.records.outcomes import Status
from trainables import epoch_log
from trainables.health import HealthConfig, is_control
from trainables.monitor import Monitor

EPOCHS = 20
ROOT = Path(__file__).resolve().parents[2]
NO_CONTROLS = HealthConfig(control_share=0.0)
PRUNERS = {
    "none": lambda: None,
    "halving": lambda: SuccessiveHalvingPruner(min_resource=3),
    "median": lambda: MedianPruner(n_startup_trials=2),
    "hyperband": lambda: HyperbandPruner(min_resource=2, max_resource=EPOCHS),
}
optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(pruner: HealthPruner) -> Callable[[optuna.Trial], float]:
    """A loop whose posterior collapses for a large beta, with better values than any other."""

    def train(trial: optuna.Trial) -> float:
        beta = trial.suggest_float("beta", 0.1, 100.0, log=True)
        monitor, generator = Monitor(EPOCHS), torch.Generator().manual_seed(trial.number)
        for epoch in range(1, EPOCHS + 1):
            collapsed = beta > 10
            mu = (1e-4 if collapsed else 1.0) * torch.randn(64, 4, generator=generator)
            value = (0.0 if collapsed else beta) + 1 / epoch
            pruner.tell(trial, monitor.epoch(mu, torch.full_like(mu, 0.0 if collapsed else -3.0)), value)
        return value

    return train


def run(pruner: HealthPruner, trials: int = 12) -> optuna.Study:
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective(pruner), n_trials=trials)
    pruner.close()
    return study


@pytest.mark.parametrize("name", PRUNERS)
def test_a_collapsed_trial_is_pruned_and_its_values_are_never_shown(name: str, tmp_path: Path) -> None:
    study = run(HealthPruner(PRUNERS[name](), folder=str(tmp_path / "own"), epochs=EPOCHS, health=NO_CONTROLS))
    sick = {trial.number + 1 for trial in study.trials if trial.params["beta"] > 10}
    assert 0 < len(sick) < len(study.trials)
    for trial in study.trials:
        if trial.number + 1 in sick:
            assert trial.state is TrialState.PRUNED
            assert trial.intermediate_values == {}
    state = journal.read(tmp_path / "own")
    assert {number for number, record in state.trials.items() if record.reason == "COLLAPSED"} == sick
    assert all(record.status.ended for record in state.trials.values())
    healthy = [trial for trial in study.trials if trial.number + 1 not in sick]
    pruned = {trial.number + 1 for trial in healthy if trial.state is TrialState.PRUNED}
    assert {number for number, record in state.trials.items() if record.reason == "RUNG"} == pruned
    assert bool(pruned) == (name != "none")
    assert state.best == study.best_trial.number + 1
    page = report.write(tmp_path / "own").read_text()
    assert METRIC in page
    assert sweep.load(tmp_path / "own").origin("search").metric(METRIC) > 0


def test_controls_run_on(tmp_path: Path) -> None:
    health = HealthConfig(control_share=0.5)
    study = run(HealthPruner(folder=str(tmp_path / "own"), epochs=EPOCHS, health=health))
    state = journal.read(tmp_path / "own")
    for trial in study.trials:
        record = state.trials[trial.number + 1]
        assert record.control == is_control(0, trial.number + 1, health)
        finished = trial.params["beta"] <= 10 or record.control
        assert (record.status is Status.FINISHED) == finished == (trial.state is TrialState.COMPLETE)


def test_without_a_verdict_it_says_what_to_call() -> None:
    def careless(trial: optuna.Trial) -> float:
        trial.report(1.0, 1)
        return float(trial.should_prune())

    study = optuna.create_study(pruner=HealthPruner(epochs=EPOCHS))
    with pytest.raises(ValueError, match=r"no pruner sees the posterior: call pruner\.tell\(trial, monitor\.epoch"):
        study.optimize(careless, n_trials=1)


def test_an_objective_that_throws_or_returns_early_is_told_as_it_ended(tmp_path: Path) -> None:
    pruner = HealthPruner(folder=str(tmp_path / "own"), epochs=EPOCHS)

    def train(trial: optuna.Trial) -> float:
        mu = torch.randn(64, 4)
        pruner.tell(trial, Monitor(EPOCHS).epoch(mu, mu - 3), 1.0)
        return 1.0 / trial.number  # the first throws

    study = optuna.create_study(pruner=pruner)
    study.optimize(train, n_trials=2, catch=ZeroDivisionError)
    pruner.close()
    state = journal.read(tmp_path / "own")
    assert (state.trials[1].status, state.trials[1].detail) == (Status.FAILED, "its objective raised an exception")
    assert (state.trials[2].status, state.trials[2].epoch) == (Status.FINISHED, 1)
    again = HealthPruner(folder=str(tmp_path / "own"), epochs=EPOCHS)
    with pytest.raises(RecorderError, match="choose another folder"):
        optuna.create_study(pruner=again).optimize(objective(again), n_trials=1)


def of_a_stored_study(folder: str, storage: str, trials: int, killed_at: int | None = None) -> None:
    """A script that optimises a study in a storage; it dies in the middle of its trial `killed_at`."""
    pruner = HealthPruner(folder=folder, epochs=EPOCHS, health=NO_CONTROLS)
    lock = optuna.storages.journal.JournalFileOpenLock(f"{storage}.lock")
    backend = optuna.storages.journal.JournalFileBackend(storage, lock_obj=lock)
    study = optuna.create_study(
        study_name="shared",
        storage=optuna.storages.JournalStorage(backend),
        load_if_exists=True,
        pruner=pruner,
        sampler=optuna.samplers.RandomSampler(),
    )
    train, begun = objective(pruner), iter(range(1, trials + 1))

    def maybe_killed(trial: optuna.Trial) -> float:
        if next(begun) != killed_at:
            return train(trial)
        trial.suggest_float("beta", 0.1, 100.0, log=True)
        monitor, mu = Monitor(EPOCHS), torch.randn(64, 4)
        for _ in range(7):
            pruner.tell(trial, monitor.epoch(mu, mu - 3), 1.0)
        os._exit(9)

    study.optimize(maybe_killed, n_trials=trials)


def scripts(*arguments: tuple[object, ...]) -> list[subprocess.Popen[str]]:
    """Processes of `of_a_stored_study`, all at once."""
    return [
        subprocess.Popen(
            [sys.executable, "-c", f"from tests.sweeps.test_health_pruner import *; of_a_stored_study{each!r}"],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        )
        for each in arguments
    ]  # fmt: skip


def test_processes_of_one_study_write_one_folder_and_a_later_run_goes_on_with_it(tmp_path: Path) -> None:
    folder, storage = str(tmp_path / "own"), str(tmp_path / "journal")
    processes = scripts((folder, storage, 6), (folder, storage, 6), (folder, storage, 6, 3))
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 9], errors
    (last,) = scripts((folder, storage, 2))
    error = last.communicate(timeout=300)[1]
    assert last.returncode == 0, error

    state = journal.read(tmp_path / "own")
    assert state.problems == []
    backend = optuna.storages.journal.JournalFileBackend(storage)
    study = optuna.load_study(study_name="shared", storage=optuna.storages.JournalStorage(backend))
    assert sorted(state.trials) == [trial.number + 1 for trial in study.trials] == list(range(1, 18))
    assert len(list(journal.events(tmp_path / "own", []))) == len(
        (tmp_path / "own" / "trials.jsonl").read_text().splitlines()
    )
    suggested = [each.trial for each in journal.events(tmp_path / "own", []) if isinstance(each, Suggested)]
    assert len(suggested) == len(set(suggested))
    read = sweep.load(tmp_path / "own")
    assert read.problems == ()
    for trial in study.trials:
        found = read.trials[trial.number]
        assert found.record.config == trial.params
        rows = epoch_log.read_trial(tmp_path / "own", trial.number + 1)
        assert [row["epoch"] for row in rows] == list(range(1, len(rows) + 1))
        if trial.state is TrialState.RUNNING:
            assert (found.record.status, found.epochs, len(rows)) == (Status.INTERRUPTED, 7, 7)
            assert found.record.detail == "its process died after epoch 7"
        else:
            ended = Status.FINISHED if trial.state is TrialState.COMPLETE else Status.STOPPED
            assert (found.record.status, found.epochs) == (ended, len(rows)), trial.number
    assert state.status == "finished"
    assert state.best == study.best_trial.number + 1


def test_another_study_and_other_settings_are_refused(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"

    def once(study_name: str, epochs: int) -> None:
        pruner = HealthPruner(folder=str(tmp_path / "own"), epochs=epochs)
        study = optuna.create_study(study_name=study_name, storage=storage, load_if_exists=True, pruner=pruner)
        study.optimize(objective(pruner), n_trials=1)
        pruner.close()

    once("first", EPOCHS)
    once("first", EPOCHS)
    assert sorted(journal.read(tmp_path / "own").trials) == [1, 2]
    with pytest.raises(RecorderError, match=r"a sweep in it already; choose another folder.*the same Optuna study"):
        once("second", EPOCHS)
    with pytest.raises(RecorderError, match=f"epochs was {EPOCHS}, is now 40"):
        once("first", 40)
