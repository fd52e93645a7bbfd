"""The bases of all models: what an author has to write, and defaults for the rest.

    class Model(Vae):
        def __init__(self, config, shape, statistics): ...    # super().__init__(config, shape, statistics) first
        def encode(self, x): return mu, logvar
        def decode(self, z): return prediction

What else the data has of every sample (see `fields` of `trainables.data.samples.Samples`) a model reads by naming it:

        def decode(self, z, batch, size): ...    # the fields batch and size; as many as are wanted, by any name

Further parameters of `encode`, `decode`, `quantise`, `reconstruction` and `content` that have no default are fields.
`trainables.definition` has what a model's module offers beside its class.

Shapes: B samples, K latent dimensions, P codes of a sample, C channels, H × W pixels.
"""

from __future__ import annotations

import functools
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trainables.diagnostics import DRAWS, Decodes, LatentStatistics
from trainables.losses.kl import antithetic, kl_per_dim, sample
from trainables.nets.codebook import CodebookStatistics

GENERATED_AT_ONCE = 8
STRIP = 8  # times as wide as high


Fields = Mapping[str, Tensor]  # of B samples, by name: categories (B,) int64, all else (B, …)
NO_FIELDS: Fields = MappingProxyType({})
READERS = {"encode": 1, "decode": 1, "quantise": 1, "reconstruction": 2, "content": 1}  # parameters before fields


class Batch(NamedTuple):
    """B samples on one device."""

    x: Tensor  # (B, *shape) float32
    label: Tensor  # (B,) int64: index of the class, −1 where there is none
    fields: Fields = NO_FIELDS


@dataclass(frozen=True)
class Outputs:
    """One pass over a batch; a model with more to say adds fields."""

    mu: Tensor  # (B, K)
    logvar: Tensor  # (B, K)
    z: Tensor  # (B, K)
    prediction: Tensor  # (B, …), in the space the trial trains in
    target: Tensor  # (B, …), there too
    fields: Fields = field(default_factory=dict, kw_only=True)  # of the batch, for a model that reads any


@dataclass(frozen=True)
class VqOutputs:
    """One pass of a vector-quantised model over a batch."""

    codes: Tensor  # (B, P) integers, −1 where there is none
    quantised: Tensor  # (B, …), what the decoder is given
    commitment: Tensor  # scalar
    prediction: Tensor  # (B, …)
    target: Tensor  # (B, …)
    fields: Fields = field(default_factory=dict, kw_only=True)


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
    def encode(self, x: Tensor, *args: Any, **fields: Any) -> Any:
        """Samples (B, *shape) → mean and log variance of their posterior, (B, K) each."""

    @abstractmethod
    def decode(self, z: Tensor, *args: Any, **fields: Any) -> Tensor:
        """Latents (B, K) → the prediction (B, …), in the space the trial trains in."""

    @classmethod
    def reads(cls, method: str) -> tuple[str, ...]:
        """The fields that one of the methods `READERS` reads."""
        return _further(getattr(cls, method), READERS[method])

    def read_by(self, method: str, of: Any) -> dict[str, Tensor]:
        """The fields that a method reads, of a batch or of its outputs."""
        return {name: of.fields[name] for name in self.reads(method)}

    @cached_property
    def latent_dim(self) -> int:
        """K; found by encoding an empty sample where the model does not say it; one whose `encode` reads fields sets
        it in `__init__`."""
        device = next(self.parameters()).device
        was = self.training
        with torch.no_grad():
            mu, _ = self.eval().encode(torch.zeros(1, *self.shape, device=device))
        self.train(was)
        return int(mu.shape[1])

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Any:
        """Encode, sample, decode; all noise is drawn from `generator`, on the device of `x`."""
        mu, logvar = (values.float() for values in self.encode(batch.x, **self.read_by("encode", batch)))
        z = sample(mu, logvar, generator)
        prediction = self.decode(z, **self.read_by("decode", batch)).float()
        return Outputs(mu, logvar, z, prediction, batch.x, fields=batch.fields)

    def reconstruction(self, prediction: Tensor, target: Tensor, *args: Any, **fields: Any) -> Tensor:
        """The error of every sample, (B,): the sum of its squared errors unless overridden."""
        return (prediction - target).square().flatten(1).sum(dim=1)

    def terms(self, outputs: Any) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars: the mean over the batch of `reconstruction`, and `kl`, in nats
        per sample. A KL term of any model is called `kl`."""
        return {
            "reconstruction": self._error(outputs).mean(),
            "kl": kl_per_dim(outputs.mu, outputs.logvar).sum(dim=1).mean(),
        }

    def _error(self, outputs: Any) -> Tensor:
        read = self.read_by("reconstruction", outputs)
        return self.reconstruction(outputs.prediction, outputs.target, **read)

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
        """Decodes of a batch `x` in its fixed space, by name: `samples`, the `reconstruction`, `zero`, and `swapped`
        where there is one; one tensor each, but for the samples."""
        samples = [self.to_fixed(decode, x) for decode in decodes.samples]
        shown = decodes.reconstruction
        mean = functools.reduce(torch.add, samples) / len(samples) if shown is None else self.to_fixed(shown, x)
        single = {"zero": decodes.zero, "swapped": decodes.swapped}
        return {"samples": samples, "reconstruction": [mean]} | {
            name: [self.to_fixed(decode, x)] for name, decode in single.items() if decode is not None
        }

    def content(self, x: Tensor, *args: Any, **fields: Any) -> Tensor | None:
        """Which values of the fixed space count, (B, 1, …) or as many as there are, of 0 and 1; None for all of them.
        A model with such a mask and `decodes` of its own decodes swapped latents there: see `Decodes.swapped`."""
        return None

    def channel_names(self) -> list[str]:
        """Names of the fixed space's channels; [] where they have none."""
        return []

    def latent_statistics(self) -> LatentStatistics:
        """An empty collector for the outputs of an evaluation."""
        return LatentStatistics()

    def decodes(self, outputs: Any, draws: int, generator: torch.Generator | None) -> Decodes:
        """What the decoder makes of samples of the posterior and of z = 0."""
        mu, read = outputs.mu, self.read_by("decode", outputs)
        deterministic = torch.equal(outputs.z, mu)  # out of training it decodes the mean; what is judged are samples
        z = antithetic(mu, outputs.logvar, draws, generator, None if deterministic else outputs.z)
        first = self.decode(z[0], **read) if deterministic else outputs.prediction
        nothing = torch.zeros_like(mu if read else mu[:1])
        masks = type(self).content is not Vae.content
        return Decodes(
            samples=[first, *(self.decode(further, **read) for further in z[1:])],
            z=z,
            zero=self.decode(nothing, **read).expand_as(first),
            swapped=self.decode(outputs.z.roll(-1, dims=0), **read) if read or masks else None,
        )

    def decoded_mean(self, outputs: Any, count: int) -> Tensor | None:
        """The decodes of the first `count` posterior means, (count, …); None for a codebook, which has none."""
        if self.posterior == "codebook":
            return None
        read = {name: values[:count] for name, values in self.read_by("decode", outputs).items()}
        return self.decode(outputs.mu[:count], **read)

    @torch.no_grad()
    def pictures(
        self, x: Tensor, generator: torch.Generator | None = None, fields: Fields = NO_FIELDS
    ) -> dict[str, Tensor]:
        """Samples `x` (B, *shape), their reconstructions, and the decodes of mu and of z = 0, in the fixed space."""
        outputs = self(Batch(x, torch.full((len(x),), -1, device=x.device), fields), generator)
        fixed = self.fixed_decodes(self.decodes(outputs, DRAWS, generator), x)
        mean = self.decoded_mean(outputs, len(x))
        shown = {"original": self.fixed_target(x), "reconstruction": fixed["reconstruction"][0]}
        shown |= {} if mean is None else {"decoded mean": self.to_fixed(mean, x)}
        return shown | {"decoded zero": fixed["zero"][0]}

    def reconstruct(self, x: Tensor, generator: torch.Generator | None = None, fields: Fields = NO_FIELDS) -> Tensor:
        """The reconstruction of samples `x` (B, *shape), in the fixed space: the mean of `DRAWS` decoded samples."""
        return self.pictures(x, generator, fields)["reconstruction"]

    @torch.no_grad()
    def generate(self, count: int, generator: torch.Generator | None = None, fields: Fields = NO_FIELDS) -> Tensor:
        """Decodes of `count` draws from the prior, (count, …), in the space the trial trains in; `fields` of as many
        samples for a decoder that reads any."""
        device = next(self.parameters()).device
        z = torch.randn(count, self.latent_dim, generator=generator, device=device)
        read, decoded = {name: fields[name] for name in self.reads("decode")}, []
        for start in range(0, count, GENERATED_AT_ONCE):
            part = slice(start, start + GENERATED_AT_ONCE)
            decoded.append(self.decode(z[part], **{name: values[part] for name, values in read.items()}))
        return torch.cat(decoded)

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
    def quantise(self, x: Tensor, *args: Any, **fields: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Samples (B, *shape) → what the decoder is given (B, …), with the gradient passed through; the codes
        (B, …) integers; the commitment loss, a scalar."""

    @abstractmethod
    def decode(self, z: Tensor, *args: Any, **fields: Any) -> Tensor:
        """Quantised encodings (B, …) → the prediction (B, …)."""

    def encode(self, x: Tensor, *args: Any, **fields: Any) -> Any:
        """The codes, (B, P); `fields` for a `quantise` that reads any."""
        return self.quantise(x, *args, **fields)[1].flatten(1)

    def forward(self, batch: Batch, generator: torch.Generator | None = None) -> Any:
        """Quantise, decode."""
        quantised, codes, commitment = self.quantise(batch.x, **self.read_by("quantise", batch))
        prediction = self.decode(quantised, **self.read_by("decode", batch)).float()
        return VqOutputs(codes.flatten(1), quantised, commitment.sum(), prediction, batch.x, fields=batch.fields)

    def terms(self, outputs: Any) -> dict[str, Tensor]:
        """The unweighted terms of the loss, scalars: `reconstruction`, the mean over the batch, and `commitment`."""
        return {"reconstruction": self._error(outputs).mean(), "commitment": outputs.commitment}

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
        read = self.read_by("decode", outputs)
        return Decodes(
            samples=[outputs.prediction],
            zero=self.decode(torch.zeros_like(outputs.quantised), **read),
            swapped=self.decode(outputs.quantised.roll(-1, dims=0), **read),
        )

    def set_measures(self, targets: Tensor, latent: Any, generator: torch.Generator | None) -> Mapping[str, float]:
        """Whether the codebook may be judged."""
        return {"schedule/codebook_ready": float(self.codebook_ready)}


def reads_fields(model: type[Vae]) -> bool:
    """True if one of its methods reads a field."""
    return any(model.reads(method) for method in READERS if method != "quantise" or issubclass(model, VqVae))


@cache
def _further(method: Callable[..., Any], positions: int) -> tuple[str, ...]:
    """The parameters of a method without a default, after `self` and `positions` more."""
    parameters = list(inspect.signature(method).parameters.values())[1 + positions :]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(p.name for p in parameters if p.kind in named and p.default is inspect.Parameter.empty)


def _picture(x: Tensor) -> Tensor:
    """(B, …) in [0, 1] as colours, (B, H, W, 3)."""
    if x.dim() == 4 and x.shape[1] in (1, 3):
        return x.permute(0, 2, 3, 1).expand(-1, -1, -1, 3)
    if x.dim() == 3:
        return x[..., None].expand(-1, -1, -1, 3)
    values = x.flatten(1)
    height = max(1, math.ceil(values.shape[1] / STRIP))
    return values[:, None, :, None].expand(-1, height, -1, 3)
