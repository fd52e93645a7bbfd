"""How noisy the score and z_gain are by how z is drawn: independent draws against pairs that mirror each other at mu.

    python benchmarks/draws.py
    python benchmarks/draws.py --models vae3d --epochs 6 --repeats 10

Each model is trained for a few epochs in its documented configuration on its embedded data; then the same weights are
evaluated again and again with other noise. The table holds standard deviations over those evaluations.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

import search_spaces
from trainables import definition, diagnostics, vae
from trainables.data.cache import prepare
from trainables.loop import Trainer
from trainables.losses.kl import antithetic, sample

MODELS = ("imc_vae", "conv_vae", "vae_dg", "vae3d")
METRICS = ("val/elbo_gain", "health/z_gain", "health/mi")
DRAWN = ((2, "independent"), (2, "mirrored"), (4, "independent"), (4, "mirrored"))


def independent(
    mu_BK: Tensor, logvar_BK: Tensor, draws: int, generator: torch.Generator | None, first_BK: Tensor | None = None
) -> list[Tensor]:
    """As `antithetic`, but independent draws."""
    first = sample(mu_BK, logvar_BK, generator) if first_BK is None else first_BK
    return [first, *(sample(mu_BK, logvar_BK, generator) for _ in range(draws - 1))]


def trained(model: str, epochs: int, folder: Path) -> Trainer:
    """After so many epochs."""
    space = search_spaces.load(model).on_embedded()
    dataset = prepare(definition.load(model).reader, None, folder, space.data_settings())
    trainer = Trainer(model, space.documented(), dataset, epochs, 0)
    for _ in range(epochs):
        trainer.run_epoch()
    return trainer


def noise(trainer: Trainer, draws: int, drawn: Callable[..., list[Tensor]], repeats: int) -> np.ndarray:
    """Standard deviation of `METRICS` over evaluations with other noise."""
    found = []
    with patch.object(diagnostics, "draws_of", lambda samples: draws), patch.object(vae, "antithetic", drawn):
        for seed in range(repeats):
            trainer.seed = seed  # of the evaluation's noise; the samples are chosen already
            metrics, _ = trainer.evaluate()
            found.append([metrics[name] for name in METRICS])
    return np.std(found, axis=0)


def main(models: tuple[str, ...] = MODELS, epochs: int = 12, repeats: int = 30) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    table = Table(title=f"standard deviation over {repeats} evaluations of the same weights, after {epochs} epochs")
    for column in ("model", "draws", *METRICS):
        table.add_column(column, justify="left" if column in ("model", "draws") else "right")
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            trainer = trained(model, epochs, Path(folder))
            for draws, kind in DRAWN:
                spread = noise(trainer, draws, antithetic if kind == "mirrored" else independent, repeats)
                table.add_row(model, f"{draws} {kind}", *(f"{value:.2g}" for value in spread))
    Console(width=100).print(table)


if __name__ == "__main__":
    tyro.cli(main)
