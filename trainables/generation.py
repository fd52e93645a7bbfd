"""How far generated images are from real ones: a kernel distance on fixed features, diversity, and checkerboards.

Ghosts, two images in one, have no measure of their own: what tells a ghost from a blurred or a busy image is what the
picture shows, and a detector would have to know that. They raise the kernel distance, and are looked at in the
pictures of prior samples.

Shapes: N images, C channels, H × W pixels, F features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FEATURE_SEED = 20_180_104
FEATURE_STAGES = 4
FEATURE_WIDTH = 32
FEATURES_AT_ONCE = 8  # images, whose maps a processor's cache holds: less than half the time of 64
FEATURE_STD_FLOOR = 1e-2  # of the median feature's standard deviation

GRID_PERIODS = 4  # a grid repeats every 2 or 4 pixels: the strides of the last two upsamplings
NEIGHBOURHOOD = 3  # frequencies on each side of a grid frequency …
PEAK = 1  # … but for those that a windowed peak spreads over
POWER_FLOOR = 1e-3  # of the strongest grid frequency in real images: enlarged ones have next to nothing at others


def generation_gap(real_NCHW: Tensor, generated_NCHW: Tensor) -> float:
    """Kernel distance between as many generated as real images, on `random_features`; 0 for the same distribution.

    Features are standardised by the real images and squashed (asinh), or a single one that never varies in real
    images would decide. Unbiased, so it may be slightly negative.
    """
    real, generated = random_features(real_NCHW), random_features(generated_NCHW)
    mean, std = real.mean(dim=0), real.std(dim=0)
    std = std.clamp(min=FEATURE_STD_FLOOR * float(std.median()))
    return kernel_distance(((real - mean) / std).asinh(), ((generated - mean) / std).asinh())


def kernel_distance(first_NF: Tensor, second_NF: Tensor) -> float:
    """Squared maximum mean discrepancy, unbiased, with kernel (x·y / F + 1)³ (Bińkowski et al. 2018), of equally
    many of each.
    """
    from torchmetrics.image.kid import poly_mmd

    return float(poly_mmd(first_NF.double(), second_NF.double()))


def diversity(generated_NCHW: Tensor, real_NCHW: Tensor) -> float:
    """Mean Euclidean distance of two generated images, in units of that of two real ones.

    0: all are the same image. About 1: as different as real ones. Blurred images are a little closer to each other
    than sharp ones, so somewhat less than 1 is no lack of diversity. NaN where the real images are all the same.
    """
    generated, real = (F.pdist(x.flatten(1).float()).mean() for x in (generated_NCHW, real_NCHW))
    return float(generated / real) if real > 0 else math.nan


@torch.no_grad()
def random_features(images_NCHW: Tensor) -> Tensor:
    """Features (N, F) of a small convolutional network with fixed random weights.

    Networks with random weights tell real from generated images without the bias of the labels that others were
    trained on (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics", section 4.2), and need no download.
    Of each of four stages, the mean and standard deviation of every channel over the image (textures, edges,
    contrast); of the last also its 4 × 4 averages (layout). The filters sum to zero, as edges' and spots' do.
    """
    generator = torch.Generator().manual_seed(FEATURE_SEED)
    channels = (images_NCHW.shape[1], *[FEATURE_WIDTH] * (FEATURE_STAGES - 1))
    filters = [torch.randn(FEATURE_WIDTH, inputs, 3, 3, generator=generator) for inputs in channels]
    filters = [weight - weight.mean(dim=(1, 2, 3), keepdim=True) for weight in filters]
    filters = [
        (weight / weight.flatten(1).norm(dim=1)[:, None, None, None]).to(images_NCHW.device) for weight in filters
    ]
    with torch.autocast(images_NCHW.device.type, enabled=False):
        return torch.cat([_features(part.float(), filters) for part in images_NCHW.split(FEATURES_AT_ONCE)])


def _features(x: Tensor, filters: Sequence[Tensor]) -> Tensor:
    features = []
    for weight in filters:
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight).relu_()
        mean, pixels = x.mean(dim=(2, 3), keepdim=True), x.shape[2] * x.shape[3]
        std = torch.linalg.vector_norm(x - mean, dim=(2, 3)) / math.sqrt(pixels - 1)  # a third of x.std's time
        features += [mean.flatten(1), std]
        x = F.avg_pool2d(x, 2)
    return torch.cat([*features, F.adaptive_avg_pool2d(x, 4).flatten(1)], dim=1)


def checkerboard(images_NCHW: Tensor, real_NCHW: Tensor) -> float:
    """Energy at the frequencies of upsampling grids, beyond that of their neighbours, in units of the real images'.

    Mean over the frequencies of grids of 2 and 4 pixels of (power there − power around) / power around in
    `real_NCHW`. Power is averaged over images, with a Hann window; around a frequency it is averaged geometrically,
    for spectra are steep. About 0 without a grid; 1: as strong as all that real images have there.
    """
    peak, around = _grid_power(images_NCHW)
    real = _grid_power(real_NCHW)[1]
    return float(((peak - around) / real.clamp(min=POWER_FLOOR * float(real.max()))).mean())


def _grid_power(images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Power at every grid frequency, and in the ring around it, (frequencies,)."""
    x = images_NCHW.double().flatten(0, 1)
    side = x.shape[-1]
    window = torch.hann_window(side, dtype=x.dtype, device=x.device)
    window = window[:, None] * window
    x = x - (x * window).sum(dim=(1, 2), keepdim=True) / window.sum()
    power = torch.fft.fft2(x * window).abs().square().mean(dim=0)
    step = side // GRID_PERIODS
    grid = [(i * step, j * step) for i in range(GRID_PERIODS) for j in range(GRID_PERIODS) if i or j]
    reach = torch.arange(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1)
    patches = torch.stack(
        [power[(row + reach)[:, None] % side, (column + reach) % side] for row, column in grid]
    )  # (frequencies, 7, 7)
    ring = torch.ones(len(reach), len(reach), dtype=torch.bool, device=x.device)
    inner = slice(NEIGHBOURHOOD - PEAK, NEIGHBOURHOOD + PEAK + 1)
    ring[inner, inner] = False
    return patches[:, NEIGHBOURHOOD, NEIGHBOURHOOD], patches[:, ring].log().mean(dim=1).exp()
