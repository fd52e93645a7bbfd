"""What orchestration costs: the same trials by a bare loop, by plain Ray Tune with its MLflow logger, and by us.

    python benchmarks/orchestration.py
    python benchmarks/orchestration.py --long 2000      # one sweep of so many trials of 20 tiny epochs, with pauses

Each side starts cold and trains the same configurations to the end, on the same MLflow server, as many at once as
there are CPUs, one torch thread each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import long_sweep
import tyro
from rich.console import Console
from rich.table import Table

from sweeps.exit_codes import ExitCode
from sweeps.records import journal

HERE = Path(__file__).resolve().parent
RUN = HERE.parent / "sweeps" / "run.py"
MODEL = "imc_vae"


def configurations(trials: int) -> list[dict[str, Any]]:
    """The trials a random sweep of seed 0 runs."""
    import search_spaces
    from sweeps.searchers.random import RandomSearch

    space = search_spaces.load(MODEL)
    drawn = [RandomSearch(space, 0, [], []).suggest(trial) for trial in range(3, trials + 1)]
    return [space.documented(), space.baseline(), *drawn][:trials]


def train(config: dict[str, Any], storage: str, epochs: int, report: Any = None) -> None:
    """One trial by the training loop alone."""
    import torch

    from trainables import definition
    from trainables.data.cache import prepare
    from trainables.loop import Trainer

    torch.set_num_threads(1)
    dataset = prepare(definition.load(MODEL).reader, None, Path(storage))
    trainer = Trainer(MODEL, config, dataset, epochs, seed=0)
    for _ in range(epochs):
        row = trainer.run_epoch()
        if report is not None:
            report(row)


def bare_loop(trials: int, epochs: int, folder: Path, slots: int) -> None:
    """(a) processes over the training loop, nothing recorded."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(slots, mp_context=context) as pool:
        list(pool.map(train, configurations(trials), [str(folder)] * trials, [epochs] * trials))


def plain_tune(trials: int, epochs: int, folder: Path, slots: int, uri: str) -> None:
    """(b) Ray Tune as its documentation shows it, with MLflowLoggerCallback."""
    job = {"trials": trials, "epochs": epochs, "storage": str(folder), "slots": slots, "uri": uri}
    _run([sys.executable, str(HERE / "plain_tune.py"), json.dumps(job)], folder / "plain.log")


def ours(trials: int, epochs: int, folder: Path, slots: int, uri: str) -> None:
    """(c) sweeps/run.py with stopping off."""
    command = [sys.executable, str(RUN), MODEL, "--scheduler", "none", "--search", "random", "--confirm", "0"]
    command += ["--trials", str(trials), "--epochs", str(epochs), "--storage", str(folder), "--name", "ours"]
    _run([*command, "--tracking-uri", uri, "--max-concurrent", str(slots)], folder / "ours.log")


def breakdown(sweep: Path, started: float, ended: float) -> str:
    """Where the time of our run went, from its journal."""
    told = list(journal.events(sweep, []))
    first = min(event.time for event in told if isinstance(event, journal.Started))
    last = max(event.time for event in told if isinstance(event, journal.Ended))
    parts = (first - started, last - first, ended - last)
    return "ours: {:.1f} s to the first trial, {:.1f} s of trials, {:.1f} s after".format(*parts)


def main(trials: int = 24, epochs: int = 4, long: int = 0) -> None:
    """Measure.

    Args:
        trials: Number of trials.
        epochs: Epochs of each.
        long: Instead, how a sweep of so many trials goes on from its first quarter to its last.
    """
    if long:
        long_sweep.measure(long)
        return
    slots = os.cpu_count() or 1
    console = Console()
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        train(configurations(1)[0], str(folder), 1)  # writes the data once, for all
        uri, server = _mlflow_server(folder)
        seconds = {}
        try:
            for name, side in (
                ("bare loop", lambda: bare_loop(trials, epochs, folder, slots)),
                ("sweeps/run.py", lambda: ours(trials, epochs, folder, slots, uri)),
                ("Ray Tune + MLflowLoggerCallback", lambda: plain_tune(trials, epochs, folder, slots, uri)),
            ):
                started = time.time()
                side()
                seconds[name] = time.time() - started
                if name == "sweeps/run.py":
                    detail = breakdown(folder / "ours", started, time.time())
        finally:
            server.kill()
            server.wait()
    base = seconds["bare loop"]
    table = Table(title=f"{trials} trials of {epochs} epochs of {MODEL}, {slots} at once")
    for column in ("", "wall (s)", "ratio", "overhead (s)"):
        table.add_column(column, justify="left" if not column else "right")
    for name, wall in seconds.items():
        table.add_row(name, f"{wall:.1f}", f"{wall / base:.2f}", f"{wall - base:.1f}")
    console.print(table)
    console.print(detail, highlight=False)


def _mlflow_server(folder: Path) -> tuple[str, subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--artifacts-destination", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    uri = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{uri}/health", timeout=1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return uri, server
    server.kill()
    raise SystemExit("the MLflow server did not start")


def _run(command: list[str], log: Path) -> None:
    with open(log, "wb") as output:
        code = subprocess.run(command, stdout=output, stderr=output, cwd=log.parent).returncode
    if code not in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL):
        raise SystemExit(f"{command[1]} ended with {code}:\n{log.read_text()[-3000:]}")


if __name__ == "__main__":
    tyro.cli(main)
