"""Pictures of a trial, in `trials/<trial>/artifacts/`: reconstructions, samples; latent PCA, KL per dim; code use.

Reconstructions are also drawn on the way; see `trainables.trainable`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from trainables.diagnostics import LatentStatistics, active_units
from trainables.files import ARTIFACTS, replace_file
from trainables.loop import Trainer
from trainables.nets.codebook import CodebookStatistics

PANEL_SAMPLES = 8
SAMPLES = 16
DPI = 110
PROGRESS = "reconstructions-epoch-{:05d}.png"


def write(trainer: Trainer, folder: Path) -> None:
    """Draw the trial's state into `folder/artifacts`."""
    folder = folder / ARTIFACTS
    folder.mkdir(parents=True, exist_ok=True)
    _save(_reconstructions(trainer), folder / "reconstructions.png")
    _, latent = trainer.evaluate()
    if isinstance(latent, CodebookStatistics):
        _save(_code_usage(latent.counts().numpy()), folder / "code_usage.png")
    else:
        _save(_samples(trainer), folder / "samples.png")
        _latents(trainer, latent, folder)


def write_progress(trainer: Trainer, folder: Path) -> None:
    """Draw what the trial reconstructs now into `folder/artifacts`: originals and the means of decoded samples."""
    folder = folder / ARTIFACTS
    folder.mkdir(parents=True, exist_ok=True)
    pictures = trainer.pictures(trainer.evaluation_index[:PANEL_SAMPLES])
    target = pictures["original"]
    rows = {name: _image(trainer, target, pictures[name]) for name in ("original", "reconstruction")}
    _save(_panel(rows), folder / PROGRESS.format(trainer.epoch))


def _latents(trainer: Trainer, latent: LatentStatistics, folder: Path) -> None:
    kl = latent.kl_per_dim().sort(descending=True).values.numpy()
    mu = latent.mu.double()
    _save(_latent_pca(mu.numpy(), trainer.evaluation_labels()), folder / "latent_pca.png")
    _save(_kl_per_dim(kl, int(active_units(mu).sum())), folder / "kl_per_dim.png")


def _reconstructions(trainer: Trainer) -> Figure:
    """Originals, reconstructions (the mean of several decoded samples), their absolute difference, and the decodes
    of mu and of z = 0, which a decoder need not have learnt to paint well; in the fixed space."""
    pictures = trainer.pictures(trainer.evaluation_index[:PANEL_SAMPLES])
    target = pictures["original"]
    rows = {name: _image(trainer, target, values) for name, values in pictures.items()}
    difference = np.abs(rows["original"] - rows["reconstruction"])
    rows = {
        "original": rows.pop("original"),
        "reconstruction": rows.pop("reconstruction"),
        "difference": difference,
    } | rows
    return _panel(rows)


def _panel(rows: dict[str, np.ndarray]) -> Figure:
    """Images (B, H, W, 3) by the name of their row."""
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(1.1 * count + 1.2, 1.2 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), count, squeeze=False)
    for row, (name, images) in enumerate(rows.items()):
        axes[row][0].set_ylabel(name, fontsize=8)
        for axis, image in zip(axes[row], images, strict=True):
            axis.imshow(image, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
    return figure


def _image(trainer: Trainer, target: Tensor, values: Tensor) -> np.ndarray:
    """`values` as the model shows them beside `target`."""
    return trainer.model.panel(target, values)[1].float().cpu().numpy()


@torch.no_grad()
def _samples(trainer: Trainer) -> Figure:
    """Decoded draws from the prior, the same draws at every call, in the space the trial trains in."""
    generator = torch.Generator(device=trainer.device).manual_seed(trainer.seed)
    model, index = trainer.model.eval(), np.resize(trainer.evaluation_index, SAMPLES)
    drawn = model.generate(SAMPLES, generator, trainer.loader.batch(index).fields)
    images = trainer.model.panel(drawn, drawn)[0].float().cpu().numpy()
    figure = Figure(figsize=(8.0, 2.2), layout="constrained")
    for axis, image in zip(figure.subplots(2, SAMPLES // 2).flat, images, strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_axis_off()
    return figure


def _latent_pca(mu_NK: np.ndarray, labels: list[str] | None) -> Figure:
    """Of the posterior means. The fix notes of imc_vae take sampled latents, but there every unit that is not used
    adds a variance of 1 that is noise: with hundreds of them the plane of most variance shows nothing else."""
    centred = mu_NK - mu_NK.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.pad(left[:, :2] * scale[:2], ((0, 0), (0, max(0, 2 - len(scale)))))
    explained = np.pad(scale**2, (0, 1)) / max(float((scale**2).sum()), 1e-30)
    figure = Figure(figsize=(4.6, 4.0), layout="constrained")
    axis = figure.subplots()
    groups: list[str | None] = [*labels] if labels else [None] * len(plane)
    for label in sorted(set(groups), key=str):
        chosen = [other == label for other in groups]
        axis.scatter(plane[chosen, 0], plane[chosen, 1], s=14, alpha=0.8, label=label)
    if labels and len(set(labels)) <= 12:
        axis.legend(fontsize=7, frameon=False)
    axis.set_xlabel(f"PC 1 of mu ({explained[0]:.0%} of variance)", fontsize=8)
    axis.set_ylabel(f"PC 2 ({explained[1]:.0%})", fontsize=8)
    return figure


def _kl_per_dim(kl_sorted: np.ndarray, active: int) -> Figure:
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.fill_between(np.arange(1, len(kl_sorted) + 1), kl_sorted, step="mid", linewidth=0)
    axis.set_xlabel("latent dimension, by KL", fontsize=8)
    axis.set_ylabel("raw KL (nats)", fontsize=8)
    axis.set_title(f"{active} of {len(kl_sorted)} units active, {kl_sorted.sum():.1f} nats in total", fontsize=9)
    return figure


def _code_usage(counts: np.ndarray) -> Figure:
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axis = figure.subplots()
    axis.fill_between(np.arange(1, len(counts) + 1), np.sort(counts)[::-1], step="mid", linewidth=0)
    axis.set_xlabel("code, by use", fontsize=8)
    axis.set_ylabel("times used", fontsize=8)
    axis.set_title(f"{int((counts > 0).sum())} of {len(counts)} codes in use", fontsize=9)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replace_file(path) as file:
        figure.savefig(file, format="png", dpi=DPI)
