"""Real sweeps, as a user starts them: `sweeps/run.py` in a process of its own, on scikit-learn's digits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeps.exit_codes import ExitCode
from sweeps.records import journal
from sweeps.records.journal import SweepState

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "sweeps" / "run.py"
DONE = (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL)  # a few epochs need not teach a decoder to use z
TINY = ["--set", "latent_dim=16", "--set", "hidden_dim=32", "--set", "layers=1"]


class Sweeps:
    """Starts sweeps in one storage folder and reads what they leave."""

    def __init__(self, storage: Path) -> None:
        self.storage = storage
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, tiny: bool = True) -> subprocess.Popen[str]:
        """Start `run.py imc_vae --data digits` with a tiny network."""
        model = ["imc_vae", "--data", "digits", *TINY] if tiny else []
        command = [sys.executable, str(RUN), *model, *arguments, "--storage", str(self.storage)]
        process = subprocess.Popen(
            command,
            cwd=self.storage,
            env=os.environ | {"COLUMNS": "200"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, tiny: bool = True) -> tuple[int, str]:
        """Exit status and output of a whole run."""
        process = self.start(*arguments, tiny=tiny)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def resume(self, name: str, *arguments: str) -> tuple[int, str]:
        """Exit status and output of `run.py --resume NAME`."""
        return self.run("--resume", name, *arguments, tiny=False)

    def folder(self, name: str) -> Path:
        """The folder of a sweep."""
        return self.storage / name

    def state(self, name: str) -> SweepState:
        """Its journal, folded."""
        return journal.read(self.folder(name))

    def events(self, name: str) -> list[dict]:
        """Its journal, event by event."""
        path = self.folder(name) / "trials.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def mlflow_runs(self) -> list:
        """The runs of the storage's own MLflow database."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow's dependencies
            from mlflow import MlflowClient

            client = MlflowClient(f"sqlite:///{self.storage / 'mlflow.db'}")
            return client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])

    def wait(self, process: subprocess.Popen[str], condition: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until `condition` holds while `process` runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "the condition did not come true"
            time.sleep(0.1)

    def close(self) -> None:
        """End what still runs."""
        for process in self._started:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture
def sweeps(tmp_path: Path) -> Iterator[Sweeps]:
    """Sweeps in a fresh storage folder."""
    started = Sweeps(tmp_path)
    yield started
    started.close()
