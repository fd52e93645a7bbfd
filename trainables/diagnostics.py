"""What a VAE does with its latent, measured on held-out data.

Evaluation mode, a fixed set, fixed noise, accumulators in float64. Shapes: N samples, K latent dimensions, F
values of a sample. All information is in nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trainables.health import ACTIVE_VARIANCE
from trainables.likelihood import LikelihoodStatistics
from trainables.losses.kl import kl_per_dim
from trainables.score import Errors, Pairs, by_channel, elbo_gain, kept_channels

if TYPE_CHECKING:
    from trainables.vae import Batch, Vae

MI_SAMPLES = 512
DRAWS = 2  # of each posterior, that mirror each other, decoded …
DECODES = 128  # … in all where there are few samples: the noise of z_gain at 18 × 2 would be near its threshold …
MOST_DRAWS = 16  # … but no more of each than this
MEANS = 16  # samples whose posterior mean is decoded, for comparison


def active_units(mu_NK: Tensor) -> Tensor:
    """Which units are active, (K,) bool: the population variance of mu over the data exceeds 0.01."""
    return mu_NK.double().var(dim=0, correction=0) > ACTIVE_VARIANCE


def mutual_information(mu_NK: Tensor, logvar_NK: Tensor, z_SNK: Tensor) -> float:
    """I(x; z) = E[ln q(z|x) − ln q(z)], with q(z) the exact mixture of the N posteriors; 0 ≤ I ≤ min(KL, ln N).

    0 (not ln N) on a collapsed encoder: the mixture weighs every posterior 1 / N, and both logarithms are taken at
    the same draw (Hoffman and Johnson 2016). A mean over S draws of every posterior, whose noise the bounds cut off:
    the KL to the prior is I plus the KL of the mixture. Uses at most 512 samples.
    """
    mu, logvar = mu_NK[:MI_SAMPLES].double(), logvar_NK[:MI_SAMPLES].double()
    precision = torch.exp(-logvar)
    offset_N = (mu.square() * precision + logvar).sum(dim=1)
    information = 0.0
    for z_NK in z_SNK[:, :MI_SAMPLES].double():
        # ln q(z_i | x_j) without the constant that both logarithms share
        log_q_NN = -0.5 * (z_NK.square() @ precision.T - 2.0 * z_NK @ (mu * precision).T + offset_N)
        log_marginal_N = torch.logsumexp(log_q_NN, dim=1) - math.log(len(mu))
        information += float((log_q_NN.diagonal() - log_marginal_N).mean()) / len(z_SNK)
    kl = float(kl_per_dim(mu_NK.double(), logvar_NK.double()).sum(dim=1).mean())
    return min(max(information, 0.0), kl, math.log(len(mu))) if math.isfinite(information) else math.nan


def draws_of(samples: int) -> int:
    """How often the posterior of every one of so many samples is drawn from and decoded: an even number."""
    return min(max(DRAWS, 2 * math.ceil(DECODES / samples / 2)), MOST_DRAWS)


class LatentStatistics:
    """Posterior parameters gathered over the evaluation set."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, outputs: Any, decodes: Decodes) -> None:
        """Add a batch's `mu` and `logvar`, each (B, K), and the draws that were decoded."""
        self.add_posterior(outputs.mu, outputs.logvar, torch.stack(list(decodes.z)))

    def add_posterior(self, mu_BK: Tensor, logvar_BK: Tensor, z_SBK: Tensor) -> None:
        """Add a batch's posterior and S draws of it."""
        self._parts.append((mu_BK.float().cpu(), logvar_BK.float().cpu(), z_SBK.float().cpu()))

    @cached_property
    def mu(self) -> Tensor:
        """All posterior means, (N, K)."""
        return torch.cat([mu for mu, _, _ in self._parts])

    @cached_property
    def logvar(self) -> Tensor:
        """All posterior log variances, (N, K)."""
        return torch.cat([logvar for _, logvar, _ in self._parts])

    @cached_property
    def z(self) -> Tensor:
        """S draws of each posterior, (S, N, K)."""
        return torch.cat([z for _, _, z in self._parts], dim=1)

    def rate(self) -> float:
        """What the latent costs: raw KL, nats per sample."""
        return float(self.kl_per_dim().sum())

    def kl_per_dim(self) -> Tensor:
        """Mean raw KL of every dimension, (K,)."""
        return kl_per_dim(self.mu.double(), self.logvar.double()).mean(dim=0)

    def mu_variance(self) -> Tensor:
        """Population variance of every posterior mean over the samples, (K,)."""
        return self.mu.double().var(dim=0, correction=0)

    def metrics(self) -> dict[str, float]:
        """The `health/` metrics that need no decoder."""
        active = active_units(self.mu)
        kl_raw = self.rate()
        information = mutual_information(self.mu, self.logvar, self.z)
        return {
            "health/au": float(active.sum()),
            "health/au_frac": float(active.double().mean()),
            "health/dims": float(self.mu.shape[1]),
            "health/kl_raw": kl_raw,
            "health/mi": information,
            "health/marginal_kl": kl_raw - information,
            "health/mu_var_mean": float(self.mu_variance().mean()),
            "health/logvar_mean": float(self.logvar.double().mean()),
            "health/z_std": float(self.z.double().flatten(0, 1).std(dim=0, correction=0).mean()),
            "health/mu_min": float(self.mu.min()),
            "health/mu_max": float(self.mu.max()),
            "health/logvar_min": float(self.logvar.min()),
            "health/logvar_max": float(self.logvar.max()),
        }

    def by_dimension(self) -> dict[str, list[float]]:
        """Raw KL and variance of the mean of every dimension, for the epoch log."""
        return {"latent/kl": self.kl_per_dim().tolist(), "latent/mu_var": self.mu_variance().tolist()}


@dataclass(frozen=True)
class Decodes:
    """What the decoder makes of a batch, each (B, …), in the space the trial trains in.

    Args:
        samples: decodes of samples of the posterior; a codebook has one, its codes, and without what bypasses them.
        z: those samples, (B, K) each; empty for a codebook.
        zero: the decode without latent.
        swapped: the decode of another sample's latent, everything else kept; None where the decoder is given nothing
            else of the target, for then it follows from `samples`.
        reconstruction: the decode that is shown and measured; None for the mean of `samples`.
    """

    samples: Sequence[Tensor]
    zero: Tensor
    z: Sequence[Tensor] = ()
    swapped: Tensor | None = None
    reconstruction: Tensor | None = None


class DecodedMeans:
    """Decodes of the first posterior means, for comparison; a codebook has none, so its reconstructions instead."""

    def __init__(self, axis: int) -> None:
        self._errors, self._samples, self._delta, self._gaussian = Errors(axis), 0, 0.0, True

    def add(
        self,
        model: Vae,
        x: Tensor,
        outputs: Any,
        target: Tensor,
        reconstruction: Tensor,
        zero: Tensor,
        content: Tensor | None,
    ) -> None:
        """Add those of a batch `x` that are still wanted; its target, decodes and content in the fixed space."""
        count = min(MEANS - self._samples, len(x))
        if count <= 0:
            return
        decoded = model.decoded_mean(outputs, count)
        self._gaussian = decoded is not None
        mean = reconstruction[:count] if decoded is None else model.to_fixed(decoded, x[:count])
        self._errors.add(target[:count], {"mean": [mean]}, None if content is None else content[:count])
        self._delta += float((mean - zero[:count]).double().square().sum())
        self._samples += count

    def metrics(self) -> dict[str, float]:
        """The error of the decoded means, and the root mean square change of the decode from z = 0 to them."""
        values = float(self._errors.values_C().sum()) * self._samples
        recon_mu = {"health/recon_mu": self._errors.mse("mean")} if self._gaussian else {}
        return recon_mu | {"health/recon_delta": math.sqrt(self._delta / values)}


class DecoderStatistics:
    """Errors and the score over the evaluation set. The score and its errors are of the fixed space; z_gain is of the
    space the trial trains in, for what the fixed space gives away may hide what z is used for."""

    def __init__(self, axis: int) -> None:
        self._axis = axis
        self.errors, self._trained = Errors(axis), Errors(axis)
        self._pairs, self._trained_pairs = Pairs(axis), Pairs(axis)
        self._means = DecodedMeans(axis)
        self._closed_form = True
        self._draws = self._samples = 0
        self._sum_CL = self._square_CL = torch.zeros((), dtype=torch.float64)

    def add(self, model: Vae, batch: Batch, outputs: Any, decodes: Decodes) -> tuple[Tensor, Tensor]:
        """Add a batch; its target and its reconstruction in the fixed space, (B, …) each."""
        x, content = batch.x, model.content(batch.x, **model.read_by("content", batch))
        target = model.fixed_target(x)
        predictions = model.fixed_decodes(decodes, x)
        (reconstruction,), (zero,) = predictions["reconstruction"], predictions["zero"]
        if decodes.swapped is not None:
            self._closed_form = False
            trained = {"samples": decodes.samples, "swapped": [decodes.swapped]}
            self._trained.add(outputs.target, trained, content)
        elif content is not None:
            raise ValueError("a model that masks values must decode swapped latents itself; see Decodes.swapped")
        else:
            neutral, given = [model.to_fixed_but_for_target(decode) for decode in decodes.samples], model.given(x)
            self._pairs.add(target, neutral, given)
            if target is outputs.target:
                self._trained_pairs = self._pairs  # one space, as in most models: count once
            else:
                self._trained_pairs.add(outputs.target, decodes.samples)
            del predictions["samples"]  # their errors are counted with the pairs
        self.errors.add(target, predictions, content)
        self._means.add(model, x, outputs, target, reconstruction, zero, content)
        shown_BCL = by_channel(reconstruction, self._axis)
        self._sum_CL = self._sum_CL + shown_BCL.sum(dim=0)
        self._square_CL = self._square_CL + shown_BCL.square().sum(dim=0)
        self._draws, self._samples = len(decodes.samples), self._samples + len(x)
        return target, reconstruction

    def add_decodes(self, target: Tensor, samples: Sequence[Tensor]) -> None:
        """Add a batch of a model that is not known: its target (B, …) and decodes of samples of z, (B, …) each, all
        in one space. Only `use` can be asked for then."""
        self.errors.add(target, {})
        self._pairs.add(target, samples)
        self._trained_pairs = self._pairs

    def use(self) -> dict[str, float]:
        """What the decoder makes of z: its error, those of the best constant and of other samples' z, and z_gain."""
        return {
            "val/mse": self._over_values(self._own_C()),
            "val/mse_constant": self.errors.constant(),
            "val/mse_swapped": self._over_values(self._swapped_C()),
            "health/z_gain": self._z_gain(),
        }

    def metrics(self, rate: float) -> dict[str, float]:
        """The score and what it is made of; `rate`: what the latent costs, nats per sample."""
        errors = self.errors
        constant_C, values_C, swapped_C = errors.constant_C(), errors.values_C(), self._swapped_C()
        variance_CL = (self._square_CL - self._sum_CL.square() / self._samples) / self._samples
        diversity_C = variance_CL.clamp(min=0).sqrt().mean(dim=1)[kept_channels(constant_C)]
        return self._means.metrics() | {
            "val/elbo_gain": elbo_gain(values_C, self._own_C(), constant_C, swapped_C, rate),
            "val/r2": errors.explained("reconstruction"),
            "health/rate": rate,
            "health/draws": float(self._draws),
            "health/recon_mean": errors.mse("reconstruction"),
            "health/recon_z0": errors.mse("zero"),
            "health/recon_std": float(diversity_C.mean()),
            **self.use(),
        }

    def _own_C(self) -> Tensor:
        return self._pairs.own_C() if self._closed_form else self.errors.mse_C("samples")

    def _over_values(self, error_C: Tensor) -> float:
        values_C = self.errors.values_C()
        return float((error_C * values_C).sum() / values_C.sum())

    def _swapped_C(self) -> Tensor:
        return self._pairs.swapped_C() if self._closed_form else self.errors.mse_C("swapped")

    def _z_gain(self) -> float:
        """1 − error of a sample's own decodes / that of the decodes of the others' z."""
        if self._closed_form:
            pairs = self._trained_pairs
            own, swapped = float(pairs.own_C().sum()), float(pairs.swapped_C().sum())
        else:
            own, swapped = self._trained.mse("samples"), self._trained.mse("swapped")
        return 1.0 - own / max(swapped, 1e-30)


@torch.no_grad()
def left_out_channels(model: Vae, batches: Iterable[Batch]) -> list[str]:
    """The channels of the fixed space that hardly vary over those samples, which the score leaves out: their names,
    or places from 0."""
    errors = Errors(model.channel_axis)
    for batch in batches:
        content = model.content(batch.x, **model.read_by("content", batch))
        errors.add(model.fixed_target(batch.x), {}, content)
    places = (~kept_channels(errors.constant_C())).nonzero().flatten().tolist()
    names = model.channel_names()
    return [names[place] if names else str(place) for place in places]


@torch.no_grad()
def evaluate(
    model: Vae,
    batches: Iterable[Batch],
    generator: torch.Generator,
    samples: int,
    weights: Mapping[str, float] | None = None,
    constant_nll: float | None = None,
) -> tuple[dict[str, float], LatentStatistics]:
    """Every `val/` and `health/` metric of a model.

    Args:
        model: put into evaluation mode here.
        batches: on the device of the model; two samples or more in all.
        generator: on that device, freshly seeded, so that noise and node order are the same at every call.
        samples: how many samples the batches hold.
        weights: of the terms in `val/loss`; 1 for those that it does not name.
        constant_nll: of a model with `nats`, that of the best constant; see `trainables.likelihood`. The score is
            then in its nats.
    """
    model.eval()
    latent, decoder = model.latent_statistics(), DecoderStatistics(model.channel_axis)
    likelihood = None if constant_nll is None else LikelihoodStatistics(constant_nll)
    draws = draws_of(samples)
    means: dict[str, float] = {}
    seen: list[Tensor] = []
    done, weights = 0, dict(weights or {})
    for batch in batches:
        outputs = model(batch, generator)
        decodes = model.decodes(outputs, draws, generator)
        latent.add(outputs, decodes)
        target, reconstruction = decoder.add(model, batch, outputs, decodes)
        if likelihood is not None:
            likelihood.add(model, batch, decodes)
        terms = {f"val/{name}": value for name, value in model.terms(outputs).items()}
        weights |= {name: 1.0 for name in (key.removeprefix("val/") for key in terms) if name not in weights}
        for name, value in (terms | dict(model.measures(outputs, reconstruction, target))).items():
            means[name] = means.get(name, 0.0) + float(value) * len(batch.x)
        seen.append(target[: max(0, model.set_samples - done)])
        done += len(batch.x)
    metrics = {name: total / done for name, total in means.items()} | latent.metrics()
    if "val/kl" in metrics:
        metrics["health/kl_constrained"] = metrics["val/kl"]
    metrics |= decoder.metrics(latent.rate())
    metrics |= {} if likelihood is None else likelihood.metrics(latent.rate())
    metrics |= dict(model.set_measures(torch.cat(seen), latent, generator))
    metrics["val/loss"] = sum(weights[name] * metrics[f"val/{name}"] for name in weights if f"val/{name}" in metrics)
    return metrics, latent
