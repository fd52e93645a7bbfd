"""dip_vae_sbd: DIP-VAE-II with a spatial broadcast decoder on multi-modal volumes; the audit's "Exp2".

The encoder, reconstruction and KL of vae3d, with a constant KL weight. The covariance of the aggregate posterior is
pulled to the identity (Kumar et al. 2018), and the decoder paints from z beside coordinates (Watters et al. 2019):
it can paint the mean volume without z, which is how this model collapses. The first part of the budget may
pre-train a plain VAE: linear decoder grid, no penalties.

Shapes: B samples, M modalities, S × S × S voxels, K latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.data.volumes import VolumeReader as READER
from trainables.diagnostics import LatentStatistics
from trainables.forms import QuadraticForm
from trainables.losses.covariance import aggregate_covariance, covariance, diagonal_penalty, off_diagonal_penalty
from trainables.models import vae3d
from trainables.models.vae3d import Outputs, mean_squared_form
from trainables.penalties import expected_penalty
from trainables.schedules import END, Progress, linear_warmup

__all__ = ["READER", "Model", "Outputs", "quadratic_form", "term_weights"]


class Model(vae3d.PretrainedModel):
    """The VAE. `statistics` as those of vae3d."""

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The terms of vae3d, and of Cov(z) over the batch in float32:

        cov_offdiag: squared Frobenius norm off the diagonal. cov_diag: squared distance of the diagonal from 1.
        """
        covariance_KK = aggregate_covariance(outputs.mu, outputs.logvar)
        return super().terms(outputs) | {
            "cov_offdiag": off_diagonal_penalty(covariance_KK),
            "cov_diag": diagonal_penalty(covariance_KK),
        }

    def set_measures(
        self, targets_NMDHW: Tensor, latent: LatentStatistics, generator: torch.Generator | None
    ) -> dict[str, float]:
        """Those of vae3d, and Cov(mu) and E[var] apart, for their sum is the identity at full collapse.

        cov_mu_offdiag: squared Frobenius norm off the diagonal. cov_mu_diag_mean: mean variance of a unit's means.
        mean_posterior_var: mean variance of a posterior.
        """
        covariance_KK = covariance(latent.mu)
        return super().set_measures(targets_NMDHW, latent, generator) | {
            "health/cov_mu_offdiag": float(off_diagonal_penalty(covariance_KK)),
            "health/cov_mu_diag_mean": float(covariance_KK.diagonal().mean()),
            "health/mean_posterior_var": float(latent.logvar.exp().mean()),
        }


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss: λ rises linearly from `lambda_start`, or the end of the pre-training."""
    start = max(config["lambda_start"], config["pretrain"])
    ramp = linear_warmup(at.share - start, config["lambda_cov_annealing"]) if at.share > start else 0.0
    off_diagonal = config["lambda_od"] * ramp
    return {
        "reconstruction": 1.0,
        "kl": config["kl_beta"],
        "cov_offdiag": off_diagonal,
        "cov_diag": config["lambda_d_ratio"] * off_diagonal,
    }


def quadratic_form(
    config: Mapping[str, Any], x_NMDHW: np.ndarray, statistics: Mapping[str, np.ndarray]
) -> QuadraticForm:
    """The loss for the forecast: that of vae3d, and the covariance penalties of independent units.

    In a batch of B samples K such units of variance m pay about λ_od · K² m² / B off the diagonal, and
    λ_d · 2 K m² / B on it: what their chance covariances cost.
    """
    form = mean_squared_form(x_NMDHW, config["kl_beta"], config["free_bits"], config["z_dim"])
    weights = term_weights(config, END)
    if not (weights["cov_offdiag"] or weights["cov_diag"]):
        return form

    def penalty(mu_BK: torch.Tensor, logvar_BK: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        covariance_KK = aggregate_covariance(mu_BK, logvar_BK)
        off_diagonal, diagonal = off_diagonal_penalty(covariance_KK), diagonal_penalty(covariance_KK)
        return weights["cov_offdiag"] * off_diagonal + weights["cov_diag"] * diagonal

    return replace(form, penalty=expected_penalty(penalty, config["batch_size"]))
