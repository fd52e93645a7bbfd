"""Preparing data larger than what memory should hold: the most that the process ever had, and the time.

    python benchmarks/preparing.py                          1, 2 and 4 GB of each kind
    python benchmarks/preparing.py --gigabytes 0.5 8

Each number is of a process of its own that makes samples of 64 KiB and prepares them for a model of the user's:
`dataset`, a torch Dataset of float32 items with masks; `array`, a .npy file of float64, twice the bytes; `sparse`,
counts of which 2 % are not 0, which are in memory themselves, made dense. The first column is the same with ten
samples: what Python and its libraries take. Peak: VmHWM, mapped pages included. A gigabyte (10^9 bytes) is what the
samples are in float32.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table
from scipy.sparse import random_array

from trainables.data.cache import prepare
from trainables.data.user import UserReader

VALUES = 2**14
KINDS = ("dataset", "array", "sparse")
FEWEST = 10
STEP = 256


class Items:
    """A map-style data set of `count` items, made when they are asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> dict[str, Any]:
        x = np.random.default_rng(index).random(VALUES, np.float32)
        return {"x": x, "label": index % 7, "batch": "ab"[index % 2], "mask": x > 0.1}


def _made(kind: str, count: int, folder: Path) -> Any:
    if kind == "dataset":
        return Items(count)
    if kind == "sparse":
        return random_array((count, VALUES), density=0.02, format="csr", dtype=np.float32, rng=0)
    path = folder / "x.npy"
    for block, values in _blocks(path, count):
        values[block] = np.random.default_rng(block.start).random((block.stop - block.start, VALUES))
    return np.load(path, mmap_mode="r")


def _blocks(path: Path, count: int) -> Iterator[tuple[slice, Any]]:
    """Parts of a new .npy file, mapped one at a time so that what was written does not stay."""
    np.lib.format.open_memmap(path, "w+", np.float64, (count, VALUES)).flush()
    for start in range(0, count, STEP):
        yield slice(start, min(start + STEP, count)), np.lib.format.open_memmap(path, "r+")


def measure(kind: str, gigabytes: float, folder: Path) -> dict[str, float]:
    """Seconds and the peak in MB, in this process; what is made first is not counted."""
    count = max(FEWEST, round(gigabytes * 1e9 / (4 * VALUES)))
    made = _made(kind, count, folder)
    before, started = _memory("VmRSS"), time.perf_counter()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    dataset = prepare(UserReader("benchmark", lambda source: made, ""), None, folder)
    assert len(dataset) == count
    return {"seconds": time.perf_counter() - started, "before": before, "peak": _memory("VmHWM")}


def main(gigabytes: tuple[float, ...] = (1.0, 2.0, 4.0), one: str | None = None, folder: Path | None = None) -> None:
    """Print the table. `one` is KIND:GIGABYTES, measured here and printed as JSON; `folder`: for files, on a disk."""
    if one is not None:
        kind, size = one.split(":")
        with tempfile.TemporaryDirectory(dir=folder) as place:
            print(json.dumps(measure(kind, float(size), Path(place))))
        return
    table = Table(title="preparing: peak memory in MB (before: what was in memory already) and seconds")
    for column in ("", "ten samples", *(f"{size:g} GB" for size in gigabytes)):
        table.add_column(column, justify="right" if column else "left")
    for kind in KINDS:
        found = [_apart(kind, size, folder) for size in (0.0, *gigabytes)]
        cells = (f"{one['peak']:.0f} ({one['before']:.0f} before), {one['seconds']:.1f} s" for one in found)
        table.add_row(kind, *cells)
    Console(width=120).print(table)


def _apart(kind: str, gigabytes: float, folder: Path | None) -> dict[str, float]:
    command = [sys.executable, __file__, "--one", f"{kind}:{gigabytes}"]
    command += ["--folder", str(folder)] if folder else []
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _memory(name: str) -> float:
    """A line of /proc/self/status in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    tyro.cli(main)
