"""What every model offers the training loop; see `trainables.models` for the whole contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from trainables.diagnostics import LatentStatistics


class Batch(NamedTuple):
    """B samples on one device."""

    x: Tensor  # (B, *shape) float32
    label: Tensor  # (B,) int64: index of the class, −1 where there is none


class Vae(nn.Module):
    """A model with a latent; subclasses give `forward`, `terms`, `encode`, `decode` and the buffer `fixed_mean`.

    The fixed space is the one in which all trials of a model are scored, whatever they train in. Here it is the
    data itself.
    """

    posterior: ClassVar[Literal["gaussian", "codebook"]] = "gaussian"
    references: ClassVar[tuple[str, ...]] = ("mean",)  # predictions that owe nothing to the latent: the score's zero
    set_samples: ClassVar[int] = 0  # how many samples `set_measures` wants to see
    notes: tuple[str, ...] = ()  # what the user should know of how this model was set up
    fixed_mean: Tensor  # the training mean in the fixed space

    def loss_terms(self, batch: Batch, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Every term of the loss, unweighted."""
        return self.terms(self.forward(batch, generator))

    def start_epoch(self, share: float) -> None:
        """Called before each epoch and evaluation with the share of the budget that is done."""

    def to_fixed(self, prediction: Tensor, x: Tensor) -> Tensor:
        """A prediction of the space the trial trains in, in the fixed space of its target `x`."""
        return prediction

    def fixed_target(self, x: Tensor) -> Tensor:
        """The target in the fixed space."""
        return x

    def fixed_dims(self, x: Tensor) -> int:
        """How many values of the fixed space are scored in the batch `x`."""
        return self.fixed_target(x).numel()

    def mean_prediction(self, x: Tensor) -> Tensor:
        """What the model that ignores its input predicts for `x`, in the fixed space."""
        return self.fixed_mean.expand_as(self.fixed_target(x))

    def latent_statistics(self) -> LatentStatistics:
        """An empty collector for the outputs of an evaluation."""
        return LatentStatistics()

    def reconstructions(self, outputs: Any, generator: torch.Generator | None) -> dict[str, Tensor]:
        """Predictions from the posterior mean (`mu`), from a sample (`z`) and without the latent (`zero`)."""
        zero = self.decode(torch.zeros_like(outputs.mu[:1]))
        return {"mu": self.decode(outputs.mu), "z": outputs.prediction, "zero": zero.expand_as(outputs.prediction)}

    @torch.no_grad()
    def reconstruct(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The reconstruction of samples `x` (B, *shape) from their posterior means, in the fixed space."""
        outputs = self(Batch(x, torch.full((len(x),), -1, device=x.device)), generator)
        return self.to_fixed(self.reconstructions(outputs, generator)["mu"], x)

    def measures(self, outputs: Any, prediction: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Domain measures of the decoded means, in the fixed space: means over the batch, by metric name."""
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
