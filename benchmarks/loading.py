"""What it costs that samples are files: at the start of a sweep, and in every epoch.

    python benchmarks/loading.py start vq_vae FOLDER    decoding once into the memory-mapped cache
    python benchmarks/loading.py epoch                  mapped samples against the same as tensors in memory

`start`: `cold`: the folder is decoded, checked and written; `warm`: the file of the first start is mapped; `epoch`:
one pass over the training samples in random order, from the mapping, and decoding the folder again for comparison.

`epoch`: training steps of two examples on simulated data of which a thread reads ahead, and of one on less. `mapped`:
from the cache's file, which is in the page cache; `evicted`: from a copy of it that is not, as where the data are
larger than memory. Each is set against the same steps on tensors just before or after it, in turns; told are the
medians of the times and of the ratios of each pair.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

import search_spaces
from trainables import definition
from trainables.data.cache import DEFAULTS, prepare
from trainables.data.samples import Samples
from trainables.data.splitting import split
from trainables.data.store import Dataset, open_dataset, write_dataset
from trainables.data.user import UserReader
from trainables.loader import Loader
from trainables.loop import Trainer
from trainables.vae import Batch

BATCH = 32
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIMULATED = {  # example: samples, shape, what they are, batch size
    "my_counts": (35_000, (2_000,), np.float32, 128),
    "my_vae": (350_000, (28, 28), np.uint8, 512),
    "my_counts, little data": (5_000, (2_000,), np.float32, 128),
}


def start(
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


def epoch(steps: int = 100, pairs: int = 5, threads: int = 1, folder: Path | None = None) -> None:
    """Print the milliseconds of a step.

    Args:
        steps: of an epoch, at most, that are timed.
        pairs: of each kind.
        threads: of PyTorch.
        folder: for the files, on a disk.
    """
    torch.set_num_threads(threads)
    title = (
        f"milliseconds of a training step, medians of {pairs} pairs of {steps} steps, PyTorch on {threads} threads"
    )
    table = Table(title=title)
    for column in ("model", "data", "tensors", "mapped", "ratio", "evicted", "ratio"):
        table.add_column(column, justify="left" if column in ("model", "data") else "right")
    for name in SIMULATED:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            table.add_row(name, *_cells(name, Path(place), steps, pairs))
    Console(width=120).print(table)


def _cells(name: str, folder: Path, steps: int, pairs: int) -> Iterator[str]:
    path = folder / "mapped.arrow"
    _simulate(name, path)
    shutil.copy(path, folder / "evicted.arrow")
    mapped, tensors = _trial(name, open_dataset(path)), _trial(name, open_dataset(path))
    tensors.loader = InMemory(tensors.dataset)
    for trial in (mapped, tensors):
        trial.train_steps(5)
    warm_pairs = [_pair(mapped, tensors, steps, turn) for turn in range(pairs)]
    cold_pairs = [_pair(_evicted(name, folder), tensors, steps, turn) for turn in range(pairs)]
    yield f"{mapped.dataset.nbytes / 1e6:.0f} MB{', a thread' if mapped.loader.threaded else ''}"
    yield f"{statistics.median(other for _, other in warm_pairs):.1f}"
    for found in (warm_pairs, cold_pairs):
        yield f"{statistics.median(one for one, _ in found):.1f}"
        yield f"{statistics.median(one / other for one, other in found):.3f}"


def _pair(trial: Trainer, tensors: Trainer, steps: int, turn: int) -> tuple[float, float]:
    """Milliseconds of a step from the file and of one on tensors, in turns the one and the other first."""
    order = (trial, tensors) if turn % 2 else (tensors, trial)
    found = {id(one): _milliseconds(one, min(steps, one.batches)) for one in order}
    return found[id(trial)], found[id(tensors)]


def _milliseconds(trial: Trainer, steps: int) -> float:
    started = time.perf_counter()
    trial.train_steps(steps)
    return 1e3 * (time.perf_counter() - started) / steps


def _evicted(name: str, folder: Path) -> Trainer:
    """A trial on a file of which nothing is in the page cache, and no other process or trial maps."""
    with open(folder / "evicted.arrow", "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return _trial(name, open_dataset(folder / "evicted.arrow"))


def _trial(name: str, dataset: Dataset) -> Trainer:
    path = EXAMPLES / f"{name.partition(',')[0]}.py"
    config = definition.load(str(path)).space.documented() | {"batch_size": SIMULATED[name][3]}
    return Trainer(str(path), config, dataset, 100, 0)


def _simulate(name: str, path: Path) -> None:
    count, shape, kind, _ = SIMULATED[name]
    rng = np.random.default_rng(0)
    x = rng.poisson(rng.gamma(0.5, 2.0, shape), (count, *shape)).clip(0, 255).astype(kind)
    samples = Samples(x, "simulated")
    write_dataset(path, samples, UserReader("simulated", None, "").statistics(samples, split(count).train))


class InMemory(Loader):
    """The same batches from tensors on the device."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        self._x, self._label, _ = super().batch(np.arange(len(dataset)))

    def batches(self, index: np.ndarray, size: int) -> Iterator[Batch]:
        """See `Loader`."""
        parts: tuple[Tensor, ...] = torch.from_numpy(index).to(self.device).split(size)
        return (Batch(self._x[part], self._label[part]) for part in parts)


def _best(action: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict({"start": start, "epoch": epoch})
