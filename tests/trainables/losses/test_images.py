"""Reconstruction losses against torchmetrics and closed forms, and their approximations against the losses."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from trainables.losses.images import (
    SMALLEST_SIDE,
    l1_ssim,
    mse,
    multi_scale,
    quadratic,
    quadratic_spectral,
    residual_std,
    smooth,
    spectral,
    ssim,
)


def images(count=6, side=32, channels=1, seed=0) -> torch.Tensor:
    """Smooth blobs in [0, 1] with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, channels, side // 8, side // 8, generator=generator)
    blobs = F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False)
    noise = torch.randn(blobs.shape, generator=generator)
    return (torch.sigmoid(2 * blobs) + 0.02 * noise).clamp(0, 1)


@pytest.mark.parametrize(("side", "channels"), [(64, 1), (16, 3), (SMALLEST_SIDE, 1)])
def test_ssim_is_that_of_torchmetrics(side, channels):
    from torchmetrics.functional.image import structural_similarity_index_measure

    x, y = torch.rand(2, 4, channels, side, side, generator=torch.Generator().manual_seed(0)).unbind()
    y = 0.5 * x + 0.5 * y
    expected = structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, y), expected, atol=2e-5, rtol=1e-4)


def test_ssim_of_an_image_with_itself_is_1_and_of_constants_by_hand():
    x = images()
    torch.testing.assert_close(ssim(x, x), torch.ones(len(x)))
    low, high = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert float(ssim(low, high)) == pytest.approx(expected, rel=1e-4)


def test_smoothing_keeps_constants_and_the_weight_of_a_point():
    torch.testing.assert_close(smooth(torch.full((1, 1, 12, 12), 0.3)), torch.full((1, 1, 12, 12), 0.3))
    point = torch.zeros(1, 1, 32, 32)
    point[..., 16, 16] = 1.0
    spread = smooth(point)
    assert float(spread.sum()) == pytest.approx(1.0, rel=1e-5)
    assert float(spread[..., 16, 17] / spread[..., 16, 16]) == pytest.approx(math.exp(-1 / (2 * 1.5**2)), rel=1e-5)


def test_losses_by_hand():
    target = torch.zeros(2, 1, 16, 16)
    prediction = torch.stack([target[0] + 0.5, target[1]])
    assert float(mse(prediction, target)) == pytest.approx(0.125)
    similarity = (1e-4 / (0.25 + 1e-4) + 1.0) / 2
    assert float(l1_ssim(prediction, target)) == pytest.approx(0.25 + 1 - similarity, rel=1e-4)


def test_multi_scale_is_the_mean_over_halved_images():
    x, y = images(seed=0), images(seed=1)
    expected = [l1_ssim(F.avg_pool2d(x, 2**s), F.avg_pool2d(y, 2**s)) for s in range(3)]
    torch.testing.assert_close(multi_scale("l1_ssim", x, y, 3), sum(expected) / 3)
    torch.testing.assert_close(multi_scale("l1_ssim", x, y, 1), expected[0])


def test_coarse_scales_do_not_see_a_checkerboard():
    x = torch.full((1, 1, 32, 32), 0.5)
    sign = (-1.0) ** (torch.arange(32)[:, None] + torch.arange(32))
    assert float(multi_scale("mse", x + 0.1 * sign, x, 1)) == pytest.approx(0.01, rel=1e-4)
    assert float(multi_scale("mse", x + 0.1 * sign, x, 2)) == pytest.approx(0.005, rel=1e-4)


def test_the_spectrum_holds_the_energy_of_the_error():
    """Parseval: over the whole plane (columns that the half plane leaves out counted twice) it is Σ e²."""
    error = images(seed=0) - images(seed=1)
    power = torch.fft.rfft2(error, norm="ortho").abs().square()
    power[..., 1:-1] *= 2
    torch.testing.assert_close(power.sum(), error.square().sum(), rtol=1e-4, atol=0)


def test_spectral_loss_of_one_wave_by_hand():
    """0.3 cos(2π 5 x / 32) has two coefficients of 0.3 · 32 / 2, one of them in the half plane."""
    wave = 0.3 * torch.cos(2 * math.pi * 5 * torch.arange(32) / 32).expand(1, 1, 32, 32)
    assert float(spectral(wave, torch.zeros_like(wave))) == pytest.approx(0.3 * 32 / 2 / (32 * 17), rel=1e-4)


def test_blur_costs_more_in_the_spectrum_than_its_share_of_the_error():
    """Missing high frequencies are many small coefficients; an offset of the same energy is a single one."""
    sharp = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    blurred = smooth(sharp)
    offset = sharp + (blurred - sharp).square().mean().sqrt()
    assert float(mse(blurred, sharp)) == pytest.approx(float(mse(offset, sharp)), rel=1e-3)
    assert float(spectral(blurred, sharp)) > 10 * float(spectral(offset, sharp))


@pytest.mark.parametrize("loss", [l1_ssim, mse, spectral])
def test_gradients_are_finite_where_prediction_and_target_agree(loss):
    target = torch.zeros(1, 1, 16, 16)
    prediction = target.clone().requires_grad_()
    loss(prediction, target).backward()
    assert torch.isfinite(prediction.grad).all()


def form(features, change_N: np.ndarray) -> float:
    """Σ weight · ‖features(error)‖², mean over samples; the error is x − x̄ with `change_N` of itself removed."""
    total = 0.0
    for weight, feature in features:
        values = feature().reshape(len(change_N), -1).astype(np.float64)
        error = (values - values.mean(axis=0)) * (1 - change_N[:, None])
        total += weight * np.square(error).sum() / len(error)
    return total


def test_quadratic_mse_is_exact():
    x = images(40)
    error = multi_scale("mse", x.mean(dim=0).expand_as(x), x, 3)
    assert form(list(quadratic("mse", x.numpy(), 3)), np.zeros(40)) == pytest.approx(float(error), rel=1e-4)


@pytest.mark.parametrize("explained", [0.3, 0.6])
def test_quadratic_l1_and_ssim_fall_as_the_loss_does(explained):
    """From the mean image a step towards every sample: the approximation falls within a factor of two as much."""
    x = images(100)
    mean = x.mean(dim=0)
    features = list(quadratic("l1_ssim", x.numpy(), 3))
    predicted = form(features, np.zeros(100)) - form(features, np.full(100, explained))
    loss = [float(multi_scale("l1_ssim", mean + share * (x - mean), x, 3)) for share in (0.0, explained)]
    assert 0.5 < predicted / (loss[0] - loss[1]) < 2.0


def test_quadratic_l1_of_gaussian_pixels():
    """|e| falls from √(2/π) s by v / (√(2π) s) when v of the variance s² is explained, for small v."""
    x = torch.randn(20_000, 1, 8, 8, generator=torch.Generator().manual_seed(0)).numpy() * 0.2
    l1 = [feature for index, feature in enumerate(quadratic("l1_ssim", x, 1)) if index == 0]
    left = math.sqrt(0.9)  # of the error when a tenth of the variance is explained
    predicted = form(l1, np.zeros(len(x))) - form(l1, np.full(len(x), 1 - left))
    assert predicted == pytest.approx(0.1 * 0.2 / math.sqrt(2 * math.pi), rel=0.02)
    assert predicted == pytest.approx(math.sqrt(2 / math.pi) * 0.2 * (1 - left), rel=0.05)


def test_quadratic_spectral_of_gaussian_pixels():
    """White noise of standard deviation s has coefficients of mean modulus √π / 2 · s."""
    x = torch.randn(4000, 1, 16, 16, generator=torch.Generator().manual_seed(0)).numpy() * 0.2
    feature = [quadratic_spectral(x)]
    left = math.sqrt(0.9)
    predicted = form(feature, np.zeros(len(x))) - form(feature, np.full(len(x), 1 - left))
    loss = float(spectral(torch.from_numpy(x), torch.zeros(1, 1, 16, 16)))
    assert loss == pytest.approx(math.sqrt(math.pi) / 2 * 0.2, rel=0.02)
    assert predicted == pytest.approx(loss * (1 - left), rel=0.05)


def test_residual_std():
    x = np.zeros((4, 1, 2, 2), np.float32)
    x[:2, :, 0] = 1.0
    assert residual_std(x) == pytest.approx(math.sqrt(0.125))
