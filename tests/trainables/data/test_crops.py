import numpy as np
import pytest

from trainables.data.crops import PADDING, robust_scaled, to_sample

RNG = np.random.default_rng(0)


def test_a_crop_is_surrounded_by_its_reflections():
    crop = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint16)
    sample = to_sample(crop, np.ones((2, 3), bool), 6)
    expected = np.array(
        [
            [2, 1, 2, 3, 2, 1],
            [5, 4, 5, 6, 5, 4],
            [2, 1, 2, 3, 2, 1],
            [5, 4, 5, 6, 5, 4],
            [2, 1, 2, 3, 2, 1],
            [5, 4, 5, 6, 5, 4],
        ]
    )
    np.testing.assert_array_equal(sample[0], expected)
    mask = np.full((6, 6), PADDING)
    mask[2:4, 1:4] = 1
    np.testing.assert_array_equal(sample[1], mask)
    assert sample.dtype == np.float32


@pytest.mark.parametrize("shape", [(2, 2), (2, 32), (31, 3), (32, 32), (1, 5)])
def test_any_small_size_keeps_its_values_and_place(shape: tuple[int, int]):
    crop = RNG.integers(0, 65536, (3, *shape)).astype(np.uint16)
    mask = RNG.random(shape) < 0.5
    sample = to_sample(crop, mask, 32)
    top, left = (32 - shape[0]) // 2, (32 - shape[1]) // 2
    inside = (slice(top, top + shape[0]), slice(left, left + shape[1]))
    np.testing.assert_array_equal(sample[:3, *inside], crop)
    np.testing.assert_array_equal(sample[3][inside], mask)
    assert (sample[3] > 0).sum() == mask.sum()
    assert (sample[3] == PADDING).sum() == 32 * 32 - mask.size
    assert np.isin(sample[:3], crop).all()


def test_larger_crops_are_shrunk_by_area_in_their_proportions():
    crop = np.repeat(np.repeat(RNG.integers(0, 1000, (1, 8, 16)), 4, axis=1), 4, axis=2)
    mask = np.zeros((32, 64), bool)
    mask[:16] = True
    sample = to_sample(crop, mask, 16)
    assert sample[1, 4:8].all()
    assert (sample[1] > 0).sum() == 4 * 16
    assert abs(sample[0, 4:12].mean() - crop.mean()) < 0.05 * crop.mean()
    assert crop.min() <= sample[0].min() <= sample[0].max() <= crop.max()


def test_a_checkerboard_of_pixels_shrinks_to_grey():
    crop = (np.indices((64, 64)).sum(axis=0) % 2 * 100)[None]
    sample = to_sample(crop, np.ones((64, 64), bool), 16)
    np.testing.assert_allclose(sample[0], 50, atol=2)


def test_the_fixed_space_has_the_percentiles_of_the_content_at_0_and_1():
    sample = np.full((3, 16, 16), 9e9, np.float32)
    sample[2] = 0
    sample[2, 2:12, 3:13] = 1
    values = RNG.permutation(101.0 * np.arange(100)).reshape(10, 10)
    sample[0, 2:12, 3:13], sample[1, 2:12, 3:13] = values, 5 - values / 1000
    scaled = robust_scaled(sample)
    expected = (values / 101 - 4.95) / 89.1
    np.testing.assert_allclose(scaled[0, 2:12, 3:13], expected, atol=1e-6)
    np.testing.assert_allclose(scaled[1, 2:12, 3:13], 1 - expected, atol=1e-5)
    assert (scaled[:, 0, 0] == 2).all()


def test_a_constant_crop_is_zero_and_outliers_are_clipped():
    sample = np.ones((2, 8, 8), np.float32)
    sample[0] = 700
    assert not robust_scaled(sample).any()
    sample[0, 0, 0], sample[0, 0, 1] = 701, 699
    scaled = robust_scaled(sample)
    assert (scaled[0, 0, 0], scaled[0, 0, 1]) == (2, -1)
    sample[0] = 0
    sample[0, :4] = 1e-3  # above the floor of 1e-6
    assert set(np.unique(robust_scaled(sample))) == {0.0, 1.0}
