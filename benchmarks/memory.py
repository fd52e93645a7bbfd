"""Memory that the data adds per concurrent trial: the shared mapping against a copy each (`np.load`).

python benchmarks/memory.py
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from trainables.data.samples import Samples
from trainables.data.store import open_dataset, write_dataset

BATCH = 32


def mapped(folder: str) -> Any:
    """The data as every trial opens it."""
    return open_dataset(Path(folder) / "data.arrow").x


def loaded(folder: str) -> Any:
    """The data as a training script usually reads it."""
    return np.load(Path(folder) / "data.npy")


def trial(open_data: Callable[[str], Any], folder: str, barrier: Any, results: Any) -> None:
    """Touch every sample in batches, as an epoch does, and report the memory of this process while all hold it."""
    before = _memory()
    x = open_data(folder)
    total = 0.0
    for start in range(0, len(x), BATCH):
        total += float(x[np.arange(start, min(start + BATCH, len(x)))].sum())
    barrier.wait()
    after = _memory()
    results.put({kind: after[kind] - before[kind] for kind in after})
    barrier.wait()


def main(mebibytes: int = 1024, processes: tuple[int, ...] = (1, 2, 4)) -> None:
    """Measure.

    Args:
        mebibytes: Size of the data.
        processes: Numbers of concurrent trials.
    """
    samples = mebibytes * 2**20 // (6 * 6 * 512 * 4)
    table = Table(title=f"MiB added per trial by {mebibytes} MiB of data")
    for column in ("trials", "", "its own", "proportional", "resident"):
        table.add_column(column, justify="left" if not column else "right")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        x = np.random.default_rng(0).standard_normal((samples, 6, 6, 512), dtype=np.float32)
        np.save(Path(folder) / "data.npy", x)
        write_dataset(Path(folder) / "data.arrow", Samples(x=x, source="benchmark"), {})
        del x
        for count in processes:
            for name, open_data in (("shared mapping", mapped), ("np.load", loaded)):
                barrier, results = context.Barrier(count), context.Queue()
                arguments = (open_data, folder, barrier, results)
                workers = [context.Process(target=trial, args=arguments) for _ in range(count)]
                for worker in workers:
                    worker.start()
                added = [results.get() for _ in workers]
                for worker in workers:
                    worker.join()
                means = {kind: np.mean([each[kind] for each in added]) for kind in added[0]}
                table.add_row(f"{count}", name, *(f"{means[kind]:.0f}" for kind in ("Private_Dirty", "Pss", "Rss")))
    Console().print(table)


def _memory() -> dict[str, float]:
    """MiB of this process: its own (private and dirty, not to be had back), proportional and resident."""
    kibibytes = {"Private_Dirty": 0.0, "Pss": 0.0, "Rss": 0.0}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        if name.rstrip(":") in kibibytes:
            kibibytes[name.rstrip(":")] = float(value)
    return {kind: value / 1024 for kind, value in kibibytes.items()}


if __name__ == "__main__":
    tyro.cli(main)
