"""The bases of all models: what an author has to write, and defaults for the rest.

    class Model(Vae):
        def __init__(self, config, shape, statistics): ...    # super().__init__(config, shape, statistics) first
        def encode(self, x): return mu, logvar
        def decode(self, z): return prediction

`trainables.definition` has what a model's module offers beside its class.

Shapes: B samples, K latent dimensions, P codes of a sample, C channels, H × W pixels.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainables.diagnostics import DRAWS, Decodes, LatentStatistics
from trainables.losses.kl import kl_per_dim, sample
from trainables.nets.codebook import CodebookStatistics

GENERATED_AT_ONCE = 8
STRIP = 8  # times as wide as high


class Batch(NamedTuple):
    """B samples on one device."""

    x: Tensor  # (B, *shape) float32
    label: Tensor  # (B,) int64: index of the class, −1 where there is none


@dataclass(frozen=True)
class Outputs:
    """One pass over a batch; a model with more to say adds fields."""

    mu: Tensor  # (B, K)
    logvar: Tensor  # (B, K)
    z: Tensor  # (B, K)
    prediction: Tensor  # (B, …), in the space the trial trains in
    target: Tensor  # (B, …), there too


@dataclass(frozen=True)
class VqOutputs:
    """One pass of a vector-quantised model over a batch."""

    codes: Tensor  # (B, P) integers, −1 where there is none
    quantised: Tensor  # (B, …), what the decoder is given
    commitment: Tensor  # scalar
    prediction: Tensor  # (B, …)
    target: Tensor  # (B, …)


class Vae(nn.Module, ABC):
    """A model with a Gaussian latent, whose prior is N(0, 1); subclasses give `encode` and `decode`.

    The fixed space is the one in which all trials of a model are scored, whatever they train in. Here it is the
    data itself.

    Args:
        config: every hyperparameter of the space.
        shape: of a sample.
        statistics: what the reader measured of the training samples, by name; saved with the model, whole.
    """

    posterior: ClassVar[Literal["gaussian", "codebook"]] = "gaussian"
    channel_axis: ClassVar[int] = 1  # of the fixed space
    nats: ClassVar[Literal["", "reconstruction"]] = ""  # "reconstruction": it is −ln p(x | z), the score its ELBO
    set_samples: ClassVar[int] = 0  # how many samples `set_measures` wants to see
    notes: tuple[str, ...] = ()  # what the user should know of how this model was set up

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__()
        self.config, self.shape = config, tuple(shape)

    @abstractmethod
    def encode(self, x: Tensor) -> Any:
        """Samples (B, *shape) → mean and log variance of their posterior, (B, K) each."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, K) → the prediction (B, …), in the space the trial trains in."""

    @cached_property
    def latent_dim(self) -> int:
        """K; found by encoding an empty sample where the model does not say it."""
        device = next(self.parameters()).device
        was = self.training
        with torch.no_grad():
            mu, _ = self.eval().encode(torch.zeros(1, *self.shape, device=device))
        self.train(was)
        return int(mu.shape[1])

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Any:
        """Encode, sample, decode; all noise is drawn from `generator`, on the device of `x`."""
        mu, logvar = (values.float() for values in self.encode(batch.x))
        z = sample(mu, logvar, generator)
        return Outputs(mu, logvar, z, self.decode(z).float(), batch.x)

    def reconstruction(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The error of every sample, (B,): the sum of its squared errors unless overridden."""
        return (prediction - target).square().flatten(1).sum(dim=1)

    def terms(self, outputs: Any) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars: the mean over the batch of `reconstruction`, and `kl`, in nats
        per sample. A KL term of any model is called `kl`."""
        return {
            "reconstruction": self.reconstruction(outputs.prediction, outputs.target).mean(),
            "kl": kl_per_dim(outputs.mu, outputs.logvar).sum(dim=1).mean(),
        }

    def panel(self, target: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
        """Both as pictures (B, H, W, 3) in [0, 1], on the scale of the target: images (B, C, H, W) or (B, H, W) as
        they are, all else as a strip of grey, a column a value."""
        low, high = target.min(), target.max()
        span = (high - low).clamp(min=1e-12)
        target, prediction = (_picture(((x - low) / span).clamp(0, 1)) for x in (target, prediction))
        return target, prediction

    def loss_terms(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Every term of the loss, unweighted."""
        return self.terms(self.forward(batch, generator))

    def start_epoch(self, share: float) -> None:
        """Called before each epoch and evaluation with the share of the budget that is done."""

    def fixed_target(self, x: Tensor) -> Tensor:
        """The target in the fixed space."""
        return x

    def to_fixed_but_for_target(self, prediction: Tensor) -> Tensor:
        """A prediction of the space the trial trains in, in the fixed space but for the factor of `given`."""
        return prediction

    def given(self, x: Tensor) -> Tensor | None:
        """The factor by which the target `x` multiplies every prediction for it, broadcast over a channel's values;
        None for 1."""
        return None

    def to_fixed(self, prediction: Tensor, x: Tensor) -> Tensor:
        """A prediction of the space the trial trains in, in the fixed space of its target `x`."""
        factor = self.given(x)
        prediction = self.to_fixed_but_for_target(prediction)
        return prediction if factor is None else prediction * factor

    def fixed_decodes(self, decodes: Decodes, x: Tensor) -> dict[str, list[Tensor]]:
        """Decodes of a batch `x` in its fixed space, by name: `samples`, the `reconstruction`, `zero`, and `mu` and
        `swapped` where there are any; one tensor each, but for the samples."""
        samples = [self.to_fixed(decode, x) for decode in decodes.samples]
        shown = decodes.reconstruction
        reconstruction = sum(samples) / len(samples) if shown is None else self.to_fixed(shown, x)
        single = {"zero": decodes.zero, "mu": decodes.mu, "swapped": decodes.swapped}
        return {"samples": samples, "reconstruction": [reconstruction]} | {
            name: [self.to_fixed(decode, x)] for name, decode in single.items() if decode is not None
        }

    def content(self, x: Tensor) -> Tensor | None:
        """Which values of the fixed space count, (B, 1, …) of 0 and 1; None for all of them. A model with such a mask
        decodes swapped latents itself: see `Decodes.swapped`."""
        return None

    def channel_names(self) -> list[str]:
        """Names of the fixed space's channels; [] where they have none."""
        return []

    def latent_statistics(self) -> LatentStatistics:
        """An empty collector for the outputs of an evaluation."""
        return LatentStatistics()

    def decodes(self, outputs: Any, draws: int, generator: torch.Generator | None) -> Decodes:
        """What the decoder makes of samples of the posterior, of its mean and of z = 0."""
        mu = outputs.mu
        more = [sample(mu, outputs.logvar, generator) for _ in range(draws - 1)]
        return Decodes(
            samples=[outputs.prediction, *map(self.decode, more)],
            z=[outputs.z, *more],
            mu=self.decode(mu),
            zero=self.decode(torch.zeros_like(mu[:1])).expand_as(outputs.prediction),
        )

    @torch.no_grad()
    def pictures(self, x: Tensor, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Samples `x` (B, *shape), their reconstructions, and the decodes of mu and of z = 0, in the fixed space."""
        outputs = self(Batch(x, torch.full((len(x),), -1, device=x.device)), generator)
        fixed = self.fixed_decodes(self.decodes(outputs, DRAWS, generator), x)
        shown = {"reconstruction": "reconstruction", "mu": "decoded mean", "zero": "decoded zero"}
        return {"original": self.fixed_target(x)} | {
            title: fixed[name][0] for name, title in shown.items() if name in fixed
        }

    def reconstruct(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The reconstruction of samples `x` (B, *shape), in the fixed space: the mean of `DRAWS` decoded samples."""
        return self.pictures(x, generator)["reconstruction"]

    @torch.no_grad()
    def generate(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Decodes of `count` draws from the prior, (count, …), in the space the trial trains in."""
        device = next(self.parameters()).device
        z = torch.randn(count, self.latent_dim, generator=generator, device=device)
        return torch.cat([self.decode(part) for part in z.split(GENERATED_AT_ONCE)])

    def measures(self, outputs: Any, prediction: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Domain measures of the reconstructions, in the fixed space: means over the batch, by metric name."""
        return {}

    def set_measures(
        self, targets: Tensor, latent: LatentStatistics, generator: torch.Generator | None
    ) -> Mapping[str, float]:
        """Measures of the evaluation set as a whole.

        Args:
            targets: its first `set_samples` samples in the fixed space.
            latent: the posterior of all of it.
            generator: on the device of the model.
        """
        return {}


class VqVae(Vae):
    """A model with a codebook; subclasses give `quantise`, `decode` and the number of `codes`.

    `quantise` may return what `vector_quantize_pytorch.VectorQuantize` returns, whatever the place of its codes.
    """

    posterior = "codebook"
    codes: int  # of the codebook

    @abstractmethod
    def quantise(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Samples (B, *shape) → what the decoder is given (B, …), with the gradient passed through; the codes
        (B, …) integers; the commitment loss, a scalar."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Quantised encodings (B, …) → the prediction (B, …)."""

    def encode(self, x: Tensor) -> Any:
        """The codes, (B, P)."""
        return self.quantise(x)[1].flatten(1)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Any:
        """Quantise, decode."""
        quantised, codes, commitment = self.quantise(batch.x)
        return VqOutputs(codes.flatten(1), quantised, commitment.sum(), self.decode(quantised).float(), batch.x)

    def terms(self, outputs: Any) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars: `reconstruction`, the mean over the batch, and `commitment`."""
        reconstruction = self.reconstruction(outputs.prediction, outputs.target).mean()
        return {"reconstruction": reconstruction, "commitment": outputs.commitment}

    def training_counts(self) -> Tensor:
        """How often each code was used in training, (K,), for the price of a code; all alike where that is not
        counted."""
        return torch.ones(self.codes)

    @property
    def codebook_ready(self) -> bool:
        """False while codes out of use are no sign of sickness yet."""
        return True

    def latent_statistics(self) -> Any:
        """An empty collector of codes."""
        return CodebookStatistics(self.training_counts())

    def decodes(self, outputs: Any, draws: int, generator: torch.Generator | None) -> Decodes:
        """Of the codes, of those of the next sample of the batch, and of zeros; a code has one value, not `draws`."""
        return Decodes(
            samples=[outputs.prediction],
            zero=self.decode(torch.zeros_like(outputs.quantised)),
            swapped=self.decode(outputs.quantised.roll(-1, dims=0)),
        )

    def set_measures(self, targets: Tensor, latent: Any, generator: torch.Generator | None) -> Mapping[str, float]:
        """Whether the codebook may be judged."""
        return {"schedule/codebook_ready": float(self.codebook_ready)}


def _picture(x: Tensor) -> Tensor:
    """(B, …) in [0, 1] as colours, (B, H, W, 3)."""
    if x.dim() == 4 and x.shape[1] in (1, 3):
        return x.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    if x.dim() == 3:
        return x[..., None].expand(-1, -1, -1, 3)
    values = x.flatten(1)
    height = max(1, math.ceil(values.shape[1] / STRIP))
    return values[:, None, :, None].expand(-1, height, -1, 3)
