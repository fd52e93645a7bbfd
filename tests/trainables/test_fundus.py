"""Colours and vessels against closed forms."""

import math

import pytest
import torch

from trainables.fundus import (
    colour_difference,
    darkness_of_lines,
    eroded,
    field_of_view,
    lab,
    vessel_correlation,
)
from trainables.losses.images import smooth

KNOWN = {  # sRGB → CIELAB (D65), as colorimetric tables have it
    (1.0, 1.0, 1.0): (100.0, 0.0, 0.0),
    (0.0, 0.0, 0.0): (0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0): (53.24, 80.09, 67.20),
    (0.0, 1.0, 0.0): (87.73, -86.18, 83.18),
    (0.0, 0.0, 1.0): (32.30, 79.19, -107.86),
    (0.5, 0.5, 0.5): (53.39, 0.0, 0.0),
}


def flat(*colour, side=8):
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, side, side).contiguous()


def line(side, width, depth=0.2, angle=0.0, level=0.6):
    """A dark line of Gaussian profile through the middle, (side, side)."""
    axis = torch.arange(side).double() - (side - 1) / 2
    across = axis[:, None] * math.cos(angle) + axis[None, :] * math.sin(angle)
    return level - depth * torch.exp(-across.square() / (2 * width**2))


def fundus(seed=0, side=96):
    """A round field of view, reddish, with dark lines at random angles, (1, 3, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    green = torch.full((side, side), 0.5, dtype=torch.float64)
    for _ in range(6):
        angle, shift = (torch.rand(2, generator=generator) * torch.tensor([math.pi, 20.0])).tolist()
        green = green + (line(side, 1.2, 0.15, angle, 0.0)).roll(int(shift), dims=1)
    axis = torch.arange(side) - (side - 1) / 2
    inside = (axis[:, None].square() + axis.square()).sqrt() < 0.48 * side
    return (torch.stack([0.8 * torch.ones_like(green), green, 0.4 * green]) * inside).float()[None]


@pytest.mark.parametrize(("colour", "expected"), KNOWN.items())
def test_lab_of_known_colours(colour, expected):
    assert lab(flat(*colour))[0, :, 0, 0].tolist() == pytest.approx(expected, abs=0.02)


def test_colour_difference_of_flat_images_is_the_distance_of_their_colours():
    found = colour_difference(flat(1.0, 0.0, 0.0), flat(0.0, 1.0, 0.0))
    expected = math.dist(KNOWN[1.0, 0.0, 0.0], KNOWN[0.0, 1.0, 0.0])
    assert found.tolist() == pytest.approx([expected], rel=1e-3)
    assert colour_difference(flat(0.3, 0.2, 0.1), flat(0.3, 0.2, 0.1)).tolist() == [0.0]


def test_colour_difference_is_of_the_field_of_view_alone():
    target = fundus()
    outside = 1 - field_of_view(target)[:, None]
    assert 0.1 < outside.mean() < 0.5
    assert colour_difference(target + outside, target).tolist() == [0.0]
    shifted = target * torch.tensor([1.0, 1.2, 1.0])[:, None, None]
    assert colour_difference(shifted, target).item() > 2.3
    black = torch.zeros(1, 3, 8, 8)
    assert colour_difference(black + 0.5, black).tolist() == [0.0]


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 4, math.pi / 2])
@pytest.mark.parametrize(("width", "scale"), [(2.0, 2.0), (2.0, 3.0), (3.0, 2.0)])
def test_the_response_to_a_dark_line_is_that_of_its_closed_form(width, scale, angle):
    image = line(65, width, angle=angle)
    found = darkness_of_lines(image[None], [scale])[0, 32, 32].item()
    assert found == pytest.approx(scale**2 * 0.2 * width / (width**2 + scale**2) ** 1.5, rel=0.03)


def test_bright_lines_and_slopes_are_no_dark_lines():
    axis = torch.linspace(0, 1, 65, dtype=torch.float64)
    assert darkness_of_lines(axis.expand(1, 65, 65), [2.0])[0, 10:-10, 10:-10].max() < 1e-4
    assert darkness_of_lines(1 - line(65, 2.0)[None], [2.0])[0, 32, 32] < 1e-6
    assert darkness_of_lines(torch.full((1, 65, 65), 0.7), [2.0]).max() < 1e-5


def test_vessels_correlate_with_themselves_whatever_the_brightness_and_less_the_more_they_are_blurred():
    target = fundus()
    assert vessel_correlation(target, target).item() == pytest.approx(1.0, abs=1e-5)
    assert vessel_correlation(0.7 * target + 0.1, target).item() == pytest.approx(1.0, abs=1e-3)
    once = smooth(target)
    twice = smooth(smooth(smooth(once)))
    found = [vessel_correlation(x, target).item() for x in (once, twice, flat(0.8, 0.5, 0.2, side=96))]
    assert 0.97 > found[0] > found[1] + 0.05
    assert found[2] == pytest.approx(0.0, abs=1e-6)


def test_the_vessels_of_another_eye_do_not_correlate():
    pairs = [vessel_correlation(fundus(seed), fundus(seed + 50)).item() for seed in range(8)]
    assert abs(sum(pairs) / len(pairs)) < 0.25


def test_the_border_of_the_field_of_view_does_not_count():
    target = fundus(1)
    outside = 1 - field_of_view(target)[:, None]
    assert vessel_correlation(target + 0.9 * outside, target).item() == pytest.approx(1.0, abs=1e-4)


def test_erosion_takes_what_is_near_the_outside():
    assert eroded(torch.ones(1, 9, 9), 3).min() == 1
    hole = torch.ones(1, 9, 9)
    hole[0, 4, 4] = 0
    assert eroded(hole, 1).sum() == 81 - 9
