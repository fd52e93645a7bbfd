"""What stopping saves and what it costs: no stopping, Ray's ASHA and ours on the same recorded trials.

    python benchmarks/stopping.py

Records a sweep without stopping on a space in which about a third of the configurations collapse (digits, no free
bits, wide KL weights), then lets every scheduler run over the recorded curves in simulated time, in many orders.
Ray's scheduler is the real class; ours is the object that `sweeps/run.py` runs.
"""

from __future__ import annotations

import heapq
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from sweeps import schedulers
from sweeps.schedulers.base import LoggedRow, Task
from trainables import epoch_log
from trainables.health import Verdict

RUN = Path(__file__).resolve().parents[1] / "sweeps" / "run.py"
METRIC = "val/elbo_gain"
GRACES = (1, 3, 5, 9)  # epochs; more patience loses less of the score and costs more epochs
SPACE = ["--set", "kld_free_bits=0", "--space", "kld_loss_scale=1e-3..30", "--space", "learning_rate=3e-4..3e-3"]
TINY = ["--set", "latent_dim=16", "--set", "hidden_dim=32", "--set", "layers=1", "--set", "normalize=channel_wise"]

Rows = list[dict[str, Any]]
Decide = Callable[[int, dict[str, Any]], bool]  # True: stop


def record(storage: Path, trials: int, epochs: int) -> dict[int, Rows]:
    """The epochs of every trial of a sweep in which none is stopped."""
    command = [sys.executable, str(RUN), "imc_vae", "--data", "digits", "--search", "random", "--scheduler", "none"]
    command += ["--trials", str(trials), "--epochs", str(epochs), "--storage", str(storage), "--name", "recorded"]
    if not (storage / "recorded" / "report.html").exists():
        subprocess.run([*command, *SPACE, *TINY], check=True, stdout=subprocess.DEVNULL)
    return {trial: epoch_log.read_trial(storage / "recorded", trial) for trial in range(1, trials + 1)}


def ours(scheduler: str, epochs: int) -> Callable[[], Decide]:
    """Our stopping, without controls."""

    def fresh() -> Decide:
        task = Task(epochs, METRIC, "max")
        stopping = schedulers.parse(scheduler).make(task)
        return lambda trial, row: stopping.on_epoch(trial, LoggedRow(row, task)).stop

    return fresh


def rays(epochs: int, grace: int, reduction_factor: int) -> Callable[[], Decide]:
    """Ray Tune's AsyncHyperBandScheduler."""
    from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

    def fresh() -> Decide:
        scheduler = AsyncHyperBandScheduler(
            time_attr="epoch", metric=METRIC, mode="max", max_t=epochs + 1, grace_period=grace,
            reduction_factor=reduction_factor,
        )  # fmt: skip
        known: dict[int, SimpleNamespace] = {}

        def decide(trial: int, row: dict[str, Any]) -> bool:
            if trial not in known:
                known[trial] = SimpleNamespace(trial_id=str(trial))
                scheduler.on_trial_add(None, known[trial])
            return scheduler.on_trial_result(None, known[trial], row) == TrialScheduler.STOP

        return decide

    return fresh


def simulate(trials: dict[int, Rows], order: list[int], workers: int, decide: Decide) -> dict[int, int]:
    """How many epochs each trial ran, started in `order` on `workers`; an epoch takes as long as it was recorded."""
    waiting, ran = list(order), {}
    running: list[tuple[float, int, int]] = []
    for _ in range(min(workers, len(waiting))):
        trial = waiting.pop(0)
        heapq.heappush(running, (trials[trial][0]["time/epoch_seconds"], trial, 0))
    while running:
        now, trial, position = heapq.heappop(running)
        ran[trial] = position + 1
        stop = decide(trial, trials[trial][position])
        if not stop and position + 1 < len(trials[trial]):
            heapq.heappush(running, (now + trials[trial][position + 1]["time/epoch_seconds"], trial, position + 1))
        elif waiting:
            following = waiting.pop(0)
            heapq.heappush(running, (now + trials[following][0]["time/epoch_seconds"], following, 0))
    return ran


def main(
    trials: int = 36, epochs: int = 27, workers: int = 4, orders: int = 200, recorded: Path | None = None
) -> None:
    """Measure.

    Args:
        trials: Number of trials to record.
        epochs: Epochs of each.
        workers: Trials at once in the simulation.
        orders: Random orders in which the trials start.
        recorded: Storage folder to keep the recorded sweep in, and to find it again.
    """
    with tempfile.TemporaryDirectory() as temporary:
        curves = record((recorded or Path(temporary)).absolute(), trials, epochs)
    final = {trial: rows[-1] for trial, rows in curves.items()}
    healthy = {trial for trial, row in final.items() if row["verdict"] == Verdict.HEALTHY}
    best = max(final[trial][METRIC] for trial in healthy)
    patient = {f"Ray ASHA (grace {grace}, η 3)": rays(epochs, grace, 3) for grace in GRACES}
    schedulers = {
        "no stopping": ours("none", epochs),
        "Ray ASHA (grace 1, η 4: its defaults)": rays(epochs, 1, 4),
        **patient,
        "asha": ours("asha", epochs),
        "health-asha": ours("health-asha", epochs),
    }
    condemned = {t for t, rows in curves.items() if any(Verdict(row["verdict"]).condemned for row in rows)}
    sick = len(final) - len(healthy)
    setting = f"{workers} workers, {orders} orders (median, 10–90 %)"
    table = Table(title=f"{trials} trials of {epochs} epochs, {sick} collapsed, {setting}")
    for column in ("", "epochs", "of all", "best score lost", "no healthy finisher"):
        table.add_column(column, justify="right" if column else "left")
    rng = np.random.default_rng(0)
    sequences = [list(rng.permutation(list(curves))) for _ in range(orders)]
    for name, fresh in schedulers.items():
        runs = [simulate(curves, order, workers, fresh()) for order in sequences]
        spent = np.array([sum(run.values()) for run in runs])
        reached = [[final[t][METRIC] for t, n in run.items() if n == epochs and t in healthy] for run in runs]
        lost = np.array([best - max(scores) for scores in reached if scores])
        table.add_row(
            name,
            "{:.0f} ({:.0f}–{:.0f})".format(*np.percentile(spent, [50, 10, 90])),
            f"{np.median(spent) / (trials * epochs):.0%}",
            "{:.4f} ({:.4f}–{:.4f})".format(*np.percentile(lost, [50, 10, 90])) if len(lost) else "–",
            f"{np.mean([not scores for scores in reached]):.0%}",
        )
    console = Console(width=130)
    console.print(table)
    console.print(
        f"Condemned by the health verdict: {len(condemned)}, of which ended healthy when left to run: "
        f"{len(condemned & healthy)}. Best score without stopping: {best:.4f}.",
        highlight=False,
    )


if __name__ == "__main__":
    tyro.cli(main)
