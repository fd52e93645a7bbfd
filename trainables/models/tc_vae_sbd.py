"""tc_vae_sbd: β-TC-VAE with a spatial broadcast decoder on multi-modal volumes; the audit's variant of "Exp2".

Chen et al. 2018, "Isolating Sources of Disentanglement in VAEs", weigh mutual information (MI), total correlation
(TC) and dimension-wise KL as 1, β, 1. As KL = MI + TC + dimension-wise KL, that is KL + (β − 1) · TC: here the KL is
the closed form with free bits, and only TC is estimated from the batch (q(z) without bias, its logarithm with some).
Encoder, decoders and pre-training are those of dip_vae_sbd.

Shapes: B samples, M modalities, S × S × S voxels, K latent dimensions, N samples of the training set.
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
from trainables.losses.kl import sample
from trainables.losses.total_correlation import (
    corrected_total_correlation,
    exact_decomposition,
    gaussian_total_correlation,
    total_correlation,
)
from trainables.models import vae3d
from trainables.models.vae3d import Outputs, mean_squared_form
from trainables.penalties import expected_penalty
from trainables.schedules import END, Progress, linear_warmup

__all__ = ["READER", "Model", "Outputs", "quadratic_form", "term_weights"]


class Model(vae3d.PretrainedModel):
    """The VAE. `statistics` as those of vae3d, and `train_count`, N."""

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        self.train_count = int(statistics["train_count"])

    def terms(self, outputs: Outputs) -> dict[str, Tensor]:
        """The terms of vae3d, and tc: the total correlation in nats, estimated from the batch in float32."""
        return super().terms(outputs) | {
            "tc": total_correlation(
                outputs.mu, outputs.logvar, outputs.z, self.train_count, self.config["tc_estimator"]
            )
        }

    def set_measures(
        self, targets_NMDHW: Tensor, latent: LatentStatistics, generator: torch.Generator | None
    ) -> dict[str, float]:
        """Those of vae3d, and three of the aggregate posterior, in nats.

        tc: total correlation of the Gaussian with its covariance. tc_mixture: that of the mixture of all posteriors
        less its value under independence. dw_kl: dimension-wise KL with the mixture.
        """
        parts = exact_decomposition(latent.mu, latent.logvar, latent.z[0])
        return super().set_measures(targets_NMDHW, latent, generator) | {
            "health/tc": gaussian_total_correlation(latent.mu, latent.logvar),
            "health/tc_mixture": corrected_total_correlation(latent.mu, latent.logvar, latent.z[0]),
            "health/dw_kl": float(parts.dimension_kl),
        }


def term_weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    """The weight of every term of the loss: that of TC rises linearly from the end of the pre-training."""
    start = config["pretrain"]
    ramp = linear_warmup(at.share - start, config["tc_warmup"]) if at.share > start else 0.0
    return {"reconstruction": 1.0, "kl": 1.0, "tc": (config["tc_beta"] - 1.0) * ramp}


def quadratic_form(
    config: Mapping[str, Any], x_NMDHW: np.ndarray, statistics: Mapping[str, np.ndarray]
) -> QuadraticForm:
    """The loss for the forecast: a nat of KL weighs 1, and what the estimate of TC reads on independent units.

    It is not 0: from a batch of B out of N samples it takes the information of every unit for dependence, less
    the ln N nats or so that the mixture explains.
    """
    form = mean_squared_form(x_NMDHW, 1.0, config["free_bits"], config["z_dim"])
    weight, samples = term_weights(config, END)["tc"], int(statistics["train_count"])
    if not weight:
        return form

    def penalty(mu_BK: torch.Tensor, logvar_BK: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
        z_BK = sample(mu_BK, logvar_BK, noise)
        return weight * total_correlation(mu_BK, logvar_BK, z_BK, samples, config["tc_estimator"])

    return replace(form, penalty=expected_penalty(penalty, config["batch_size"]))
