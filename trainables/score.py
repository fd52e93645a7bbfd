"""The score: what a model's latent buys on held-out data, comparable whatever the weights of the loss.

    gain(E) = (1/D) · [ Σ_c D_c/2 · ln(E_c / MSE_c) − rate ]        nats per data dimension; higher is better
    score   = min( gain(constant), gain(swapped) )

c runs over the channels (colour, modality, stain, feature) of the fixed space, D_c values each, D = Σ D_c; MSE_c is
the error of decoded *samples* of z, rate what they cost in nats per sample. One decoder variance per channel, the
best one (Rybkin et al. 2021, "Simple and Effective VAE Training with Calibrated Decoders"), so rescaling a channel
changes nothing, as long as it counts.

- constant_c: the error of the best constant in hindsight, the mean of the evaluated samples themselves, times
  N / (N − 1), which makes it that of the population's mean. It is the same number for all trials.
- swapped_c: the model's own error with every target set against the decodes of the *other* samples' z, everything
  else the decoder is given kept. A decoder that ignores z has swapped = MSE: its score is −rate / D, never above 0.

A channel that hardly varies (constant_c below 1 % of the median channel's) is left out of Σ and D: its logarithm
would decide. Nothing is floored at 0: that would reward collapse.

Shapes: N samples, B of them in a batch, C channels, L values of a channel, S decodes of a sample. Sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

CONSTANT_CHANNEL = 0.01  # of the median channel's error of the constant; below it a channel is left out
EXACT = 1e-10  # of the constant's error; below it a reconstruction is exact in float32


def kept_channels(constant_C: Tensor) -> Tensor:
    """The channels that count, (C,) bool, from the constant's error of each; the median is of those that vary."""
    varies_C = constant_C > 0
    if not varies_C.any():
        return varies_C
    return varies_C & (constant_C >= CONSTANT_CHANNEL * constant_C[varies_C].median())


def elbo_gain(values_C: Tensor, mse_C: Tensor, constant_C: Tensor, swapped_C: Tensor, rate: float) -> float:
    """The score, nats per data dimension; see the module.

    Args:
        values_C: D_c, values of a channel in a sample.
        mse_C, constant_C, swapped_C: mean squared errors by channel.
        rate: nats per sample.

    Returns:
        NaN where no channel varies, or an error is not finite.
    """
    kept = kept_channels(constant_C)
    values, constant = values_C[kept], constant_C[kept]
    floor = EXACT * constant
    mse, swapped = torch.maximum(mse_C[kept], floor), torch.maximum(swapped_C[kept], floor)
    dims = float(values.sum())
    if not dims:
        return math.nan
    gains = [float((values * (reference / mse).log()).sum()) / 2 for reference in (constant, swapped)]
    return (min(gains) - rate) / dims if all(map(math.isfinite, gains)) else math.nan


def by_channel(x: Tensor, axis: int) -> Tensor:
    """(B, …) with the channels at `axis` → (B, C, L) float64."""
    x = x.movedim(axis, 1)
    return x.reshape(*x.shape[:2], -1).to(torch.float64, memory_format=torch.contiguous_format)


def squares(x_BCL: Tensor) -> Tensor:
    """The sum of the squares by channel, (C,)."""
    return torch.linalg.vector_norm(x_BCL, dim=(0, 2)).square()  # a fifth of the time of squaring and summing


class Errors:
    """Squared errors of named predictions, and of the best constant, by channel.

    Args:
        axis: of the channels.
    """

    def __init__(self, axis: int) -> None:
        self._axis = axis
        self._squares: dict[str, Tensor] = {}  # (C,) each
        self._count_CL = self._sum_CL = self._square_CL = torch.zeros((), dtype=torch.float64)
        self._samples = 0

    def add(self, target: Tensor, predictions: Mapping[str, Sequence[Tensor]], content: Tensor | None = None) -> None:
        """Add a batch: the `target` (B, …), of every prediction its decodes (B, …), whose errors are averaged.

        Where `content` (B, 1, …) is 0 nothing counts.
        """
        target_BCL = by_channel(target, self._axis)
        weight = torch.ones_like(target_BCL[:, :1]) if content is None else by_channel(content, self._axis)
        counted_BCL = target_BCL if content is None else weight * target_BCL
        for name, decodes in predictions.items():
            for prediction in decodes:
                error_BCL = by_channel(prediction, self._axis) - target_BCL
                square_C = squares(error_BCL if content is None else weight * error_BCL)
                self._squares[name] = self._squares.get(name, 0.0) + square_C / len(decodes)
        self._count_CL = self._count_CL + weight.sum(dim=0).expand_as(target_BCL[0])
        self._sum_CL = self._sum_CL + counted_BCL.sum(dim=0)
        self._square_CL = self._square_CL + counted_BCL.square().sum(dim=0)
        self._samples += len(target)

    def values_C(self) -> Tensor:
        """Values of a channel that count, mean over samples."""
        return self._count_CL.sum(dim=1) / self._samples

    def mse_C(self, name: str) -> Tensor:
        """Mean squared error of a prediction by channel."""
        return self._squares[name] / self._count_CL.sum(dim=1)

    def mse(self, name: str) -> float:
        """Mean squared error of a prediction over all values."""
        return float(self._squares[name].sum() / self._count_CL.sum())

    def constant_C(self) -> Tensor:
        """Error of the population's best constant by channel; places with fewer than two samples do not count."""
        spread_CL = self._spread_CL() * self._count_CL / (self._count_CL - 1).clamp(min=1)
        seen_CL = self._count_CL > 1
        return (spread_CL * seen_CL).sum(dim=1) / (self._count_CL * seen_CL).sum(dim=1).clamp(min=1)

    def constant(self) -> float:
        """The same over all values."""
        share_C = self.values_C() / self.values_C().sum()
        return float((share_C * self.constant_C()).sum())

    def explained(self, name: str) -> float:
        """R²: the share of the variance of the evaluated samples about their own mean that a prediction explains."""
        return 1.0 - float(self._squares[name].sum() / self._spread_CL().sum().clamp(min=1e-30))

    def _spread_CL(self) -> Tensor:
        """Sum of squared distances from the mean over the samples."""
        return (self._square_CL - self._sum_CL.square() / self._count_CL.clamp(min=1)).clamp(min=0)


class Pairs:
    """Errors of every sample's decodes against its own target and against all others', in closed form.

    With targets T_i, decodes P_js and what the targets give their predictions, a factor a_i, the sum over all pairs
    of (a_i P_js − T_i)² follows from Σ P, Σ P², Σ a, Σ a², Σ T, Σ aT and Σ T²: no further decode is needed.

    Args:
        axis: of the channels.
    """

    def __init__(self, axis: int) -> None:
        self._axis = axis
        self._samples = self._decodes = self._length = 0
        self._own_C = torch.zeros((), dtype=torch.float64)
        self._sums: dict[str, Tensor] = {}
        self._origin_CL: Tensor | None = None

    def add(self, target: Tensor, decodes: Sequence[Tensor], factor: Tensor | None = None) -> None:
        """Add a batch: the target (B, …), its S decodes (B, …) each, and the factor of every sample and channel
        (broadcast, the same at all values of a channel) that the target gives any prediction; None for 1."""
        target_BCL = by_channel(target, self._axis)
        shift: Tensor | float = 0.0
        if factor is None:
            target_BCL, shift = self._centred(target_BCL)
            factor_BC1 = torch.ones_like(target_BCL[:, :, :1])
        else:
            factor_BC1 = by_channel(factor, self._axis)[:, :, :1]
        for decode in decodes:
            decode_BCL = by_channel(decode, self._axis) - shift
            self._own_C = self._own_C + squares(factor_BC1 * decode_BCL - target_BCL)
            self._count("P", decode_BCL.sum(dim=0))
            self._count("PP", squares(decode_BCL))
        self._count("aa", factor_BC1.square().sum(dim=(0, 2)))
        self._count("aT", (factor_BC1 * target_BCL).sum(dim=0))
        self._count("TT", squares(target_BCL))
        self._samples += len(target)
        self._decodes, self._length = len(decodes), target_BCL.shape[2]

    def own_C(self) -> Tensor:
        """Mean squared error of the decodes of a sample's own z by channel."""
        return self._own_C / (self._samples * self._decodes * self._length)

    def swapped_C(self) -> Tensor:
        """Mean squared error over all pairs of two different samples, the target of one and decodes of the other."""
        all_C = (
            self._sums["PP"] * self._sums["aa"]
            - 2.0 * (self._sums["P"] * self._sums["aT"]).sum(dim=1)
            + self._samples * self._decodes * self._sums["TT"]
        )
        pairs = self._samples * (self._samples - 1) * self._decodes * self._length
        return ((all_C - self._own_C) / pairs).clamp(min=0)

    def _centred(self, target_BCL: Tensor) -> tuple[Tensor, Tensor]:
        """Targets relative to the first of all, so that no large offset costs digits."""
        if self._origin_CL is None:
            self._origin_CL = target_BCL[0].clone()
        return target_BCL - self._origin_CL, self._origin_CL

    def _count(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums[name] + value if name in self._sums else value
