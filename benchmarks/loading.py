"""The first start on a folder of files against every later one: decoding once into the memory-mapped cache.

    python benchmarks/loading.py vq_vae FOLDER

`cold`: the folder is decoded, checked and written. `warm`: the file of the first start is mapped. `epoch`: one pass
over the training samples in random order, from the mapping, and decoding the folder again for comparison.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

import search_spaces
from trainables import definition
from trainables.data.cache import DEFAULTS, prepare

BATCH = 32


def main(
    model: Annotated[str, tyro.conf.Positional], source: Annotated[str, tyro.conf.Positional], /, repeats: int = 3
) -> None:
    """Print the seconds of each, best of `repeats`."""
    reader, settings = definition.load(model).reader, search_spaces.load(model).data_settings()

    def cold() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return len(prepare(reader, source, Path(folder), settings))

    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(reader, source, Path(folder), settings)
        order = np.random.default_rng(0).permutation(dataset.train)
        rows = {
            "cold start": cold,
            "warm start": lambda: prepare(reader, source, Path(folder), settings),
            "epoch from the cache": lambda: [dataset.read(order[i : i + BATCH]) for i in range(0, len(order), BATCH)],
            "epoch by decoding again": lambda: reader.read(source, DEFAULTS | settings),
        }
        seconds = {name: _best(action, repeats) for name, action in rows.items()}
    table = Table(title=f"{model}, {len(dataset)} samples of {' × '.join(map(str, dataset.shape))}")
    for column in ("", "seconds", "of the cold start"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in seconds.items():
        table.add_row(name, f"{value:.4f}", f"{value / seconds['cold start']:.1%}")
    Console().print(table)


def _best(action: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    tyro.cli(main)
