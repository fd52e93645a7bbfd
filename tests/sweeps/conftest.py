"""Real sweeps by the command line, on scikit-learn's digits: those that are to be killed as a user starts them, in a
process of their own, those that run to their end one after the other in one process.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sweeps.exit_codes import ExitCode
from sweeps.records import journal
from sweeps.records.journal import SweepState

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "sweeps" / "run.py"
DONE = (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL)  # a few epochs need not teach a decoder to use z
TINY = ["--set", "latent_dim=16", "--set", "hidden_dim=32", "--set", "layers=1"]
WIDE = {"COLUMNS": "200"}
TIMEOUT = 300  # seconds for a run


DOOR = """
import json, os, sys, traceback
sys.path.insert(0, {root!r})
from sweeps import run

reply = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    told = json.loads(line)
    with open(told["output"], "wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.chdir(told["folder"])
    sys.argv = ["sweeps/run.py", *told["arguments"]]
    try:
        code = run.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    print(code, file=reply, flush=True)
"""


class Door:
    """A process in which `run.py` is called again and again, so that imports and Ray's start are paid once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, folder: Path, arguments: Sequence[str]) -> tuple[int, str]:
        """Exit status and output of a call in `folder`."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", DOOR.format(root=str(ROOT))],
                env=os.environ | WIDE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        output = folder / "output.txt"
        told = {"folder": str(folder), "arguments": arguments, "output": str(output)}
        print(json.dumps(told), file=self._process.stdin, flush=True)
        answered, _, _ = select.select([self._process.stdout], [], [], TIMEOUT)
        assert answered, f"not over after {TIMEOUT} s: {output.read_text()}"
        code = self._process.stdout.readline()
        assert code, f"the process is gone: {output.read_text()}"
        return int(code), output.read_text()

    def close(self) -> None:
        """End it, and its Ray; also where the tests were broken off in the middle of a run."""
        if self._process is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def door() -> Iterator[Door]:
    """One for all tests whose sweeps run to their end."""
    opened = Door()
    yield opened
    opened.close()


class Sweeps:
    """Starts sweeps in one storage folder and reads what they leave."""

    def __init__(self, storage: Path, door: Door) -> None:
        self.storage = storage
        self.untracked = ("--tracking-uri", f"tensorboard:{storage / 'tensorboard'}")  # quicker than MLflow
        self._door = door
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, tiny: bool = True) -> subprocess.Popen[str]:
        """Start `run.py imc_vae --data digits` with a tiny network, in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, str(RUN), *self._complete(arguments, tiny)],
            cwd=self.storage,
            env=os.environ | WIDE,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, tiny: bool = True) -> tuple[int, str]:
        """Exit status and output of a whole run, in the process and on the Ray that others have used."""
        return self._door.run(self.storage, self._complete(arguments, tiny))

    def run_alone(self, *arguments: str, tiny: bool = True) -> tuple[int, str]:
        """The same in a process of its own: of a model of one's own, or where the process itself matters."""
        process = self.start(*arguments, tiny=tiny)
        output, _ = process.communicate(timeout=TIMEOUT)
        return process.returncode, output

    def _complete(self, arguments: Sequence[str], tiny: bool) -> list[str]:
        model = ["imc_vae", "--data", "digits", *TINY] if tiny else []
        return [*model, *arguments, "--storage", str(self.storage)]

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
def sweeps(tmp_path: Path, door: Door) -> Iterator[Sweeps]:
    """Sweeps in a fresh storage folder."""
    started = Sweeps(tmp_path, door)
    yield started
    started.close()
