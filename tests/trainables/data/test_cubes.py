import numpy as np
import pytest

from trainables.data.cubes import Box, brain_box, cube_steps, standardised, to_cube, union
from trainables.data.errors import DataError

RNG = np.random.default_rng(0)


def ball(shape: tuple[int, int, int], spacing: tuple[float, float, float], radius: float) -> np.ndarray:
    """How far each voxel of a volume lies inside a ball in its middle, in millimetres; 0 outside."""
    axes = [(np.arange(length) - (length - 1) / 2) * step for length, step in zip(shape, spacing, strict=True)]
    distance = np.sqrt(np.square(np.stack(np.meshgrid(*axes, indexing="ij"))).sum(axis=0))
    return np.maximum(radius - distance, 0).astype(np.float32)


def test_box_of_the_brain():
    brain = np.zeros((5, 6, 7), bool)
    brain[1, 2:5, 6] = brain[3, 3, 4] = True
    box = brain_box(brain)
    assert (box.first.tolist(), box.last.tolist()) == ([1, 2, 4], [3, 4, 6])
    both = union([box, Box(np.array([2, 0, 5]), np.array([4, 1, 5]))])
    assert (both.first.tolist(), both.last.tolist()) == ([1, 0, 4], [4, 4, 6])


def test_a_cube_of_the_same_size_changes_nothing():
    values = RNG.uniform(1, 2, (6, 6, 6)).astype(np.float32)
    start, step = cube_steps(brain_box(values != 0), np.ones(3), 6)
    np.testing.assert_allclose(to_cube(values, start, step, 6), values, rtol=1e-6)


def test_the_brain_is_in_the_middle_and_fills_the_cube():
    values = np.zeros((20, 20, 20), np.float32)
    block = RNG.uniform(1, 2, (8, 4, 2)).astype(np.float32)
    values[3:11, 12:16, 5:7] = block
    start, step = cube_steps(brain_box(values != 0), np.ones(3), 8)
    cube = to_cube(values, start, step, 8)
    np.testing.assert_allclose(cube[:, 2:6, 3:5], block, rtol=1e-6)
    cube[:, 2:6, 3:5] = 0
    assert not cube.any()


def test_voxels_become_isotropic():
    values = ball((40, 20, 10), (1.0, 2.0, 4.0), 18.0)
    start, step = cube_steps(brain_box(values != 0), np.array([1.0, 2.0, 4.0]), 18)
    assert np.ptp(step * [1, 2, 4]) < 1e-12
    cube = to_cube(values, start, step, 18)
    millimetres = float(step[0])
    expected = ball((18, 18, 18), 3 * (millimetres,), 18.0)
    inside = expected > 3
    assert np.abs(cube - expected)[inside].max() < 1.5
    np.testing.assert_allclose(cube, cube[::-1, ::-1, ::-1], atol=1e-4)


def test_averaging_keeps_the_mean_and_removes_what_a_larger_voxel_cannot_hold():
    stripes = 5.0 + np.indices((48, 48, 48)).sum(axis=0).astype(np.float32) % 2
    start, step = cube_steps(brain_box(stripes != 0), np.ones(3), 12)
    np.testing.assert_allclose(to_cube(stripes, start, step, 12), 5.5, atol=0.02)


def test_the_surface_does_not_darken():
    values = (ball((40, 40, 40), (1, 1, 1), 17.0) > 0) * np.float32(100)
    start, step = cube_steps(brain_box(values != 0), np.ones(3), 9)
    cube = to_cube(values, start, step, 9)
    np.testing.assert_allclose(cube[cube != 0], 100, rtol=1e-5)
    volume = (cube != 0).sum() * step[0] ** 3
    assert volume == pytest.approx(4 / 3 * np.pi * 17**3, rel=0.1)


def test_only_the_cube_counts():
    """What lies far outside of it makes no difference."""
    values = RNG.uniform(1, 2, (30, 30, 30)).astype(np.float32)
    box = Box(np.array([10, 10, 10]), np.array([17, 17, 17]))
    start, step = cube_steps(box, np.ones(3), 4)
    expected = to_cube(values, start, step, 4)
    values[:3] = values[:, 27:] = 1000
    np.testing.assert_allclose(to_cube(values, start, step, 4), expected, rtol=1e-6)


def test_standardised_over_the_brain():
    values = np.zeros((4, 4, 4), np.float32)
    values[1:3] = RNG.normal(1e4, 3, (2, 4, 4))
    result = standardised(values, "x")
    assert result.dtype == np.float32
    np.testing.assert_allclose([result[1:3].mean(), result[1:3].std()], [0, 1], atol=1e-5)
    assert not result[[0, 3]].any()


@pytest.mark.parametrize("value", [0, 7])
def test_one_value_is_refused(value: float):
    with pytest.raises(DataError, match="holds a single value where it is not 0"):
        standardised(np.full((3, 3, 3), value, np.float32), "x")
