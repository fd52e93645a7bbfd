"""One training step of every model at its documented size and batch: samples per second and peak memory.

    python benchmarks/training.py                        all models, on the GPU if there is one
    python benchmarks/training.py --models conv_vae --variants eager bf16

Variants: `eager` is what trials run on a CPU (float32) and `bf16` what they run on a GPU (autocast); `channels_last`
and `compile` (torch.compile) are measured on top of the device's default. The data are the model's embedded samples,
enlarged. The last table is the share of an epoch that goes into diagnostics, on the embedded data at its own size.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

import search_spaces
from trainables import definition
from trainables.data.cache import prepare
from trainables.data.splitting import split
from trainables.data.store import Dataset, open_dataset, write_dataset
from trainables.loop import Trainer

VARIANTS = ("eager", "bf16", "channels_last", "compile")
STEPS = 3
SEED = 0


def enlarged(model: str, folder: Path) -> Dataset:
    """Two batches' worth of embedded samples of all environments, enlarged to the documented size."""
    space, reader = search_spaces.load(model), definition.load(model).reader
    small, full = space.on_embedded(), space.documented()
    samples = reader.embedded(small.data_settings() | {"subset": None, "strict": False})
    factor = full.get("image_size", 1) // small.documented().get("image_size", 1)
    count = min(len(samples.x), max(16, 2 * full["batch_size"]))
    chosen = samples.chosen(np.linspace(0, len(samples.x) - 1, count).astype(int))
    x = chosen.x
    for axis in range(2, x.ndim) if factor > 1 else ():
        x = np.repeat(x, factor, axis)
    large = dataclasses.replace(chosen, x=x, source="enlarged")
    path = folder / f"{model}.arrow"
    write_dataset(path, large, reader.statistics(large, split(count).train))
    return open_dataset(path)


def measure(model: str, variant: str) -> dict[str, Any]:
    """Samples per second and peak MiB of a training step, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = enlarged(model, Path(folder))
        trainer = Trainer(model, search_spaces.load(model).documented(), dataset, 100, SEED)
        on_gpu = trainer.device.type == "cuda"
        low = on_gpu if variant in ("channels_last", "compile") else variant == "bf16"
        trainer._autocast = lambda: torch.autocast(trainer.device.type, torch.bfloat16, enabled=low)
        if variant == "channels_last":
            layout = torch.channels_last_3d if len(dataset.shape) == 4 else torch.channels_last
            trainer.model.to(memory_format=layout)
        if variant == "compile":
            trainer.model.compile()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        trainer.train_steps(1)
        steps = min(STEPS, trainer.batches)
        _wait(trainer)
        started = time.perf_counter()
        trainer.train_steps(steps)
        _wait(trainer)
        seconds = time.perf_counter() - started
        seen = min(steps * trainer.config["batch_size"], len(trainer.train_index))
        peak = torch.cuda.max_memory_allocated() / 2**20 if on_gpu else _peak() - before
        return {"rate": seen / seconds, "step": seconds / steps, "mib": peak, "batch": trainer.config["batch_size"]}


def diagnostics_share(model: str) -> float:
    """The share of the second epoch of the documented configuration, on the embedded data, that is evaluation."""
    space = search_spaces.load(model).on_embedded()
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(definition.load(model).reader, None, Path(folder), space.data_settings())
        torch.set_num_threads(1)
        trainer = Trainer(model, space.documented(), dataset, 12, SEED)
        trainer.run_epoch()
        row = trainer.run_epoch()
    return row["time/eval_seconds"] / row["time/epoch_seconds"]


def main(
    models: tuple[str, ...] = tuple(search_spaces.names()),
    variants: tuple[str, ...] = VARIANTS,
    one: str | None = None,
    timeout: int = 600,
) -> None:
    """Print the tables. `one` is MODEL:VARIANT, measured here and printed as JSON; `timeout` in seconds, for each."""
    if one is not None:
        warnings.simplefilter("ignore")
        print(json.dumps(measure(*one.split(":"))))
        return
    console = Console(width=120)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    table = Table(title=f"samples per second (peak MiB of the step) on {device}")
    for column in ("model", "sample", "batch", *variants):
        table.add_column(column, justify="left" if column == "model" else "right")
    for model in models:
        found = {variant: _apart(model, variant, timeout) for variant in variants}
        batch = search_spaces.load(model).documented()["batch_size"]
        size = search_spaces.load(model).documented().get("image_size", "6 × 6 × 512")
        table.add_row(model, f"{size}", f"{batch}", *(_cell(found[variant]) for variant in variants))
    console.print(table)
    shares = Table(title="share of an epoch that goes into diagnostics (embedded data, one thread)")
    for column in ("model", "share"):
        shares.add_column(column)
    for model in models:
        shares.add_row(model, f"{diagnostics_share(model):.0%}")
    console.print(shares)


def _apart(model: str, variant: str, timeout: int) -> dict[str, Any] | str:
    command = [sys.executable, __file__, "--one", f"{model}:{variant}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"> {timeout} s"
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:30]
    return json.loads(done.stdout.splitlines()[-1])


def _cell(found: dict[str, Any] | str) -> str:
    return found if isinstance(found, str) else f"{found['rate']:.3g} ({found['mib']:.0f})"


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _wait(trainer: Trainer) -> None:
    if trainer.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    tyro.cli(main)
