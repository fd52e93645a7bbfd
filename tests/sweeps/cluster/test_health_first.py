"""The health verdict in front of Ray's own schedulers, which are driven as Tune's controller drives them."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.search.basic_variant import BasicVariantGenerator

from sweeps.health_first import HealthFirst
from sweeps.recorder import RecorderError
from sweeps.records import journal
from sweeps.records.outcomes import Status
from trainables.health import HealthConfig, is_control
from trainables.monitor import Monitor

EPOCHS = 20
SLOTS = 2
NO_CONTROLS = HealthConfig(control_share=0.0)
ROOT = Path(__file__).resolve().parents[3]


def rows(quality: float, collapsed: bool, epochs: int = EPOCHS) -> list[dict[str, Any]]:
    """What the monitor of a trial returns, epoch by epoch; `val/nelbo` falls to `quality`."""
    monitor, generator = Monitor(epochs), torch.Generator().manual_seed(0)
    for epoch in range(1, epochs + 1):
        mu = (1e-4 if collapsed else 1.0) * torch.randn(64, 4, generator=generator)
        monitor.epoch(mu, torch.full_like(mu, 0.0 if collapsed else -3.0), nelbo=quality + 1 / epoch)
    return monitor.rows


class Controller:
    """As much of Tune's controller as schedulers see; trials run in `SLOTS`."""

    def __init__(self, scheduler: TrialScheduler, curves: list[list[dict[str, Any]]]) -> None:
        self.scheduler, self.told = scheduler, defaultdict[Trial, int](int)
        self.search_alg = BasicVariantGenerator()  # asked by population based training
        self.last: dict[Trial, dict[str, Any]] = {}
        scheduler.set_search_properties("val/nelbo", "min")
        self.trials = [Trial("mine", config={"lr": float(number)}, stub=True) for number in range(len(curves))]
        self.curves = dict(zip(self.trials, curves, strict=True))
        for trial in self.trials:
            scheduler.on_trial_add(self, trial)

    def get_trials(self) -> list[Trial]:
        return self.trials

    def get_live_trials(self) -> list[Trial]:
        return [trial for trial in self.trials if not trial.is_finished()]

    def stop_trial(self, trial: Trial) -> None:
        if trial.status == Trial.RUNNING:
            self.scheduler.on_trial_complete(self, trial, self.last[trial])
        else:
            self.scheduler.on_trial_remove(self, trial)
        trial.set_status(Trial.TERMINATED)

    def run(self, steps: int = 10_000) -> dict[int, int]:
        """The epochs that every trial has trained, by its number."""
        for _ in range(steps):
            running = [trial for trial in self.trials if trial.status == Trial.RUNNING]
            while len(running) < SLOTS and (trial := self.scheduler.choose_trial_to_run(self)):
                trial.set_status(Trial.RUNNING)
                running.append(trial)
            if not running:
                break
            for trial in running:
                self._step(trial)
        return {number: self.told[trial] for number, trial in enumerate(self.trials, 1)}

    def _step(self, trial: Trial) -> None:
        if self.told[trial] == len(self.curves[trial]):  # its function returns
            self.stop_trial(trial)
            return
        result = {**self.curves[trial][self.told[trial]], "training_iteration": self.told[trial] + 1}
        self.told[trial] += 1
        result["time_total_s"] = float(self.told[trial])
        action = self.scheduler.on_trial_result(self, trial, result)
        self.last[trial] = result
        if action == TrialScheduler.STOP:
            self.stop_trial(trial)
        elif action == TrialScheduler.PAUSE:
            trial.set_status(Trial.PAUSED)


def spy(scheduler: TrialScheduler) -> list[dict[str, Any]]:
    """What `scheduler` hears."""
    heard: list[dict[str, Any]] = []
    original = scheduler.on_trial_result

    def on_trial_result(controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        heard.append(result)
        return original(controller, trial, result)

    scheduler.on_trial_result = on_trial_result
    return heard


SCHEDULERS = {
    "fifo": FIFOScheduler,
    "asha": lambda: ASHAScheduler(max_t=EPOCHS, grace_period=3),
    "median": lambda: MedianStoppingRule(grace_period=2, min_samples_required=2),
    "hyperband": lambda: HyperBandScheduler(max_t=EPOCHS),
}
MIXED = [(0.5, False), (0.1, True), (0.4, False), (0.3, False), (0.0, True), (0.9, False), (0.2, False), (0.8, False)]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_looks_sick_is_stopped_and_never_shown_behind(name: str, tmp_path: Path) -> None:
    behind = SCHEDULERS[name]()
    heard = spy(behind)
    scheduler = HealthFirst(behind, folder=str(tmp_path / "own"), epochs=EPOCHS, health=NO_CONTROLS)
    trained = Controller(scheduler, [rows(*each) for each in MIXED]).run()
    scheduler.close()
    assert {result["verdict"] for result in heard} == {"HEALTHY"}
    state = journal.read(tmp_path / "own")
    assert all(record.status.ended for record in state.trials.values())
    sick = {number for number, (_, collapsed) in enumerate(MIXED, 1) if collapsed}
    stopped = {number for number, record in state.trials.items() if record.reason == "COLLAPSED"}
    assert stopped == sick
    assert all(trained[number] == 3 for number in sick)  # the grace of one epoch, then two in a row
    assert "0 of 4 units active" in state.trials[2].detail
    assert {record.epoch for number, record in state.trials.items() if number not in sick} >= {EPOCHS}
    assert state.trials[state.best].config == {"lr": state.best - 1.0}
    if name == "fifo":
        assert all(trained[number] == EPOCHS for number in trained if number not in sick)
        assert state.best == 7  # the lowest val/nelbo of the healthy


def test_a_sick_trial_sets_no_cutoff() -> None:
    """Plain ASHA stops the healthy trial that comes after a sick one with better numbers; behind the verdict it does
    not."""
    curves = [rows(0.0, True), rows(0.5, False)]
    plain = Controller(SCHEDULERS["asha"](), curves).run()
    assert plain[2] < EPOCHS
    assert Controller(HealthFirst(SCHEDULERS["asha"](), epochs=EPOCHS, health=NO_CONTROLS), curves).run()[2] == EPOCHS


def test_controls_run_on_unheard_and_the_report_counts_them(tmp_path: Path) -> None:
    behind = FIFOScheduler()
    heard = spy(behind)
    health = HealthConfig(control_share=0.5)
    controls = {number for number in range(1, 9) if is_control(0, number, health)}
    assert 0 < len(controls) < 8
    scheduler = HealthFirst(behind, folder=str(tmp_path / "own"), epochs=EPOCHS, health=health)
    trained = Controller(scheduler, [rows(0.5, True) for _ in range(8)]).run()
    scheduler.close()
    assert {number for number, epochs in trained.items() if epochs == EPOCHS} == controls
    assert heard == []
    state = journal.read(tmp_path / "own")
    assert {number for number, record in state.trials.items() if record.status is Status.FINISHED} == controls
    from analysis import stops, sweep

    found = stops.controls(sweep.load(tmp_path / "own"))
    assert len(found.measured) == len(controls)


def test_population_based_training_hears_all_and_decides_alone() -> None:
    behind = PopulationBasedTraining(perturbation_interval=100, hyperparam_mutations={"lr": [0.1, 0.2]})
    heard = spy(behind)
    trained = Controller(HealthFirst(behind, epochs=EPOCHS), [rows(0.5, True), rows(0.5, False)]).run()
    assert trained == {1: EPOCHS, 2: EPOCHS}
    assert len(heard) == 2 * EPOCHS


def test_without_a_verdict_it_says_who_has_to_hand_it_over() -> None:
    scheduler = HealthFirst(epochs=EPOCHS)
    with pytest.raises(
        RecorderError, match=r"no scheduler sees the posterior: report .*\(monitor\.epoch\(mu, logvar"
    ):
        Controller(scheduler, [[{"val/nelbo": 1.0, "epoch": 1}]]).run()


def test_a_folder_needs_a_metric_and_is_never_written_over(tmp_path: Path) -> None:
    folder = str(tmp_path / "own")
    with pytest.raises(RecorderError, match=r"TuneConfig\(metric=…, mode=…\)"):
        HealthFirst(folder=folder, epochs=EPOCHS).set_search_properties(None, None)
    first = HealthFirst(folder=folder, epochs=EPOCHS)
    first.set_search_properties("val/nelbo", "min")
    first.close()
    with pytest.raises(RecorderError, match="there is a sweep in it already; choose another folder"):
        HealthFirst(folder=folder, epochs=EPOCHS).set_search_properties("val/nelbo", "min")


def test_a_trial_that_threw_is_failed_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = HealthFirst(folder=str(tmp_path / "own"), epochs=EPOCHS)
    controller = Controller(scheduler, [rows(0.5, False)])
    controller.run(steps=3)
    monkeypatch.setattr(Trial, "error_file", str(tmp_path / "error.txt"))
    (tmp_path / "error.txt").write_text("Traceback\n  line 3\nKeyError: 'hiden'\n")
    scheduler.on_trial_error(controller, controller.trials[0])
    scheduler.close()
    record = journal.read(tmp_path / "own").trials[1]
    assert (record.status, record.epoch, record.detail) == (Status.FAILED, 3, "KeyError: 'hiden'")
    assert math.isfinite(record.metrics["val/nelbo"])


def killed(folder: str) -> None:
    """A driver that dies in the middle of a search."""
    scheduler = HealthFirst(SCHEDULERS["asha"](), folder=folder, epochs=EPOCHS, health=NO_CONTROLS)
    Controller(scheduler, [rows(*each) for each in MIXED]).run(steps=12)
    os._exit(9)


def test_the_folder_of_a_driver_that_was_killed_is_read(tmp_path: Path) -> None:
    script = f"from tests.sweeps.cluster.test_health_first import killed; killed({str(tmp_path / 'own')!r})"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False).returncode == 9
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "report", str(tmp_path / "own")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "own" / "report.html").read_text()
    assert "COLLAPSED" in page or "collapsed" in page
    assert "sweeps/run.py --trial" not in page  # nobody but that script can train one again


def test_what_it_records_is_replayed_and_sent(tmp_path: Path) -> None:
    scheduler = HealthFirst(folder=str(tmp_path / "own"), epochs=EPOCHS, health=NO_CONTROLS)
    Controller(scheduler, [rows(*each) for each in MIXED]).run()
    scheduler.close()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def module(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "6 " in module("analysis", "replay", str(tmp_path / "own"), "--scheduler", "none")
    module("sweeps.tracking", str(tmp_path / "own"), "--once")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's dependencies
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    tags = {run.data.tags.get("stop.reason") for run in runs}
    assert tags == {None, "COLLAPSED"}
    assert len(runs) == 1 + len(MIXED)
