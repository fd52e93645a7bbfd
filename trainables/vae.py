"""What every model offers the training loop; see `trainables.models` for the whole contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from trainables.diagnostics import DRAWS, Decodes, LatentStatistics
from trainables.losses.kl import sample

GENERATED_AT_ONCE = 8


class Batch(NamedTuple):
    """B samples on one device."""

    x: Tensor  # (B, *shape) float32
    label: Tensor  # (B,) int64: index of the class, −1 where there is none


class Vae(nn.Module):
    """A model with a latent; subclasses give `forward`, `terms`, `encode`, `decode` and `panel`.

    The fixed space is the one in which all trials of a model are scored, whatever they train in. Here it is the
    data itself.
    """

    posterior: ClassVar[Literal["gaussian", "codebook"]] = "gaussian"
    channel_axis: ClassVar[int] = 1  # of the fixed space
    set_samples: ClassVar[int] = 0  # how many samples `set_measures` wants to see
    notes: tuple[str, ...] = ()  # what the user should know of how this model was set up
    latent_dim: int

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
