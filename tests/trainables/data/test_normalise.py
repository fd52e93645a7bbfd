import numpy as np
import pytest

from trainables.data import blocks
from trainables.data.normalise import grid_statistics, std_floor, to_fixed_space


@pytest.fixture
def x_scaled(x_NRCD: np.ndarray) -> np.ndarray:
    """Channels with variances from 100 to 0.001 and means other than zero."""
    return (x_NRCD * [10.0, 1.0, 0.1, 0.03] + [100.0, -3.0, 0.5, 0.0]).astype(np.float32)


def test_every_channel_of_every_sample_has_mean_0_and_std_1(x_scaled: np.ndarray):
    fixed = to_fixed_space(x_scaled, std_floor(x_scaled))
    assert fixed.dtype == np.float32
    np.testing.assert_allclose(fixed.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(fixed.std(axis=(1, 2)), 1, rtol=1e-5)


def test_closed_form():
    x = np.array([1.0, 2.0, 3.0, 6.0], np.float32).reshape(1, 2, 2, 1)
    expected = np.array([-2.0, -1.0, 0.0, 3.0]) / np.sqrt(14 / 4)
    np.testing.assert_allclose(to_fixed_space(x, 1e-3).ravel(), expected, rtol=1e-6)
    np.testing.assert_allclose(to_fixed_space(x, 10.0).ravel(), [-0.2, -0.1, 0.0, 0.3], rtol=1e-6)
    assert std_floor(x) == pytest.approx(1e-3 * np.sqrt(14 / 4))


def test_unaffected_by_scale_and_shift_of_a_channel(x_NRCD: np.ndarray, x_scaled: np.ndarray):
    a, b = to_fixed_space(x_NRCD, 0.0), to_fixed_space(x_scaled, 0.0)
    np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6 + 0.1])
def test_a_constant_channel_is_exactly_zero(x_NRCD: np.ndarray, value: float, dtype: type):
    x = x_NRCD.astype(dtype)
    x[..., 2] = value
    fixed = to_fixed_space(x, std_floor(x))
    assert (fixed[..., 2] == 0).all()
    assert (fixed[..., 1] != 0).all()


def test_a_nearly_constant_channel_does_not_blow_up(x_NRCD: np.ndarray):
    x_NRCD[..., 2] = 3.0 + 1e-6 * x_NRCD[..., 2]
    floor = std_floor(x_NRCD)
    assert np.abs(to_fixed_space(x_NRCD, floor)[..., 2]).max() < 0.01
    assert np.abs(to_fixed_space(x_NRCD, 0.0)[..., 2]).max() > 1


def test_floor_ignores_what_is_constant(x_NRCD: np.ndarray):
    with_constants = np.concatenate([x_NRCD, np.full_like(x_NRCD, 0.1), np.full_like(x_NRCD, 0.0)], axis=-1)
    assert std_floor(with_constants) == std_floor(x_NRCD)


def test_nothing_to_normalise_is_an_error(x_NRCD: np.ndarray):
    with pytest.raises(ValueError, match="constant over its grid"):
        std_floor(np.ones_like(x_NRCD))


def test_statistics_are_those_of_the_training_samples(x_scaled: np.ndarray):
    train = np.array([7, 1, 4, 10, 0])
    x = x_scaled[train].astype(np.float64)
    statistics = grid_statistics(x_scaled, train)
    assert {name: value.shape for name, value in statistics.items()} == {
        "std_floor": (),
        "channel_mean": (4,),
        "channel_std": (4,),
    }
    assert {value.dtype for value in statistics.values()} == {np.dtype(np.float32)}
    assert statistics["std_floor"] == pytest.approx(1e-3 * np.median(x.std(axis=(1, 2))))
    np.testing.assert_allclose(statistics["channel_mean"], x.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(statistics["channel_std"], x.std(axis=(0, 1, 2)), rtol=1e-6)


def test_statistics_of_a_small_spread_on_a_large_mean():
    x = np.random.default_rng(0).normal(1000.0, 0.01, (50, 4, 4, 3)).astype(np.float32)
    expected = x.astype(np.float64).std(axis=(0, 1, 2))
    np.testing.assert_allclose(grid_statistics(x, np.arange(50))["channel_std"], expected, rtol=1e-6)


def test_blocks_do_not_change_the_result(x_scaled: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    train = np.array([7, 1, 4, 10, 0])
    whole, fixed = grid_statistics(x_scaled, train), to_fixed_space(x_scaled, 0.01)
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", 2 * x_scaled[0].size)
    for name, value in grid_statistics(x_scaled, train).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(to_fixed_space(x_scaled, 0.01), fixed)
    assert std_floor(x_scaled) == pytest.approx(1e-3 * np.median(x_scaled.std(axis=(1, 2), dtype=np.float64)))
