"""The KL term split into mutual information, total correlation and dimension-wise KL, in nats.

Chen, Li, Grosse and Duvenaud 2018, "Isolating Sources of Disentanglement in VAEs": with q(z) = Σ_n q(z|x_n) / N,

    E KL(q(z|x) ‖ p(z))  =  I(x; z)  +  KL(q(z) ‖ Π_k q(z_k))  +  Σ_k KL(q(z_k) ‖ p(z_k))

All three need ln q(z), a mixture over the N samples of the data set. From a batch of B of them:

- `stratified`: the sample that z was drawn from weighs 1 / N, as it does in the whole mixture, and the other B − 1
  share the rest, (N − 1) / N, equally. q(z) is estimated without bias, and exactly where the batch is the data set.
  This is the paper's stratified estimator averaged over the order of the batch (there one of the others carries
  another weight than the rest).
- `weighted`: everybody weighs 1 / (N B). Biased: ln q(z) is too low by ln N where the batch is the data set, so on a
  collapsed encoder the mutual information reads ln N and the total correlation (K − 1) ln N instead of 0. A constant
  has no gradient, but its value says nothing.

Shapes: B samples, K latent dimensions.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Estimator = Literal["stratified", "weighted"]

EXACT_SAMPLES = 512  # of the set, for the exact decomposition


class Decomposition(NamedTuple):
    """The parts of the KL, nats per sample; their sum is the mean of ln q(z|x) − ln p(z) at the draws."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_kl: Tensor


def decompose(mu_BK: Tensor, logvar_BK: Tensor, z_BK: Tensor, log_weights_BB: Tensor) -> Decomposition:
    """The parts of the KL from one draw z of each posterior.

    Args:
        log_weights_BB: entry i, j is the logarithm of the weight of posterior j in the mixture at z_i; see
            `batch_weights` and `exact_weights`.
    """
    log_q_BBK = log_normal(z_BK[:, None], mu_BK[None], logvar_BK[None])
    log_posterior = log_q_BBK.sum(dim=2).diagonal()
    log_joint = torch.logsumexp(log_q_BBK.sum(dim=2) + log_weights_BB, dim=1)
    log_product = torch.logsumexp(log_q_BBK + log_weights_BB[:, :, None], dim=1).sum(dim=1)
    log_prior = log_normal(z_BK, torch.zeros_like(z_BK), torch.zeros_like(z_BK)).sum(dim=1)
    return Decomposition(
        (log_posterior - log_joint).mean(), (log_joint - log_product).mean(), (log_product - log_prior).mean()
    )


def total_correlation(
    mu_BK: Tensor, logvar_BK: Tensor, z_BK: Tensor, samples: int, estimator: Estimator = "stratified"
) -> Tensor:
    """The total correlation estimated from a batch out of a data set of `samples`, in float32; a scalar.

    A batch of one knows no other posterior: 0.
    """
    with torch.autocast(mu_BK.device.type, enabled=False):
        weights = batch_weights(len(mu_BK), samples, estimator, mu_BK.device)
        return decompose(mu_BK.float(), logvar_BK.float(), z_BK.float(), weights).total_correlation


def exact_decomposition(mu_NK: Tensor, logvar_NK: Tensor, z_NK: Tensor) -> Decomposition:
    """The parts of the KL with the mixture of all posteriors (at most the first 512), in float64."""
    parts = [x[:EXACT_SAMPLES].double() for x in (mu_NK, logvar_NK, z_NK)]
    return decompose(*parts, exact_weights(len(parts[0])))


def batch_weights(
    batch: int, samples: int, estimator: Estimator = "stratified", device: torch.device | None = None
) -> Tensor:
    """Logarithms of the mixture's weights for a batch out of `samples`, (B, B); rows: draws, columns: posteriors."""
    if batch == 1:
        return torch.zeros(1, 1, device=device)
    if estimator == "weighted":
        return torch.full((batch, batch), -math.log(samples * batch), device=device)
    weights_BB = torch.full((batch, batch), (samples - 1) / (samples * (batch - 1)), device=device)
    return weights_BB.fill_diagonal_(1.0 / samples).log()


def exact_weights(samples: int) -> Tensor:
    """Logarithms of the weights of the whole mixture, (N, N)."""
    return torch.full((samples, samples), -math.log(samples), dtype=torch.float64)


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """ln N(z; mu, exp(logvar)), elementwise with broadcasting."""
    return -0.5 * (math.log(2.0 * math.pi) + logvar + (z - mu).square() * torch.exp(-logvar))
