"""The KL term split into mutual information, total correlation and dimension-wise KL, in nats.

Chen, Li, Grosse and Duvenaud 2018, "Isolating Sources of Disentanglement in VAEs": with q(z) = Σ_n q(z|x_n) / N,

    E KL(q(z|x) ‖ p(z))  =  I(x; z)  +  KL(q(z) ‖ Π_k q(z_k))  +  Σ_k KL(q(z_k) ‖ p(z_k))

All three need ln q(z), a mixture over the N samples of the data set. From a batch of B of them:

- `stratified`: the sample that z was drawn from weighs 1 / N, as it does in the whole mixture, and the other B − 1
  share the rest, (N − 1) / N, equally. q(z) is estimated without bias, and exactly where the batch is the data set;
  its logarithm, which the parts are made of, is not (Jensen: too low by half the relative variance of the estimate,
  to the second order). This is the paper's stratified estimator averaged over the order of the batch (there one of
  the others carries another weight than the rest).
- `weighted`: everybody weighs 1 / (N B). Biased: ln q(z) is too low by ln N where the batch is the data set, so on a
  collapsed encoder the mutual information reads ln N and the total correlation (K − 1) ln N instead of 0. A constant
  has no gradient, but its value says nothing.

For a few samples in many dimensions the mixture itself says little: N posteriors that do not overlap give the total
correlation of a discrete variable with N values, about (K − 1) ln N whether the units depend on each other or not
(128 independent units on 18 samples: 110 nats). What is reported of an evaluation set is therefore the total
correlation of a Gaussian, `gaussian_total_correlation`, and of the mixture only what goes beyond independent units,
`corrected_total_correlation`.

Shapes: B or N samples, K latent dimensions.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Estimator = Literal["stratified", "weighted"]

EXACT_SAMPLES = 512  # of the set, for the exact decomposition
PERMUTATIONS = 16  # of every unit's posteriors, for the value under independence
PERMUTATION_SEED = 20_180_217


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
    mu, logvar, z = (x[:EXACT_SAMPLES].double() for x in (mu_NK, logvar_NK, z_NK))
    return decompose(mu, logvar, z, exact_weights(len(mu)))


def gaussian_total_correlation(mu_NK: Tensor, logvar_NK: Tensor) -> float:
    """½ (Σ ln C_kk − ln det C) of the aggregate posterior's covariance C, in nats: its dependence to second order.

    C = Cov(mu) + diag(E[var]) by the law of total covariance. The correlations of mu are shrunk towards 0 as Ledoit
    and Wolf (2004) do, by as much as chance alone would make of them in N samples; what is left of chance, the mean
    over permutations of each unit's means, is taken off. So independent units read about 0 for any N and K, a little
    below it in half of all cases. For Gaussian units it tends to −½ ln det of the correlations of z; dependence
    without correlation it does not see. 0 for fewer than two samples, or fewer than two units whose means vary.
    """
    mu, noise_K = mu_NK.double().cpu().numpy(), logvar_NK.double().exp().mean(dim=0).cpu().numpy()
    scale_K = mu.std(axis=0)
    varies = scale_K > np.finfo(np.float32).eps * np.abs(mu).max(axis=0, initial=0.0)
    if varies.sum() < 2:
        return 0.0
    units_NV = (mu[:, varies] - mu[:, varies].mean(axis=0)) / scale_K[varies]
    share_V = scale_K[varies] ** 2 / (
        scale_K[varies] ** 2 + noise_K[varies]
    )  # of the variance of z, that of the means
    generator = np.random.default_rng(PERMUTATION_SEED)
    chance = [_shrunk_total_correlation(generator.permuted(units_NV, axis=0), share_V) for _ in range(PERMUTATIONS)]
    return _shrunk_total_correlation(units_NV, share_V) - float(np.mean(chance))


def _shrunk_total_correlation(units_NV: np.ndarray, share_V: np.ndarray) -> float:
    """−½ ln det of the correlations of z, from standardised means and their shares of the variance of z."""
    from sklearn.covariance import ledoit_wolf

    count = len(units_NV)
    _, intensity = ledoit_wolf(units_NV, assume_centered=True)
    kept = 1.0 - min(1.0, intensity * count / (count - 1))  # standardised units have a degree of freedom less
    correlation_VV = kept * units_NV.T @ units_NV / count * np.sqrt(np.outer(share_V, share_V))
    np.fill_diagonal(correlation_VV, 1.0)
    return -0.5 * float(np.linalg.slogdet(correlation_VV).logabsdet)


def corrected_total_correlation(mu_NK: Tensor, logvar_NK: Tensor, z_NK: Tensor) -> float:
    """The mixture's total correlation less its mean over permutations of every unit's posteriors, in nats.

    A permutation leaves each unit's own distribution as it is and makes the units independent, so independent units
    read about 0 for any N and K. Dependence beyond correlation is seen too, but only as far as the posteriors
    overlap: where the N posteriors are apart both parts are saturated and it reads 0 whatever the units do. Of at
    most the first 512 samples; the permutations are always the same.
    """
    parts = [x[:EXACT_SAMPLES].double().cpu() for x in (mu_NK, logvar_NK, z_NK)]
    generator = torch.Generator().manual_seed(PERMUTATION_SEED)
    permuted = []
    for _ in range(PERMUTATIONS):
        order_NK = torch.rand(parts[0].shape, generator=generator).argsort(dim=0)
        permuted.append(_log_mixture(*(x.gather(0, order_NK) for x in parts)))
    # each unit's ln q(z_k) is the same in all of them, hence drops out of the difference
    return float(_log_mixture(*parts) - torch.stack(permuted).mean())


def _log_mixture(mu_NK: Tensor, logvar_NK: Tensor, z_NK: Tensor) -> Tensor:
    """Mean over the draws of ln q(z), the mixture of all N posteriors, by matrix products."""
    precision = torch.exp(-logvar_NK)
    constants_N = (mu_NK.square() * precision + logvar_NK + math.log(2.0 * math.pi)).sum(dim=1)
    log_q_NN = -0.5 * (z_NK.square() @ precision.T - 2.0 * z_NK @ (mu_NK * precision).T + constants_N)
    return (torch.logsumexp(log_q_NN, dim=1) - math.log(len(z_NK))).mean()


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
