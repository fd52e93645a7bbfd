"""Building blocks of two-dimensional networks.

Shapes: B samples, C channels, H × W pixels, N = H·W positions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Upsampling = Literal["transposed", "resize"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "leaky_relu": partial(nn.LeakyReLU, 0.2)}
NEAR_ZERO_GAIN = 0.01
NORM_GROUPS = 8


class DownBlock(nn.Module):
    """Halves the side: a strided 4 × 4 convolution with batch norm, beside a 1 × 1 skip of every second
    pixel.

    Without `skip_batch_norm` the skip keeps the scale of its input while the other branch has unit scale.
    """

    def __init__(self, inputs: int, outputs: int, activation: str = "relu", skip_batch_norm: bool = True) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs)
        )
        # not a strided 1 × 1 convolution: its gradient corrupts memory on CPUs in channels-last layout (torch 2.13)
        self.skip = nn.Sequential(nn.AvgPool2d(1, stride=2), _skip(inputs, outputs, skip_batch_norm))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H / 2, W / 2)."""
        return self.activation(self.main(x_BCHW) + self.skip(x_BCHW))


class UpBlock(nn.Module):
    """Doubles the side: upsampling and `depth` convolutions with batch norm, beside a 1 × 1 skip.

    `resize` is bilinear interpolation and a 3 × 3 convolution. `transposed` is a 4 × 4 transposed convolution of
    stride 2: its kernel covers neighbouring pixels differently, which shows as a checkerboard (Odena, Dumoulin and
    Olah 2016).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        mode: Upsampling = "resize",
        depth: int = 1,
        activation: str = "relu",
        skip_batch_norm: bool = True,
    ) -> None:
        super().__init__()
        layers = [*_upsampling(inputs, outputs, mode), nn.BatchNorm2d(outputs)]
        for _ in range(depth - 1):
            layers += [ACTIVATIONS[activation](), nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(outputs)]
        self.main = nn.Sequential(*layers)
        self.skip = nn.Sequential(_skip(inputs, outputs, skip_batch_norm), _bilinear())
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, 2 H, 2 W)."""
        return self.activation(self.main(x_BCHW) + self.skip(x_BCHW))


class SelfAttention(nn.Module):
    """x + projection(attention(GroupNorm(x))) over all positions, one head; the identity until it is trained.

    Wang et al. 2018, "Non-local Neural Networks", with scaled dot products. The projection starts at zero.

    Args:
        channels: a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(NORM_GROUPS, channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.projection = nn.Conv2d(channels, channels, 1)
        zero(self.projection)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) → the same."""
        flat_B1NC = self.query_key_value(self.norm(x_BCHW)).flatten(2).transpose(1, 2)[:, None]
        attended_B1NC = F.scaled_dot_product_attention(*flat_B1NC.chunk(3, dim=3))
        return x_BCHW + self.projection(attended_B1NC.transpose(2, 3).reshape(x_BCHW.shape))


@torch.no_grad()
def kaiming(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Kaiming normal weights for layers before a ReLU, scaled by their outputs (He et al. 2015); zero biases.

    Scaled by outputs, a layer with many inputs and few outputs, as the heads of a posterior, gives values with a
    standard deviation of about √(2 · inputs / outputs).
    """
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def near_zero(layer: nn.Conv2d) -> None:
    """Xavier uniform weights with gain 0.01 and zero biases: a head that starts at about 0."""
    nn.init.xavier_uniform_(layer.weight, gain=NEAR_ZERO_GAIN)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def zero(layer: nn.Module) -> None:
    """Zero weights and biases."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _skip(inputs: int, outputs: int, batch_norm: bool) -> nn.Module:
    if not batch_norm:
        return nn.Conv2d(inputs, outputs, 1)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


def _upsampling(inputs: int, outputs: int, mode: Upsampling) -> list[nn.Module]:
    if mode == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)]
    return [_bilinear(), nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]


def _bilinear() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
