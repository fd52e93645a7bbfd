import numpy as np
import pytest

from trainables.data.background import NAN, OFFSET, without_background
from trainables.data.errors import DataError

RNG = np.random.default_rng(0)
BRAIN = np.zeros((10, 12, 8), bool)
BRAIN[2:8, 3:10, 1:7] = True
VALUES = np.where(BRAIN, RNG.uniform(100, 200, BRAIN.shape), 0).astype(np.float32)


def cleared(values: np.ndarray, step: float = 0.0) -> tuple[np.ndarray, str | None]:
    return without_background(values.astype(np.float32), step, "file")


def test_a_background_of_zeros_stays_as_it_is():
    values, fact = cleared(VALUES)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, VALUES)
    assert fact is None


@pytest.mark.parametrize("background", [-1024.0, -1.3, 5.0, 150.0])
def test_the_constant_of_the_border_becomes_zero(background: float):
    values, fact = cleared(np.where(BRAIN, VALUES, background))
    np.testing.assert_array_equal(values != 0, BRAIN)
    np.testing.assert_allclose(values[BRAIN], VALUES[BRAIN] - background, rtol=1e-4)
    assert fact == OFFSET


def test_brain_of_the_value_zero_beside_another_background():
    """In Hounsfield units water is 0 and air -1024."""
    water = VALUES.copy()
    water[5, 5, 5] = 0
    values, _ = cleared(np.where(BRAIN, water, -1024))
    assert values[5, 5, 5] == 1024


def test_a_brain_that_touches_the_border():
    touching = VALUES.copy()
    touching[2:8, 3:10, 0] = 150
    touching[0, 3:9, 2:7] = 150
    values, fact = cleared(np.where(touching == 0, 7, touching))
    np.testing.assert_array_equal(values != 0, touching != 0)
    assert fact == OFFSET


def test_noise_that_resampling_leaves():
    values, fact = cleared(np.where(BRAIN, VALUES, RNG.normal(0, 1e-6, BRAIN.shape)))
    np.testing.assert_array_equal(values != 0, BRAIN)
    assert fact == OFFSET


@pytest.mark.parametrize(("step", "expected"), [(0.0, False), (0.5, True)])
def test_one_step_of_quantisation_is_no_difference(step: float, expected: bool):
    background = RNG.choice([0.0, 0.5], BRAIN.shape)
    values, _ = cleared(np.where(BRAIN, VALUES, background), step)
    assert np.array_equal(values != 0, BRAIN) == expected


def test_nan_outside_is_background():
    values, fact = cleared(np.where(BRAIN, VALUES, np.nan))
    np.testing.assert_array_equal(values, VALUES)
    assert fact == NAN
    half = np.where(BRAIN, VALUES, 0)
    half[0] = np.nan
    np.testing.assert_array_equal(cleared(half)[0], VALUES)


def test_a_border_that_says_nothing():
    noise = RNG.uniform(1, 2, BRAIN.shape)
    noise[5, 5, 5] = 0
    values, fact = cleared(noise)
    np.testing.assert_array_equal(values, noise.astype(np.float32))
    assert fact is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda values: values.__setitem__((5, 5, 5), np.nan), "holds values that are NaN or infinite"),
        (lambda values: values.__setitem__((0, 0, 0), np.inf), "holds values that are NaN or infinite"),
        (lambda values: values.fill(np.nan), "is NaN everywhere"),
        (lambda values: values.fill(0), "is 0 everywhere"),
        (lambda values: values.fill(-3), "is -3 everywhere"),
    ],
)
def test_useless_values_are_refused(change, problem: str):
    values = VALUES.copy()
    change(values)
    with pytest.raises(DataError, match=problem):
        cleared(values)
