"""Kullback–Leibler terms of a diagonal Gaussian posterior against the standard normal prior, in nats.

Shapes: B samples, K latent dimensions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def kl_per_dim(mu_BK: Tensor, logvar_BK: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, 1)) of every sample and dimension, (B, K) (Kingma and Welling 2014, app. B)."""
    return 0.5 * (mu_BK.square() + logvar_BK.exp() - 1.0 - logvar_BK)


def free_bits(kl_BK: Tensor, floor: float | Tensor, over: Literal["sample", "batch_mean"] = "sample") -> Tensor:
    """KL with a floor of `floor` nats per dimension: summed over dimensions, mean over samples; a scalar.

    `sample` floors each sample's dimension; `batch_mean` floors the mean over the batch (Kingma et al. 2016,
    eq. 15), so that a dimension may spend more on some samples than on others. Below the floor there is no
    gradient.
    """
    kl = kl_BK.mean(dim=0) if over == "batch_mean" else kl_BK
    floored = torch.clamp(kl, min=floor)
    return floored.sum() if over == "batch_mean" else floored.sum(dim=1).mean()


def sample(mu_BK: Tensor, logvar_BK: Tensor, generator: torch.Generator | None) -> Tensor:
    """A reparametrised draw of z, (B, K), with noise from `generator`."""
    noise = torch.randn(mu_BK.shape, generator=generator, device=mu_BK.device, dtype=mu_BK.dtype)
    return mu_BK + noise * torch.exp(0.5 * logvar_BK)


def antithetic(
    mu_BK: Tensor, logvar_BK: Tensor, draws: int, generator: torch.Generator | None, first_BK: Tensor | None = None
) -> list[Tensor]:
    """So many draws of z, (B, K) each, in pairs that mirror each other at mu; the first is `first_BK` if given.

    What an error gains by one of a pair it mostly loses by the other (antithetic variates, Hammersley and Morton
    1956): `benchmarks/draws.py` compares the noise of z_gain and the score with that of independent draws.
    """
    z: list[Tensor] = [] if first_BK is None else [first_BK]
    while len(z) < draws:
        z.append(sample(mu_BK, logvar_BK, generator) if len(z) % 2 == 0 else 2.0 * mu_BK - z[-1])
    return z
