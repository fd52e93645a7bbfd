"""What a VAE does with its latent, measured on held-out data.

Evaluation mode, a fixed set, fixed noise, accumulators in float64. Shapes: N samples, K latent dimensions, F
values of a sample. All information is in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainables.health import ACTIVE_VARIANCE
from trainables.kl import kl_per_dim

if TYPE_CHECKING:
    from trainables.vae import Batch, Vae

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


def elbo_gain(mse_mean: float, mse_model: float, rate: float, dims: float) -> float:
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

    def add(self, outputs: Any) -> None:
        """Add a batch's `mu`, `logvar` and `z`, each (B, K)."""
        self._parts.append(tuple(x.float().cpu() for x in (outputs.mu, outputs.logvar, outputs.z)))

    def mu(self) -> Tensor:
        """All posterior means, (N, K)."""
        return self._gathered()[0]

    def logvar(self) -> Tensor:
        """All posterior log variances, (N, K)."""
        return self._gathered()[1]

    def z(self) -> Tensor:
        """One draw of each posterior, (N, K)."""
        return self._gathered()[2]

    def rate(self) -> float:
        """What the latent costs: raw KL, nats per sample."""
        return float(self.kl_per_dim().sum())

    def kl_per_dim(self) -> Tensor:
        """Mean raw KL of every dimension, (K,)."""
        mu, logvar, _ = self._gathered()
        return kl_per_dim(mu.double(), logvar.double()).mean(dim=0)

    def metrics(self) -> dict[str, float]:
        """The `health/` metrics that need no decoder."""
        mu, logvar, z = self._gathered()
        active = active_units(mu)
        kl_raw = self.rate()
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
    """Errors of the decoder in the fixed space: from the mean (`mu`), a sample (`z`), without latent (`zero`)."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._values = 0
        self._samples = 0
        self._sum_F: Tensor | float = 0.0
        self._squares_F: Tensor | float = 0.0

    def add(self, target: Tensor, predictions: Mapping[str, Tensor], dims: int) -> None:
        """Add a batch: `target` and the predictions by name (`mean`: of the training mean), each (B, …).

        `dims` is how many of their values count; the others must be equal in all.
        """
        error = {name: prediction - target for name, prediction in predictions.items()}
        error["delta"] = predictions["mu"] - predictions["zero"]
        for name, value in error.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.double().square().sum())
        self._values += dims
        self._samples += len(target)
        decoded = predictions["mu"].double().flatten(1)
        self._sum_F = self._sum_F + decoded.sum(dim=0)
        self._squares_F = self._squares_F + decoded.square().sum(dim=0)

    def mse(self, name: str) -> float:
        """Mean squared error per value of a prediction; `delta`: between decoded mu and decoded 0."""
        return self._sums[name] / self._values

    def metrics(self, rate: float, references: Sequence[str]) -> dict[str, float]:
        """The score and the `health/recon_*` metrics.

        Args:
            rate: what the latent costs, nats per sample.
            references: names of the predictions that owe nothing to the latent; the score counts from the best.
        """
        variance = (self._squares_F - self._sum_F.square() / self._samples) / self._samples
        reference = min(self.mse(name) for name in references)
        without = min(self.mse(name) for name in ("zero", "shuffled") if name in self._sums)
        shuffled = {"health/recon_shuffled": self.mse("shuffled")} if "shuffled" in self._sums else {}
        return shuffled | {
            "val/elbo_gain": elbo_gain(reference, self.mse("z"), rate, self._values / self._samples),
            "val/mse": self.mse("z"),
            "val/mse_mean": self.mse("mean"),
            "health/rate": rate,
            "health/recon_mu": self.mse("mu"),
            "health/recon_z0": self.mse("zero"),
            "health/recon_delta": math.sqrt(self.mse("delta")),
            "health/z_gain": 1.0 - self.mse("mu") / max(without, 1e-30),
            "health/recon_std": float(variance.clamp(min=0).sqrt().mean()),
        }


@torch.no_grad()
def evaluate(
    model: Vae, batches: Iterable[Batch], generator: torch.Generator
) -> tuple[dict[str, float], LatentStatistics]:
    """Every `val/` and `health/` metric of a model.

    Args:
        model: put into evaluation mode here.
        batches: on the device of the model.
        generator: on that device, freshly seeded, so that noise and node order are the same at every call.
    """
    from torchmetrics.regression import R2Score

    model.eval()
    latent, reconstruction, r2 = model.latent_statistics(), ReconstructionStatistics(), R2Score()
    means: dict[str, float] = {}
    seen: list[Tensor] = []
    samples = 0
    for batch in batches:
        outputs = model(batch, generator)
        target = model.fixed_target(batch.x)
        decoded = {
            name: model.to_fixed(prediction, batch.x)
            for name, prediction in model.reconstructions(outputs, generator).items()
        }
        latent.add(outputs)
        predictions = decoded | {"mean": model.mean_prediction(batch.x)}
        reconstruction.add(target, predictions, model.fixed_dims(batch.x))
        r2.update(decoded["mu"].flatten().float().cpu(), target.flatten().float().cpu())
        terms = {f"val/{name}": value for name, value in model.terms(outputs).items()}
        for name, value in (terms | dict(model.measures(outputs, decoded["mu"], target))).items():
            means[name] = means.get(name, 0.0) + float(value) * len(batch.x)
        seen.append(target[: max(0, model.set_samples - samples)])
        samples += len(batch.x)
    metrics = {name: total / samples for name, total in means.items()} | latent.metrics()
    if "val/kl" in metrics:
        metrics["health/kl_constrained"] = metrics["val/kl"]
    metrics |= reconstruction.metrics(latent.rate(), model.references) | {"val/r2": float(r2.compute())}
    return metrics | dict(model.set_measures(torch.cat(seen), latent, generator)), latent
