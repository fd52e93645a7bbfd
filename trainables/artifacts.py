"""What a trial's pictures are drawn from: arrays in `trials/<trial>/artifacts/`, whose keys `trainables.drawing` has.

Saved after the best epoch where the trial ends or may have to wait, and, of its reconstructions, on the way. A worker
draws nothing: its slot, and its GPU, are for training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.diagnostics import LatentStatistics, active_units
from trainables.files import ARTIFACTS, replace_file
from trainables.loop import Trainer
from trainables.nets.codebook import CodebookStatistics

PANEL_SAMPLES = 8
SAMPLES = 16


def write(trainer: Trainer, folder: Path) -> None:
    """Save what shows the trial's state in `folder/artifacts`."""
    arrays = _reconstructions(trainer)
    latent = trainer.latent()
    if isinstance(latent, CodebookStatistics):
        arrays["codes"] = latent.counts().numpy()
    else:
        arrays |= {"samples": _samples(trainer), **_latents(latent, trainer.evaluation_labels())}
    _save(folder, "pictures.npz", arrays)


def write_progress(trainer: Trainer, folder: Path) -> None:
    """Save what the trial reconstructs now: originals and the means of decoded samples."""
    arrays = _reconstructions(trainer, ("original", "reconstruction"))
    _save(folder, f"pictures-epoch-{trainer.epoch:05d}.npz", arrays)


def _save(folder: Path, name: str, arrays: dict[str, np.ndarray]) -> None:
    path = folder / ARTIFACTS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _reconstructions(trainer: Trainer, shown: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Originals, reconstructions (the mean of several decoded samples), and the decodes of mu and of z = 0, which a
    decoder need not have learnt to paint well; in the fixed space. All, or those `shown`."""
    pictures = trainer.pictures(trainer.evaluation_index[:PANEL_SAMPLES])
    target = pictures["original"]
    return {
        f"reconstructions/{name}": _bytes(trainer.model.panel(target, values)[1])
        for name, values in pictures.items()
        if not shown or name in shown
    }


@torch.no_grad()
def _samples(trainer: Trainer) -> np.ndarray:
    """Decoded draws from the prior, the same draws at every call, in the space the trial trains in."""
    generator = torch.Generator(device=trainer.device).manual_seed(trainer.seed)
    model, index = trainer.model.eval(), np.resize(trainer.evaluation_index, SAMPLES)
    drawn = model.generate(SAMPLES, generator, trainer.loader.batch(index).fields)
    return _bytes(trainer.model.panel(drawn, drawn)[0])


def _bytes(image_BHWC: Tensor) -> np.ndarray:
    """Of values in [0, 1]; what is no number is black."""
    return (image_BHWC.float().nan_to_num(0.0) * 255).round().clamp(0, 255).byte().cpu().numpy()


def _latents(latent: LatentStatistics, labels: list[str] | None) -> dict[str, np.ndarray]:
    mu = latent.mu.double()
    kl = latent.kl_per_dim().sort(descending=True).values
    plane, explained = _plane(mu.numpy())
    arrays = {"latent/plane": plane, "latent/explained": explained, "latent/kl": kl.numpy()}
    arrays["latent/active"] = np.array(int(active_units(mu).sum()))
    return arrays | ({"latent/labels": np.array(labels, dtype=str)} if labels else {})


def _plane(mu_NK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The posterior means in the plane of their first two principal components, (N, 2), and each one's share of the
    variance. The fix notes of imc_vae take sampled latents, but there every unit that is not used adds a variance of
    1 that is noise: with hundreds of them the plane of most variance shows nothing else."""
    left, scale, _ = np.linalg.svd(mu_NK - mu_NK.mean(axis=0), full_matrices=False)
    plane = np.pad(left[:, :2] * scale[:2], ((0, 0), (0, max(0, 2 - len(scale)))))
    explained = np.pad(scale**2, (0, 1)) / max(float((scale**2).sum()), 1e-30)
    return plane, explained[:2]
