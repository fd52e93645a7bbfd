"""`HealthFirst` in a Ray Tune script as a user has it: schedulers of Ray's, a function, one machine's cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from sweeps.records import journal
from sweeps.records.outcomes import Status

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
