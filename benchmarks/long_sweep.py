"""What a long sweep costs beside training, quarter by quarter: nothing may grow with the number of trials."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from sweeps.records import journal
from trainables import epoch_log

RUN = Path(__file__).resolve().parents[1] / "sweeps" / "run.py"
EPOCHS = 20
LOOP = """
import math, torch
from search_spaces import Parameter, SearchSpace

SPACE = SearchSpace(
    "tiny", (Parameter("rate", "log", 1.0, low=0.1, high=9.0),), metrics=("val/nelbo",), mode="min"
)

def train(config, monitor):
    more = {f"train/term_{number}": float(number) for number in range(60)}  # a row as long as our models have
    for epoch in range(monitor.done, monitor.epochs):
        monitor.save({"epoch": epoch})
        mu = torch.randn(64, 4)
        monitor.epoch(mu, torch.full_like(mu, -3.0), nelbo=math.log(config["rate"]) ** 2 + 1 / (epoch + 1), **more)
"""
POLL = 0.5  # seconds
QUARTERS = 4
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """The sweep at a moment: `begun` trials, `cpu` seconds and `memory` (MiB) of its driver."""

    time: float
    begun: int
    cpu: float
    memory: float


def measure(trials: int) -> None:
    """Run the sweep, with the default scheduler, and print a table."""
    slots = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seen = list(_watch(_start(folder, trials, slots), folder / "long"))
        log = epoch_log.dataset(folder / "long").to_table(columns=["trial", "epoch", "time/epoch_seconds"])
        told = list(journal.events(folder / "long", []))
    starts = sorted(event.time for event in told if isinstance(event, journal.Started))
    first, last = starts[0], max(event.time for event in told if isinstance(event, journal.Ended))
    seen = [each for each in seen if first <= each.time <= last]
    wall, epochs = last - first, len(log)
    trained = float(np.sum(log["time/epoch_seconds"].to_numpy()))
    waits = handed_over(told)
    beside = 1000 * (wall * slots - trained) / len(starts)
    console = Console()
    console.print(_table(seen, trials, slots))
    console.print(
        f"{epochs} epochs, {len(waits)} pauses, {epochs / wall:.1f} results a second; {trained / wall / slots:.0%} "
        f"of the slots' time are epochs; {beside:.0f} ms of a slot go beside them with every start of a trial "
        f"({len(starts)}). From a pause to the start that takes its slot: {1000 * np.median(waits):.0f} ms, "
        f"{sum(waits) / wall / slots:.1%} of the slots' time",
        highlight=False,
    )


def handed_over(told: Sequence[journal.Event]) -> list[float]:
    """Seconds from every pause until the next trial starts in the slot that it frees: slots are taken in the order in
    which they fell free. The last pauses, after which nothing starts, are left out."""
    running, free, seconds = set[int](), deque[tuple[float, bool]](), list[float]()
    for event in told:
        if isinstance(event, journal.Started):
            running.add(event.trial)
            if free:
                since, paused = free.popleft()
                seconds += [event.time - since] * paused
        elif isinstance(event, journal.Paused | journal.Ended | journal.Lost) and event.trial in running:
            running.remove(event.trial)
            free.append((event.time, isinstance(event, journal.Paused)))
    return seconds


def _start(folder: Path, trials: int, slots: int) -> subprocess.Popen[bytes]:
    (folder / "tiny.py").write_text(LOOP)
    command = [
        sys.executable,
        str(RUN),
        "tiny.py",
        "--trials",
        str(trials),
        "--epochs",
        str(EPOCHS),
        "--name",
        "long",
    ]
    command += ["--storage", str(folder), "--max-concurrent", str(slots), "--search", "random", "--confirm", "0"]
    with open(folder / "log", "wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)


def _watch(process: subprocess.Popen[bytes], sweep: Path) -> Iterator[Seen]:
    """Look until the driver ends, though its mirror may still send."""
    while process.poll() is None:
        time.sleep(POLL)
        told = sweep / "trials.jsonl"
        begun = told.read_bytes().count(b'"event": "suggested"') if told.exists() else 0
        try:
            used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            memory = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except FileNotFoundError:
            return
        yield Seen(time.time(), begun, (int(used[11]) + int(used[12])) / TICKS, memory / 2**20)


def _table(seen: list[Seen], trials: int, slots: int) -> Table:
    table = Table(title=f"{trials} trials of up to {EPOCHS} epochs, {slots} at once, by quarters of the trials")
    for column in ("trials begun", "s", "driver: CPU ms a trial", "driver: MB", "MB a trial"):
        table.add_column(column, justify="right")
    marks = [next((each for each in seen if each.begun >= part * trials // QUARTERS), seen[-1]) for part in range(4)]
    for before, after in pairwise([*marks, seen[-1]]):
        count = max(1, after.begun - before.begun)
        table.add_row(
            f"{before.begun}–{after.begun}",
            f"{after.time - before.time:.0f}",
            f"{1000 * (after.cpu - before.cpu) / count:.0f}",
            f"{after.memory:.0f}",
            f"{(after.memory - before.memory) / count:.3f}",
        )
    return table
