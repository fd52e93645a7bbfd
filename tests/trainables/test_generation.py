"""Generation gap and checkerboard: enumerated, planted, and ordered as they must be."""

import math

import pytest
import torch

from trainables.generation import checkerboard, diversity, generation_gap, kernel_distance, random_features
from trainables.losses.images import smooth

FEATURES = 4 * 2 * 32 + 16 * 32


def images(count=64, side=64, seed=0) -> torch.Tensor:
    """One bright disc of random place and size on a dark, noisy ground."""
    generator = torch.Generator().manual_seed(seed)
    centre = 0.3 + 0.4 * torch.rand(count, 2, 1, 1, generator=generator)
    radius = 0.1 + 0.15 * torch.rand(count, 1, 1, generator=generator)
    position = (torch.arange(side) + 0.5) / side
    distance = ((position[:, None] - centre[:, 0]) ** 2 + (position - centre[:, 1]) ** 2).sqrt()
    disc = torch.sigmoid((radius - distance) * side)[:, None]
    return (0.8 * disc + 0.02 * torch.randn(disc.shape, generator=generator)).clamp(0, 1)


def test_kernel_distance_by_enumeration():
    first, second = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind()
    second = second + 0.5

    def kernel(x, y) -> float:
        return (float(x.double() @ y.double()) / 3 + 1) ** 3

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(kernel(first[i], first[j]) + kernel(second[i], second[j]) for i, j in pairs if i != j) / 20
    across = sum(kernel(first[i], second[j]) for i, j in pairs) / 25
    assert kernel_distance(first, second) == pytest.approx(within - 2 * across, rel=1e-9)


def test_kernel_distance_is_unbiased():
    """Over many draws of the same distribution its mean is 0: some are negative."""
    draws = torch.randn(400, 2, 8, 4, generator=torch.Generator().manual_seed(0))
    distances = torch.tensor([kernel_distance(*pair) for pair in draws])
    assert abs(float(distances.mean())) < 3 * float(distances.std()) / math.sqrt(400)
    assert (distances < 0).any()


def test_features_are_fixed_and_for_any_side():
    x = images(3)
    assert torch.equal(random_features(x), random_features(x))
    assert random_features(x).shape == random_features(images(3, side=32)).shape == (3, FEATURES)
    assert random_features(x.expand(-1, 3, -1, -1)).shape == (3, FEATURES)
    assert not random_features(torch.full((1, 1, 32, 32), 0.7)).abs().max() > 1e-5  # no edges, no features


def test_the_gap_orders_what_the_eye_orders():
    """Others of the same kind < superpositions (ghosts) < one and the same image < noise; and blur is seen."""
    real, other = images(seed=0), images(seed=1)
    ghosts = 0.5 * (other + other.roll(1, 0))
    gaps = [
        generation_gap(real, x) for x in (other, ghosts, real.mean(dim=0).expand_as(real), torch.rand(real.shape))
    ]
    assert gaps == sorted(gaps)
    assert abs(gaps[0]) < 0.1 * gaps[1]
    blurred, more = smooth(other), smooth(smooth(other))
    assert abs(gaps[0]) < generation_gap(real, blurred) < generation_gap(real, more)


def test_the_gap_of_broken_images_is_not_a_number():
    real = images(8)
    assert math.isnan(generation_gap(real, torch.full_like(real, math.nan)))


@pytest.mark.parametrize(
    ("row", "column"), [(0, 1 / 2), (1 / 2, 0), (1 / 2, 1 / 2), (0, 1 / 4), (1 / 4, 1 / 4), (1 / 4, 1 / 2)]
)
def test_a_planted_grid_is_measured(row, column):
    """Power at one of 15 frequencies (two where the wave has a conjugate) beyond the neighbours', by hand."""
    generator = torch.Generator().manual_seed(0)
    side, amplitude, noise = 64, 0.3, 0.1
    clean = noise * torch.randn(400, 1, side, side, generator=generator)
    position = torch.arange(side)
    wave = amplitude * torch.cos(2 * math.pi * (row * position[:, None] + column * position))
    window = torch.hann_window(side)
    norm = window.square().sum() ** 2  # of the window's square, in two dimensions
    conjugate = any(f not in (0, 1 / 2) for f in (row, column))
    power = (amplitude * window.sum() ** 2) ** 2 * (0.25 if conjugate else 1.0)
    expected = float(power / (noise**2 * norm)) * (2 if conjugate else 1) / 15
    found = checkerboard(clean + wave, clean)
    assert found == pytest.approx(expected, rel=0.15)
    assert abs(checkerboard(clean, clean)) < 0.1


def test_a_grid_counts_by_what_real_images_have_there():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(100, 1, 32, 32, generator=generator)
    wave = 0.05 * (-1.0) ** torch.arange(32)
    fine, smooth_images = noise, smooth(noise)
    assert checkerboard(smooth_images + wave, smooth_images) > 10 * checkerboard(fine + wave, fine)


def test_a_wave_between_the_grid_frequencies_is_no_grid():
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(200, 1, 64, 64, generator=generator)
    wave = torch.cos(2 * math.pi * 10 / 64 * torch.arange(64))
    assert abs(checkerboard(clean + wave, clean)) < 0.2


def test_diversity_is_that_of_the_real_images_in_their_own_units():
    real = images(16)
    mean = real.mean(dim=0)
    assert diversity(real, real) == pytest.approx(1.0)
    assert diversity(mean + 0.3 * (real - mean), real) == pytest.approx(0.3, rel=1e-4)
    assert diversity(real[:1].expand(16, -1, -1, -1), real) == 0.0
    assert diversity(images(16, seed=1), real) == pytest.approx(1.0, abs=0.15)


def test_diversity_by_enumeration():
    real, generated = torch.rand(2, 5, 1, 4, 4, generator=torch.Generator().manual_seed(0)).unbind()
    generated = generated**2

    def mean_distance(x) -> float:
        pairs = [(i, j) for i in range(5) for j in range(i)]
        return sum(math.dist(x[i].flatten().tolist(), x[j].flatten().tolist()) for i, j in pairs) / len(pairs)

    assert diversity(generated, real) == pytest.approx(mean_distance(generated) / mean_distance(real), rel=1e-5)


def test_diversity_of_equal_real_images_is_unknown():
    same = torch.full((4, 1, 8, 8), 0.5)
    assert math.isnan(diversity(same, same))
    assert math.isnan(diversity(images(4, side=8), same))
