"""A sweep's folder, made by the code that makes real ones, and a real MLflow server."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sweeps.config import SweepConfig
from sweeps.records import record as records
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Journal, Started, Suggested, SweepEvent
from sweeps.records.record import CodeRecord, DataRecord, ParameterRecord, SweepRecord
from trainables import epoch_log

EPOCHS = 6
HYPERPARAMETERS = {"learning_rate": 1e-3, "kld_free_bits": 2.0, "normalize": "channel_wise", "two_stage": False}


class SweepWriter:
    """Writes a sweep's folder bit by bit, as driver and workers do."""

    def __init__(
        self, folder: Path, name: str = "demo", sweep_id: str = "5eeb", metrics: int = 3, model: str = "imc_vae"
    ) -> None:
        self.path = folder / name
        self.path.mkdir(parents=True)
        self.metrics = metrics
        config = SweepConfig(
            model,
            name,
            str(folder),
            3,
            EPOCHS,
            7,
            "tpe",
            "health-asha",
            ["val/elbo_gain"],
            ["max"],
            ["latent_dim=16"],
        )
        record = SweepRecord(
            name,
            sweep_id,
            model,
            config,
            created=1_700_000_000.0,
            space=[ParameterRecord("learning_rate", "log", 5e-4, 1e-3, low=5e-5, high=1e-3)],
            data=DataRecord("embedded", fingerprint="f00d", shape=[2, 2, 8]),
            code=CodeRecord(commit="c0ffee", dirty=True),
            packages={"torch": "2.13.0", "ray": "2.60.0"},
            command=["sweeps/run.py", "imc_vae"],
        )
        records.write(record, self.path)
        SweepFolder(self.path).plan.write_text("{}")
        self.journal = Journal(self.path)
        self.journal.append(SweepEvent("started"))
        self.rows: dict[int, list[dict]] = {}

    def start(self, trial: int, **suggested) -> None:
        defaults = {"config": HYPERPARAMETERS, "origin": "search"}
        self.journal.append(Suggested(trial, **defaults | suggested))
        self.journal.append(Started(trial))

    def train(self, trial: int, epochs: int, **last) -> None:
        """Add epochs to a trial's log; `last` overrides what the last one says."""
        rows = self.rows.setdefault(trial, [])
        for _ in range(epochs):
            epoch = len(rows) + 1
            row = {
                "epoch": epoch,
                "seconds": 1.5 * epoch,
                "verdict": "HEALTHY",
                "verdict_detail": "",
                "control": False,
            }
            row |= {f"train/term_{index}": trial + epoch / 10 + index for index in range(self.metrics - 2)}
            rows.append(row | {"val/elbo_gain": 0.1 * trial + 0.01 * epoch, "health/au": 5.0})
        rows[-1] |= last
        epoch_log.write(self.path, trial, HYPERPARAMETERS, rows)

    def end(self, trial: int, status: str, reason: str = "", detail: str = "") -> None:
        row = self.rows[trial][-1]
        metrics = {"val/elbo_gain": row["val/elbo_gain"]}
        self.journal.append(Ended(trial, status, reason, detail, row["epoch"], metrics))

    def finish(self, status: str = "finished", best: int | None = None, detail: str = "") -> None:
        self.journal.append(SweepEvent(status, detail, best))

    def artifact(self, trial: int, name: str, text: str) -> None:
        folder = SweepFolder(self.path).artifacts(trial)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


class Server:
    """`mlflow server` on SQLite, that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self._healthy():
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mlflow_server"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def sweep(tmp_path):
    return SweepWriter(tmp_path / "results")


@pytest.fixture
def make_sweep(tmp_path):
    """A sweep with a name of one's own."""
    return lambda **options: SweepWriter(tmp_path / "results", **options)


@pytest.fixture(autouse=True)
def quiet_mlflow(monkeypatch):
    """As the tracker sets it."""
    from sweeps.tracking.trackers.mlflow import SETTINGS

    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
