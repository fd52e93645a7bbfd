"""What a Gaussian-posterior VAE does with its latent, measured on held-out data.

Evaluation mode, a fixed set, fixed noise, accumulators in float64. Shapes: N samples, K latent dimensions, F
values of a sample. All information is in nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from trainables.health import ACTIVE_VARIANCE
from trainables.kl import kl_per_dim

MI_SAMPLES = 512


def active_units(mu_NK: Tensor) -> Tensor:
    """Which units are active, (K,) bool: the population variance of mu over the data exceeds 0.01."""
    return mu_NK.double().var(dim=0, correction=0) > ACTIVE_VARIANCE


def mutual_information(mu_NK: Tensor, logvar_NK: Tensor, z_NK: Tensor) -> float:
    """I(x; z) = E[ln q(z|x) − ln q(z)], with q(z) the exact mixture of the N posteriors.

    Never above ln N, and 0 (not ln N) on a collapsed encoder: the mixture weighs every posterior 1 / N, and both
    logarithms are taken at the same draw (Hoffman and Johnson 2016). Uses at most 512 samples.
    """
    mu, logvar, z = (tensor[:MI_SAMPLES].double() for tensor in (mu_NK, logvar_NK, z_NK))
    precision = torch.exp(-logvar)
    # ln q(z_i | x_j) without the constant that both logarithms share
    quadratic_NN = (
        z.square() @ precision.T - 2.0 * z @ (mu * precision).T + (mu.square() * precision + logvar).sum(dim=1)
    )
    log_q_NN = -0.5 * quadratic_NN
    log_marginal_N = torch.logsumexp(log_q_NN, dim=1) - math.log(len(z))
    return float((log_q_NN.diagonal() - log_marginal_N).mean())


def elbo_gain(mse_mean: float, mse_model: float, rate: float, dims: int) -> float:
    """The score, in nats per data dimension: [dims/2 · ln(mse_mean / mse_model) − rate] / dims.

    The σ-calibrated evidence bound (Rybkin et al. 2021: the best decoder variance is the MSE) of this model minus
    that of the training mean. `mse_model` decodes sampled z; `rate` is the raw KL in nats per sample. No loss
    weight rescales it, wasted KL is charged, a model that ignores z scores at most 0. NaN where the error is not a
    positive number.
    """
    if not (math.isfinite(mse_model) and mse_model > 0):
        return math.nan
    return 0.5 * math.log(mse_mean / mse_model) - rate / dims


class LatentStatistics:
    """Posterior parameters gathered over the evaluation set."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, mu_BK: Tensor, logvar_BK: Tensor, z_BK: Tensor) -> None:
        """Add a batch."""
        self._parts.append((mu_BK.float().cpu(), logvar_BK.float().cpu(), z_BK.float().cpu()))

    def mu(self) -> Tensor:
        """All posterior means, (N, K)."""
        return torch.cat([mu for mu, _, _ in self._parts])

    def kl_per_dim(self) -> Tensor:
        """Mean raw KL of every dimension, (K,)."""
        mu, logvar, _ = self._gathered()
        return kl_per_dim(mu.double(), logvar.double()).mean(dim=0)

    def metrics(self) -> dict[str, float]:
        """The `health/` metrics that need no decoder."""
        mu, logvar, z = self._gathered()
        active = active_units(mu)
        kl_raw = float(self.kl_per_dim().sum())
        information = mutual_information(mu, logvar, z)
        return {
            "health/au": float(active.sum()),
            "health/au_frac": float(active.double().mean()),
            "health/dims": float(mu.shape[1]),
            "health/kl_raw": kl_raw,
            "health/mi": information,
            "health/marginal_kl": kl_raw - information,
            "health/mu_var_mean": float(mu.double().var(dim=0, correction=0).mean()),
            "health/logvar_mean": float(logvar.double().mean()),
            "health/z_std": float(z.double().std(dim=0, correction=0).mean()),
        }

    def _gathered(self) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar, z = zip(*self._parts, strict=True)
        return torch.cat(mu), torch.cat(logvar), torch.cat(z)


class ReconstructionStatistics:
    """Errors of the decoder in the fixed space, for decoded means, samples and zeros."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._values = 0
        self._samples = 0
        self._sum_F: Tensor | float = 0.0
        self._squares_F: Tensor | float = 0.0

    def add(self, target: Tensor, mean: Tensor, from_mu: Tensor, from_z: Tensor, from_zero: Tensor) -> None:
        """Add a batch; every tensor (B, …), `mean` (…): the training mean."""
        error = {
            "mean": mean - target,
            "mu": from_mu - target,
            "z": from_z - target,
            "zero": from_zero - target,
        }
        error["delta"] = from_mu - from_zero
        for name, value in error.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.double().square().sum())
        self._values += target.numel()
        self._samples += len(target)
        decoded = from_mu.double().flatten(1)
        self._sum_F = self._sum_F + decoded.sum(dim=0)
        self._squares_F = self._squares_F + decoded.square().sum(dim=0)

    def mse(self, name: str) -> float:
        """Mean squared error per value of `mean`, `mu`, `z`, `zero`; `delta`: between decoded mu and decoded 0."""
        return self._sums[name] / self._values

    def metrics(self, kl_raw: float) -> dict[str, float]:
        """The score and the `health/recon_*` metrics."""
        variance = (self._squares_F - self._sum_F.square() / self._samples) / self._samples
        return {
            "val/elbo_gain": elbo_gain(self.mse("mean"), self.mse("z"), kl_raw, self._values // self._samples),
            "val/mse": self.mse("z"),
            "val/mse_mean": self.mse("mean"),
            "health/recon_mu": self.mse("mu"),
            "health/recon_z0": self.mse("zero"),
            "health/recon_delta": math.sqrt(self.mse("delta")),
            "health/z_gain": 1.0 - self.mse("mu") / max(self.mse("zero"), 1e-30),
            "health/recon_std": float(variance.clamp(min=0).sqrt().mean()),
        }


@torch.no_grad()
def evaluate(model: nn.Module, batches, generator: torch.Generator) -> tuple[dict[str, float], LatentStatistics]:
    """Every `val/` and `health/` metric of a Gaussian-posterior model.

    Args:
        model: see `trainables.models`; put into evaluation mode here.
        batches: an iterable of data batches on the device of the model.
        generator: on that device, freshly seeded, so that noise and node order are the same at every call.
    """
    from torchmetrics.regression import R2Score

    model.eval()
    latent, reconstruction, r2 = LatentStatistics(), ReconstructionStatistics(), R2Score()
    means: dict[str, float] = {}
    samples = 0
    for x in batches:
        outputs = model(x, generator)
        target = model.fixed_target(x)
        from_mu, from_z, from_zero = (
            model.to_fixed(decoded, x)
            for decoded in (
                model.decode(outputs.mu),
                outputs.prediction,
                model.decode(torch.zeros_like(outputs.mu[:1])).expand_as(outputs.prediction),
            )
        )
        latent.add(outputs.mu, outputs.logvar, outputs.z)
        reconstruction.add(target, model.fixed_mean, from_mu, from_z, from_zero)
        r2.update(from_mu.flatten().cpu(), target.flatten().cpu())
        terms = {f"val/{name}": value for name, value in model.terms(outputs).items()}
        for name, value in (terms | model.measures(outputs, from_mu, target)).items():
            means[name] = means.get(name, 0.0) + float(value) * len(x)
        samples += len(x)
    means = {name: total / samples for name, total in means.items()}
    health = latent.metrics()
    health["health/kl_constrained"] = means["val/kl"]
    scores = reconstruction.metrics(health["health/kl_raw"])
    return means | health | scores | {"val/r2": float(r2.compute())}, latent
