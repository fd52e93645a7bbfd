"""Networks, measures and pictures of three-dimensional, multi-modal volumes.

The side S is 8 · 2^n. Decoders double it from a grid of 8³, so that the spatial broadcast decoder starts from the
same grid whatever the volume. Shapes: B samples, M modalities, K latent dimensions, C channels, G = 8.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GRID = 8
HEAD_SIDE = 4
NORM_GROUPS = 8
WINDOW_RADIUS = 5  # voxels; SSIM's Gaussian window is 11³ …
WINDOW_SIGMA = 1.5  # … with this standard deviation
C1, C2 = 0.01**2, 0.03**2  # of SSIM, for a data range of 1 (Wang et al. 2004)
RANGE_FLOOR = 1e-6
PANEL_SHARES = (0.01, 0.99)  # of the target's voxels are black, are not yet white


def sides(side: int) -> list[int]:
    """The sides from the grid's up to `side`: 8, 16, …"""
    return [GRID * 2**stage for stage in range((side // GRID).bit_length())]


def channels(width: int, side: int) -> int:
    """Channels at that side: `width` up to the grid's, half as many at every doubling, in whole groups."""
    return max(1, width * GRID // max(side, GRID) // NORM_GROUPS) * NORM_GROUPS


class Encoder(nn.Module):
    """(B, M, S, S, S) → mu and logvar, each (B, K): strided convolutions down to 4³, then one linear layer.

    Args:
        shape: (M, S, S, S).
        width: channels at a side of 8, a multiple of 8; half as many at every doubling of the side.
    """

    def __init__(self, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        outputs = [channels(width, side) for side in [*reversed(sides(shape[1] // 2)), HEAD_SIDE]]
        self.body = nn.Sequential(*(_down(*pair) for pair in pairwise([shape[0], *outputs])))
        self.head = nn.Linear(width * HEAD_SIDE**3, 2 * latent)
        # a step takes half the time on a CPU
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub lacks the option

    def forward(self, x_BMDHW: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the posterior."""
        hidden = self.body(x_BMDHW.contiguous(memory_format=torch.channels_last_3d))
        return self.head(hidden.flatten(1)).float().chunk(2, dim=1)


class DenseGrid(nn.Module):
    """z → (B, C, G, G, G) by one linear layer: every position has its own weights."""

    def __init__(self, latent: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, channels * GRID**3)
        nn.init.normal_(self.linear.bias)  # at the usual size what all volumes share would drown in the noise of z

    def forward(self, z_BK: Tensor) -> Tensor:
        """The grid of `z`."""
        return self.linear(z_BK).unflatten(1, (-1, GRID, GRID, GRID))


class CoordinateGrid(nn.Module):
    """(B, C, G, G, G): a linear map of the coordinates, the same for every z."""

    coordinates: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("coordinates", coordinates(GRID))
        self.conv = nn.Conv3d(3, channels, 1)

    def forward(self, z_BK: Tensor) -> Tensor:
        """As many grids as there are rows."""
        return self.conv(self.coordinates).expand(len(z_BK), -1, -1, -1, -1)


class LearnedGrid(nn.Module):
    """(B, C, G, G, G): an embedding of every position, the same for every z."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(1, channels, GRID, GRID, GRID))

    def forward(self, z_BK: Tensor) -> Tensor:
        """As many grids as there are rows."""
        return self.embedding.expand(len(z_BK), -1, -1, -1, -1)


class BroadcastGrid(nn.Module):
    """z → (B, C, G, G, G): a linear map of z, the same at every position, plus what tells the positions apart.

    With coordinates this is the spatial broadcast decoder (Watters et al. 2019): a pointwise convolution of z beside
    the coordinates, written as the sum of its two parts.
    """

    def __init__(self, latent: int, positions: nn.Module, channels: int) -> None:
        super().__init__()
        self.latent = nn.Linear(latent, channels)
        self.positions = positions

    def forward(self, z_BK: Tensor) -> Tensor:
        """The grid of `z`."""
        return self.latent(z_BK)[:, :, None, None, None] + self.positions(z_BK)


GRIDS = {
    "conv": DenseGrid,
    "sbd": lambda latent, channels: BroadcastGrid(latent, CoordinateGrid(channels), channels),
    "learned_position": lambda latent, channels: BroadcastGrid(latent, LearnedGrid(channels), channels),
    "film": lambda latent, channels: CoordinateGrid(channels),
}


class Block(nn.Module):
    """Trilinear interpolation by `scale`, convolution, group norm, SiLU.

    With `film` a scale and a shift of every channel depend on z (Perez et al. 2018).
    """

    def __init__(self, inputs: int, outputs: int, latent: int, scale: int, film: bool) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(NORM_GROUPS, outputs)
        self.film = nn.Linear(latent, 2 * outputs) if film else None

    def forward(self, x_BCDHW: Tensor, z_BK: Tensor) -> Tensor:
        """(B, inputs, D, H, W) → (B, outputs, scale · D, scale · H, scale · W)."""
        if self.scale != 1:
            x_BCDHW = F.interpolate(x_BCDHW, scale_factor=self.scale, mode="trilinear")
        hidden = self.norm(self.conv(x_BCDHW))
        if self.film is not None:
            scale, shift = self.film(z_BK)[:, :, None, None, None].chunk(2, dim=1)
            hidden = hidden * (1.0 + scale) + shift
        return F.silu(hidden)


class Decoder(nn.Module):
    """z → (B, M, S, S, S): a grid of 8³, a block there, then blocks that double the side ("resize-convolution").

    Args:
        kind: how z becomes the grid. `conv`: linear. `sbd`: spatial broadcast beside coordinates.
            `learned_position`: spatial broadcast beside an embedding. `film`: coordinates alone, and z modulates
            every block.
        shape, width: those of the encoder.
    """

    def __init__(self, kind: str, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        film = kind == "film"
        widths = [channels(width, side) for side in sides(shape[1])]
        self.grid = GRIDS[kind](latent, width)
        self.blocks = nn.ModuleList([Block(width, width, latent, 1, film)])
        self.blocks.extend(Block(*pair, latent, 2, film) for pair in pairwise(widths))
        self.output = nn.Conv3d(widths[-1], shape[0], 3, padding=1)
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # torch's stub lacks the option

    def forward(self, z_BK: Tensor) -> Tensor:
        """The volume, float32."""
        hidden = F.silu(self.grid(z_BK)).contiguous(memory_format=torch.channels_last_3d)
        for block in self.blocks:
            hidden = block(hidden, z_BK)
        return self.output(hidden).float()


class PretrainedDecoder(nn.Module):
    """The `conv` decoder for the first `pretrain` of the budget, the decoder of that kind from the next epoch on.

    Evaluations use the decoder that was trained last: straight after the change the new one has learnt nothing.
    """

    pretraining: Tensor

    def __init__(self, kind: str, pretrain: float, shape: tuple[int, ...], latent: int, width: int) -> None:
        super().__init__()
        self.kind, self.pretrain, self.share = kind, pretrain, 0.0
        kinds = {kind, "conv"} if pretrain > 0 else {kind}
        self.decoders = nn.ModuleDict({name: Decoder(name, shape, latent, width) for name in sorted(kinds)})
        self.register_buffer("pretraining", torch.tensor(pretrain > 0))

    def forward(self, z_BK: Tensor) -> Tensor:
        """The volume, (B, M, S, S, S)."""
        if self.training:
            pretraining = self.share < self.pretrain
            self.pretraining.fill_(pretraining)
        else:
            pretraining = bool(self.pretraining)
        return self.decoders["conv" if pretraining else self.kind](z_BK)


def coordinates(side: int) -> Tensor:
    """Depth, height and width of every position in [−1, 1], (1, 3, side, side, side)."""
    axis = torch.linspace(-1.0, 1.0, side)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))[None]


def similarity(prediction_BMDHW: Tensor, target_BMDHW: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM, and PSNR in dB, of every modality: means over the samples, each (M,).

    Both are brought to the scale on which the target, of each sample and modality, runs from 0 to 1: the luminance
    term of SSIM compares ratios of means, and intensities of these volumes have neither a unit nor a zero.
    """
    with torch.autocast(target_BMDHW.device.type, enabled=False):
        low, high = target_BMDHW.amin(dim=(2, 3, 4), keepdim=True), target_BMDHW.amax(dim=(2, 3, 4), keepdim=True)
        scale = (high - low).clamp(min=RANGE_FLOOR)
        prediction, target = (prediction_BMDHW - low) / scale, (target_BMDHW - low) / scale
        error_BM = (prediction - target).square().mean(dim=(2, 3, 4))
        return ssim(prediction, target).mean(dim=0), -10.0 * error_BM.log10().mean(dim=0)


def ssim(x_BMDHW: Tensor, y_BMDHW: Tensor) -> Tensor:
    """Structural similarity of volumes with values in [0, 1], (B, M) (Wang et al. 2004), reflected at the border.

    The same as torchmetrics', which convolves with the whole window; matrix products along the axes take a
    fiftieth of the time on a CPU, and one volume at a time, which its cache holds, half of that.
    """
    return torch.cat([_ssim(x, y) for x, y in zip(x_BMDHW.split(1), y_BMDHW.split(1), strict=True)])


def _ssim(x_BMDHW: Tensor, y_BMDHW: Tensor) -> Tensor:
    maps = [_smooth(value) for value in (x_BMDHW, y_BMDHW, x_BMDHW**2, y_BMDHW**2, x_BMDHW * y_BMDHW)]
    mean_x, mean_y, xx, yy, xy = maps
    variances = (xx - mean_x**2).clamp(min=0) + (yy - mean_y**2).clamp(min=0)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * (xy - mean_x * mean_y) + C2) / (variances + C2)
    return (luminance * structure).mean(dim=(2, 3, 4))


def panel(target_BMDHW: Tensor, prediction_BMDHW: Tensor) -> tuple[Tensor, Tensor]:
    """Both as grey images (B, rows · H, columns · D, 3) in [0, 1]: the middle axial slice of every modality, tiled.

    The axes of a volume run to the right, to the front and up, as in NIfTI's RAS orientation: the slice is shown
    with the front at the top (neurological).
    """
    target_BMDH, prediction_BMDH = (x[..., x.shape[-1] // 2].float() for x in (target_BMDHW, prediction_BMDHW))
    shares = torch.tensor(PANEL_SHARES, device=target_BMDH.device)
    low, high = torch.quantile(target_BMDH.flatten(2), shares, dim=2)[..., None, None]
    images = [
        _tiles(((x - low) / (high - low).clamp(min=RANGE_FLOOR)).clamp(0, 1)) for x in (target_BMDH, prediction_BMDH)
    ]
    return images[0], images[1]


def _tiles(slices_BMDH: Tensor) -> Tensor:
    """M slices as one picture of about as many rows as columns, (B, rows · H, columns · D, 3)."""
    count = slices_BMDH.shape[1]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    upright_BMHD = F.pad(slices_BMDH.transpose(2, 3).flip(2), (0, 0, 0, 0, 0, rows * columns - count))
    tiles = upright_BMHD.unflatten(1, (rows, columns)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return tiles[..., None].expand(-1, -1, -1, 3)


def _down(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.GroupNorm(NORM_GROUPS, outputs), nn.SiLU()
    )


def _smooth(volume: Tensor) -> Tensor:
    """The Gaussian window's local means over the last three axes."""
    for _ in range(3):  # smooths the last axis and brings the next one there
        volume = (volume @ _window(volume.shape[-1]).to(volume).T).movedim(-1, -3)
    return volume


def _window(side: int) -> Tensor:
    """The window along one axis as a matrix (side, side); its rows sum to 1."""
    offsets = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1)
    weights = torch.exp(-offsets.double().square() / (2 * WINDOW_SIGMA**2))
    position = (torch.arange(side)[:, None] + offsets).abs()
    position = torch.minimum(position, 2 * (side - 1) - position)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    return matrix.scatter_add_(1, position, (weights / weights.sum()).expand(side, -1))
