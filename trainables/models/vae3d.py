"""vae3d: a three-dimensional convolutional VAE for registered multi-modal volumes; the audit's baseline, "Exp1".

Strided convolutions halve the volume down to 4³, one linear layer gives the posterior, and a decoder of
interpolation and convolution paints all modalities. The loss is the mean squared error of all voxels and modalities
and the KL in nats, summed over dimensions, with free bits for the mean of the batch and a cyclical weight.

Shapes: B samples, M modalities, S × S × S voxels, K latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.data.volumes import VolumeReader as READER
from trainables.diagnostics import LatentStatistics
from trainables.forms import QuadraticForm
from trainables.losses.kl import free_bits, kl_per_dim
from trainables.nets.volumes import Decoder, Encoder, PretrainedDecoder, panel, similarity
from trainables.schedules import Progress, cyclical
from trainables.vae import Outputs, Vae

__all__ = ["READER", "Model", "Outputs", "kl_cycles", "quadratic_form", "term_weights"]


class Model(Vae):
    """The VAE. `statistics` holds `modalities`, M names."""

    set_samples = 8

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        self.latent_dim = config["z_dim"]
        self.modalities = [str(name) for name in statistics["modalities"]]
        self.encoder = Encoder(shape, self.latent_dim, config["width"])
        self.decoder = self.make_decoder()

    def make_decoder(self) -> nn.Module:
        """z (B, K) → volume (B, M, S, S, S)."""
        return Decoder("conv", self.shape, self.latent_dim, self.config["width"])

    def encode(self, x_BMDHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior, each (B, K)."""
        return self.encoder(x_BMDHW)

    def decode(self, z_BK: Tensor) -> Tensor:
        """The volume, (B, M, S, S, S)."""
        return self.decoder(z_BK)

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars.

        reconstruction: mean squared error over voxels and modalities, background included. kl: nats per sample,
        with a floor for every dimension's mean over the batch.
        """
        kl = kl_per_dim(outputs.mu, outputs.logvar)
        return {
            "reconstruction": F.mse_loss(outputs.prediction, outputs.target),
            "kl": free_bits(kl, self.config["free_bits"], over="batch_mean"),
        }

    def measures(self, outputs: Outputs, prediction_BMDHW: Tensor, target_BMDHW: Tensor) -> dict[str, Tensor]:
        """SSIM and PSNR (dB) of the reconstructions by modality and in the mean, and of single decoded samples."""
        ssim_M, psnr_M = similarity(prediction_BMDHW, target_BMDHW)
        sampled_ssim_M, sampled_psnr_M = similarity(outputs.prediction, target_BMDHW)
        measures = {
            "val/ssim": ssim_M.mean(),
            "val/psnr": psnr_M.mean(),
            "val/ssim_sampled": sampled_ssim_M.mean(),
            "val/psnr_sampled": sampled_psnr_M.mean(),
        }
        for name, ssim, psnr in zip(self.modalities, ssim_M, psnr_M, strict=True):
            measures |= {f"val/ssim/{name}": ssim, f"val/psnr/{name}": psnr}
        return measures

    def set_measures(
        self, targets_NMDHW: Tensor, latent: LatentStatistics, generator: torch.Generator | None
    ) -> dict[str, float]:
        """Two habits of the encoder that the audit logs.

        latent_correlation: mean absolute correlation of two units' means. shift_sensitivity: root mean square
        change of a mean when the volume moves by one voxel, over the three axes.
        """
        mu_NK, _ = self.encode(targets_NMDHW)
        moved = [self.encode(targets_NMDHW.roll(1, dims=axis))[0] - mu_NK for axis in (2, 3, 4)]
        return {
            "health/latent_correlation": mean_correlation(latent.mu),
            "health/shift_sensitivity": float(torch.stack(moved).square().mean().sqrt()),
        }

    def channel_names(self) -> list[str]:
        """The modalities."""
        return self.modalities

    def panel(self, target_BMDHW: Tensor, prediction_BMDHW: Tensor) -> tuple[Tensor, Tensor]:
        """Both as images (B, H, W, 3): the middle axial slice of every modality."""
        return panel(target_BMDHW, prediction_BMDHW)


class PretrainedModel(Model):
    """What dip_vae_sbd and tc_vae_sbd share: the first part of the budget may pre-train with a plain decoder."""

    decoder: PretrainedDecoder

    def make_decoder(self) -> PretrainedDecoder:
        """The decoder of the configuration, after one with a linear grid for the pre-training."""
        config = self.config
        return PretrainedDecoder(config["decoder"], config["pretrain"], self.shape, self.latent_dim, config["width"])

    def start_epoch(self, share: float) -> None:
        """Which decoder is trained depends on the share of the budget that is done."""
        self.decoder.share = share


def mean_correlation(mu_NK: Tensor) -> float:
    """Mean absolute correlation of two different columns; a constant column correlates with none."""
    centred = mu_NK.double() - mu_NK.double().mean(dim=0)
    unit_NK = centred / centred.norm(dim=0).clamp(min=1e-12)
    correlation_KK = (unit_NK.T @ unit_NK).abs()
    units = len(correlation_KK)
    return float((correlation_KK.sum() - correlation_KK.trace()) / max(units * (units - 1), 1))


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss: the KL's rises from 0 over the first half of every cycle."""
    return {"reconstruction": 1.0, "kl": config["kl_beta"] * cyclical(at.share, config["kl_cycles"])}


def kl_cycles(config: Mapping[str, Any], steps: int) -> float:
    """How many cycles of the KL weight the budget holds."""
    return float(config["kl_cycles"])


def quadratic_form(
    config: Mapping[str, Any], x_NMDHW: np.ndarray, statistics: Mapping[str, np.ndarray]
) -> QuadraticForm:
    """The loss for the forecast: one squared error weighs 1 / (M · S³), a nat of KL kl_beta.

    Hence σ² = kl_beta · M · S³ / 2, 4.2 million for four modalities at 128³ and kl_beta 1.
    """
    return mean_squared_form(x_NMDHW, config["kl_beta"], config["free_bits"], config["z_dim"])


def mean_squared_form(x_NMDHW: np.ndarray, kl_weight: float, floor: float, latent: int) -> QuadraticForm:
    """A mean squared error beside a summed KL with that weight at the end of training."""
    weight = 1.0 / math.prod(x_NMDHW.shape[1:])
    return QuadraticForm("mse", ((weight, lambda: x_NMDHW),), weight, kl_weight, floor, latent)
