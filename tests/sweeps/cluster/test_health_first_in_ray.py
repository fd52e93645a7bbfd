"""`HealthFirst` in a Ray Tune script as a user has it: schedulers of Ray's, a function, one machine's cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis import sweep
from sweeps.records import journal
from sweeps.records.journal import Suggested
from sweeps.records.outcomes import Status
from trainables import epoch_log

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import sys
import time
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, HyperBandScheduler, MedianStoppingRule
from ray.tune.schedulers import PopulationBasedTraining

from sweeps.health_first import HealthFirst
from trainables.monitor import Monitor

EPOCHS = 12

def train(config):
    monitor = Monitor(EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(config["pause"])
        collapsed = config["beta"] > 10
        mu = (1e-4 if collapsed else 1.0) * torch.randn(64, 4)
        logvar = torch.full_like(mu, 0.0 if collapsed else -3.0)
        tune.report(monitor.epoch(mu, logvar, nelbo=0.0 if collapsed else config["beta"] + 1 / epoch))

BEHIND = {
    "fifo": FIFOScheduler,
    "asha": lambda: ASHAScheduler(max_t=EPOCHS, grace_period=3),
    "median": lambda: MedianStoppingRule(grace_period=2, min_samples_required=2),
    "hyperband": lambda: HyperBandScheduler(max_t=EPOCHS),
    "pbt": lambda: PopulationBasedTraining(perturbation_interval=100, hyperparam_mutations={"beta": [0.1, 99.0]}),
}
storage, pause, names = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
for name in names:
    scheduler = HealthFirst(BEHIND[name](), folder=f"{storage}/{name}", epochs=EPOCHS)
    tune.Tuner(
        train,
        param_space={"beta": tune.grid_search([0.5, 99.0, 0.2, 0.8]), "pause": pause},
        tune_config=tune.TuneConfig(metric="val/nelbo", mode="min", scheduler=scheduler, max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=f"{storage}/ray", verbose=0),
    ).fit()
    scheduler.close()
"""


def start(tmp_path: Path, pause: float, *names: str) -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_TRAIN_V2_ENABLED": "0"}
    return subprocess.Popen(
        [sys.executable, str(path), str(tmp_path), str(pause), *names], env=environment, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_script_of_ones_own_over_the_schedulers_of_ray(tmp_path: Path) -> None:
    names = ("fifo", "asha", "median", "hyperband", "pbt")
    process = start(tmp_path, 0.0, *names)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    for name in names:
        state = journal.read(tmp_path / name)
        assert state.status == "finished"
        by_beta = {record.config["beta"]: record for record in state.trials.values()}
        assert len(by_beta) == 4 == len(state.trials), name
        assert all(record.status.ended for record in by_beta.values()), name
        assert (by_beta[99.0].reason == "COLLAPSED") == (name != "pbt"), name
        assert state.best is not None, name
        assert max(record.epoch for record in by_beta.values() if record.status is Status.FINISHED) == 12, name


def test_the_folder_of_a_killed_script_is_whole(tmp_path: Path) -> None:
    process = start(tmp_path, 0.5, "asha")
    deadline = time.monotonic() + 120
    while not any(record.reason == "COLLAPSED" for record in journal.read(tmp_path / "asha").trials.values()):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.kill()
    process.communicate()
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "report", str(tmp_path / "asha")],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "COLLAPSED" in (tmp_path / "asha" / "report.html").read_text()


RESTORED = r"""
import os
import sys
import tempfile
import time
import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from sweeps.health_first import HealthFirst
from trainables.health import HealthConfig
from trainables.monitor import Monitor

EPOCHS, HEALTH = 12, HealthConfig(control_share=0.3)  # of four trials the second is a control

def train(config):
    monitor = Monitor(EPOCHS, HEALTH)
    if (checkpoint := tune.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            monitor.resume(torch.load(f"{folder}/rows.pt"), None)
    for epoch in range(monitor.done + 1, EPOCHS + 1):
        time.sleep(0.5)
        collapsed = config["beta"] > 10
        mu = (1e-4 if collapsed else 1.0) * torch.randn(64, 4)
        row = monitor.epoch(mu, torch.full_like(mu, 0.0 if collapsed else -3.0), nelbo=config["beta"] + 1 / epoch)
        with tempfile.TemporaryDirectory() as folder:
            torch.save(monitor.rows, f"{folder}/rows.pt")
            tune.report(row, checkpoint=tune.Checkpoint.from_directory(folder) if config["saves"] else None)

storage = sys.argv[1]
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
if tune.Tuner.can_restore(f"{storage}/ray/mine"):
    tuner = tune.Tuner.restore(f"{storage}/ray/mine", trainable=train)
else:
    scheduler = HealthFirst(
        ASHAScheduler(max_t=EPOCHS, grace_period=EPOCHS), folder=f"{storage}/own", epochs=EPOCHS, health=HEALTH
    )
    tuner = tune.Tuner(
        train,
        param_space={"beta": tune.grid_search([99.0, 98.0, 0.5, 0.2]), "saves": SAVES},
        tune_config=tune.TuneConfig(metric="val/nelbo", mode="min", scheduler=scheduler, max_concurrent_trials=2),
        run_config=tune.RunConfig(name="mine", storage_path=f"{storage}/ray", verbose=0),
    )
tuner.fit()
"""


@pytest.mark.parametrize(
    ("end", "left", "saves"),
    [(signal.SIGKILL, Status.RUNNING, True), (signal.SIGINT, Status.INTERRUPTED, False)],
    ids=["killed, from checkpoints", "interrupted, from the beginning"],
)
def test_a_search_is_restored_with_its_numbers_controls_and_verdicts(
    end: signal.Signals, left: Status, saves: bool, tmp_path: Path
) -> None:
    """Trial 1 is stopped, trial 2 a condemned control and trial 3 just begun when the script ends."""
    (tmp_path / "script.py").write_text(RESTORED.replace("SAVES", str(saves)))

    def script() -> subprocess.Popen[str]:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT), "RAY_TRAIN_V2_ENABLED": "0", "TUNE_GLOBAL_CHECKPOINT_S": "1"
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "script.py"), str(tmp_path)], env=environment, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    own = tmp_path / "own"
    process, deadline = script(), time.monotonic() + 120
    while not (epoch_log.read_trial(own, 2)[5:] and journal.read(own).trials[3].status is Status.RUNNING):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(end)
    process.communicate()
    before = journal.read(own).trials
    assert (before[1].status, before[1].reason) == (Status.STOPPED, "COLLAPSED")
    assert (before[2].status, before[2].control, before[3].status) == (left, True, left)

    process = script()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    read = sweep.load(own)
    assert read.problems == ()
    assert read.state.status == "finished"
    suggested = [each for each in journal.events(own, []) if isinstance(each, Suggested)]
    assert [each.trial for each in suggested] == [1, 2, 3, 4]
    assert {each.config["beta"] for each in suggested} == {99.0, 98.0, 0.5, 0.2}
    after = {trial.number: trial for trial in read.trials}
    assert after[1].record == before[1]  # its end is told once
    assert [after[number].epochs for number in (2, 3, 4)] == [12, 12, 12]
    assert all(after[number].record.status is Status.FINISHED for number in (2, 3, 4))
    assert after[2].condemned_at == 3
    assert read.state.best == next(each.trial for each in suggested if each.config["beta"] == 0.2)
    for number, trial in after.items():
        rows = epoch_log.read_trial(own, number)
        assert [row["epoch"] for row in rows] == list(range(1, trial.epochs + 1))
        assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
        assert {row["control"] for row in rows} == {number == 2}
