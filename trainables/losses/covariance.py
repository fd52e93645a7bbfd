"""DIP-VAE-II: the covariance of the aggregate posterior, and how far it is from the identity.

Kumar, Sattigeri and Balakrishnan 2018, "Variational Inference of Disentangled Latent Concepts from Unlabeled
Observations". A collapsed posterior, N(0, 1) for every sample, has exactly the identity, so the penalties are least
at full collapse: they say nothing of health. On a batch of B samples the off-diagonal penalty of K independent units
is about K² · Var(mu)² / B, not 0: with few samples and many units it pulls the means together.

A trial trains in one process, so the batch is all there is. A model trained by several has to gather mu and logvar
before the covariance, as the audited code does: the mean of the covariances of parts is not that of the whole.

Shapes: B samples, K latent dimensions. Computed in float32 under autocast too.
"""

from __future__ import annotations

import torch
from torch import Tensor


def covariance(mu_BK: Tensor) -> Tensor:
    """The population covariance of the posterior means, (K, K)."""
    with torch.autocast(mu_BK.device.type, enabled=False):
        centred_BK = mu_BK.float() - mu_BK.float().mean(dim=0)
        return centred_BK.T @ centred_BK / len(centred_BK)


def aggregate_covariance(mu_BK: Tensor, logvar_BK: Tensor) -> Tensor:
    """Cov(z) = Cov(mu) + E[diag(exp(logvar))] by the law of total covariance, (K, K)."""
    return covariance(mu_BK) + torch.diag(logvar_BK.float().exp().mean(dim=0))


def off_diagonal_penalty(covariance_KK: Tensor) -> Tensor:
    """Sum of the squares off the diagonal, a scalar."""
    return (covariance_KK - torch.diag(covariance_KK.diagonal())).square().sum()


def diagonal_penalty(covariance_KK: Tensor) -> Tensor:
    """Sum of the squared distances of the variances from 1, a scalar."""
    return (covariance_KK.diagonal() - 1.0).square().sum()
