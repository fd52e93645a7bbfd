"""Reconstruction losses of images in [0, 1], and their quadratic approximations for the forecast.

Every loss is a mean over samples and values. They hold small differences of large numbers: call them outside of
autocast. Shapes: B or N samples, C channels, H × W pixels, H = W.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial, reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW_RADIUS = 5  # pixels; the usual SSIM window is 11 × 11 …
WINDOW_SIGMA = 1.5  # … with a Gaussian of this standard deviation
C1, C2 = 0.01**2, 0.03**2  # of SSIM for values in [0, 1] (Wang et al. 2004)
SMALLEST_SIDE = WINDOW_RADIUS + 1  # of an image that the window's reflection fits into
STD_FLOOR = 1e-3  # of a pixel, in the approximations

Feature = tuple[float, Callable[[], np.ndarray]]


def ssim(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Structural similarity of every sample, (B,) (Wang et al. 2004), reflected at the border.

    Its luminance term compares ratios of local means, so it knows black: a constant added to both images, which no
    image in [0, 1] has reason for, raises it. Values without a zero of their own are brought to [0, 1] first.

    The same as torchmetrics', which convolves with the whole window; two matrix products here take a fiftieth of
    the time on a CPU.
    """
    x, y = prediction_BCHW, target_BCHW
    mean_x, mean_y, xx, yy, xy = smooth(torch.stack([x, y, x * x, y * y, x * y]))
    variances = (xx - mean_x.square()).clamp(min=0) + (yy - mean_y.square()).clamp(min=0)
    luminance = (2 * mean_x * mean_y + C1) / (mean_x.square() + mean_y.square() + C1)
    structure = (2 * (xy - mean_x * mean_y) + C2) / (variances + C2)
    return (luminance * structure).flatten(1).mean(dim=1)


def mse(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Mean squared error."""
    return F.mse_loss(prediction_BCHW, target_BCHW)


def l1_ssim(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Mean absolute error + 1 − SSIM."""
    return F.l1_loss(prediction_BCHW, target_BCHW) + 1.0 - ssim(prediction_BCHW, target_BCHW).mean()


LOSSES = {"mse": mse, "l1_ssim": l1_ssim}


def multi_scale(name: str, prediction_BCHW: Tensor, target_BCHW: Tensor, scales: int) -> Tensor:
    """The loss called `name` at sides H, H / 2, H / 4, …, on averages of pixels: the mean over the scales."""
    pairs = [(prediction_BCHW, target_BCHW)]
    for _ in range(scales - 1):
        prediction, target = pairs[-1]
        pairs.append((F.avg_pool2d(prediction, 2), F.avg_pool2d(target, 2)))
    return reduce(torch.add, (LOSSES[name](*pair) for pair in pairs)) / scales


def spectral(prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """Mean modulus of the error's Fourier coefficients, orthonormal, over the half plane that a real image has."""
    return torch.fft.rfft2(prediction_BCHW - target_BCHW, norm="ortho").abs().mean()


def smooth(images: Tensor) -> Tensor:
    """The Gaussian window's local means, (…, H, W) → the same; reflected at the border."""
    window_HH = _window(images.shape[-1], images.device)
    return window_HH @ images @ window_HH.T


@lru_cache(maxsize=32)
def _window(side: int, device: torch.device) -> Tensor:
    """The window along one axis as a matrix (side, side); its rows sum to 1."""
    offsets = torch.arange(-WINDOW_RADIUS, WINDOW_RADIUS + 1)
    weights = torch.exp(-offsets.double().square() / (2 * WINDOW_SIGMA**2))
    position = (torch.arange(side)[:, None] + offsets).abs()
    position = torch.minimum(position, 2 * (side - 1) - position)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    matrix.scatter_add_(1, position, (weights / weights.sum()).expand(side, -1))
    return matrix.float().to(device)


def quadratic(name: str, x_NCHW: np.ndarray, scales: int) -> Iterator[Feature]:
    """`multi_scale(name, …)` near the decoder that paints the mean image, as Σ weight · ‖features(error)‖².

    There, at total collapse, e = x − x̄, and the forecast asks whether leaving it pays.

    mse: exact.
    L1: |e| of a Gaussian residual is √(2/π) s, hence falls by 1 / (√(2π) s) for every unit of s² that is explained;
    s is the standard deviation of the pixel.
    SSIM: with local means m and variances v, 1 − luminance = m(e)² / (m(x)² + m(x̄)² + C1) and
    1 − structure = v(e) / (v(x) + v(x̄) + C2) exactly, v(e) = m(e²) − m(e)², and 1 − SSIM is their sum but for
    their product. The denominators are replaced by their means over the samples.
    """
    for level in range(scales):
        pooled = partial(_pool, torch.from_numpy(x_NCHW), 2**level)
        weight = 4**level / (scales * math.prod(x_NCHW.shape[1:]))
        if name == "mse":
            yield weight, partial(_pixels, pooled)
        else:
            yield weight, partial(_l1_feature, pooled)
            for sign, feature in ((1, _error_square), (-1, _local_mean), (1, _luminance)):
                yield sign * weight, partial(feature, pooled)


def quadratic_spectral(x_NCHW: np.ndarray) -> Feature:
    """`spectral` near the mean image: as L1, for a circular complex Gaussian √π / 2 · s, hence √π / (4 s)."""
    height, width = x_NCHW.shape[2:]
    weight = math.sqrt(math.pi) / (4 * x_NCHW.shape[1] * height * (width // 2 + 1))
    return weight, partial(_spectral_feature, torch.from_numpy(x_NCHW))


def residual_std(x_NCHW: np.ndarray) -> float:
    """Root mean square of x − x̄."""
    return math.sqrt(float(x_NCHW.var(axis=0, dtype=np.float64).mean()))


def _pool(x_NCHW: Tensor, factor: int) -> Tensor:
    return F.avg_pool2d(x_NCHW, factor)


def _pixels(pooled: Callable[[], Tensor]) -> np.ndarray:
    return pooled().numpy()


def _l1_feature(pooled: Callable[[], Tensor]) -> np.ndarray:
    x = pooled()
    scale = x.std(dim=0, correction=0).clamp(min=STD_FLOOR) * math.sqrt(2 * math.pi)
    return (x / scale.sqrt()).numpy()


def _denominators(x: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over the samples of SSIM's two denominators against the mean image, each (C, H, W)."""
    local, image = smooth(x), x.mean(dim=0)
    local_image = smooth(image)
    variance = (smooth(x.square()) - local.square()).mean(dim=0) + smooth(image.square()) - local_image.square()
    return local.square().mean(dim=0) + local_image.square() + C1, variance.clamp(min=0) + C2


def _error_square(pooled: Callable[[], Tensor]) -> np.ndarray:
    x = pooled()
    window = _window(x.shape[-1], x.device)
    return (x * (window.T @ (1 / _denominators(x)[1]) @ window).sqrt()).numpy()


def _local_mean(pooled: Callable[[], Tensor]) -> np.ndarray:
    x = pooled()
    return (smooth(x) / _denominators(x)[1].sqrt()).numpy()


def _luminance(pooled: Callable[[], Tensor]) -> np.ndarray:
    x = pooled()
    return (smooth(x) / _denominators(x)[0].sqrt()).numpy()


def _spectral_feature(x: Tensor) -> np.ndarray:
    spectrum = torch.fft.rfft2(x, norm="ortho")
    centred = spectrum - spectrum.mean(dim=0)
    scale = centred.abs().square().mean(dim=0).sqrt().clamp(min=STD_FLOOR)
    return torch.view_as_real(spectrum / scale.sqrt()).numpy()
