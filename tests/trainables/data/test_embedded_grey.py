import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression, RidgeCV

from trainables.data import embedded_grey as embedded_grey_module
from trainables.data.embedded_grey import (
    COUNT,
    FACTORS,
    LEVELS,
    embedded_grey,
    embedded_grey_factors,
    embedded_grey_levels,
)
from trainables.data.samples import Samples
from trainables.data.splitting import split


@pytest.fixture(scope="module")
def samples() -> Samples:
    return embedded_grey(64)


@pytest.fixture(scope="module")
def codes(samples: Samples) -> np.ndarray:
    """The first 40 principal components of the training samples at half the resolution, (N, 40), of unit variance."""
    flat = samples.x.reshape(COUNT, 32, 2, 32, 2).mean(axis=(2, 4)).reshape(COUNT, -1) / 255
    train = split(COUNT).train
    flat -= flat[train].mean(axis=0)
    axes = np.linalg.svd(flat[train], full_matrices=False)[2][:40]
    projected = flat @ axes.T
    return projected / projected[train].std(axis=0)


def test_shape_and_labels(samples: Samples):
    assert samples.x.shape == (512, 1, 64, 64)
    assert samples.x.dtype == np.uint8
    assert samples.embedded
    assert samples.labels == [LEVELS[level] for level in embedded_grey_levels()]
    assert samples.labels.count("chest") == samples.labels.count("abdomen") == 256


def test_the_same_every_time_at_any_size_and_other_seeds_other_slices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded_grey_module, "COUNT", 6)
    x = embedded_grey(48).x
    assert x.shape == (6, 1, 48, 48)
    np.testing.assert_array_equal(embedded_grey(48).x, x)
    assert not np.array_equal(embedded_grey(48, seed=1).x[0], x[0])


def test_factors_lie_in_their_ranges():
    factors = embedded_grey_factors()
    low, high = np.transpose(list(FACTORS.values()))
    assert factors.shape == (512, len(FACTORS))
    assert (factors.min(axis=0) >= low).all()
    assert (factors.max(axis=0) <= high).all()
    np.testing.assert_allclose(factors.mean(axis=0), (low + high) / 2, atol=0.08 * (high - low).max())


def test_the_body_is_as_wide_high_and_placed_as_its_factors_say(samples: Samples):
    factors = dict(zip(FACTORS, embedded_grey_factors().T, strict=True))
    side = (np.arange(64) + 0.5) / 32 - 1
    body = gaussian_filter(samples.x[:, 0].astype(float), (0, 1, 1)) > 0.12 * 255
    measured = {
        "width": [np.ptp(side[image.any(axis=0)]) / 2 for image in body[:, 16:44]],
        "right": [side[image.any(axis=0)].mean() for image in body[:, 16:44]],
    }
    for name, values in measured.items():
        assert np.corrcoef(values, factors[name])[0, 1] > 0.7, name


def test_factors_and_level_can_be_told_from_held_out_slices(codes: np.ndarray):
    train, *held_out = split(COUNT)
    val = np.concatenate(held_out)
    levels, factors = embedded_grey_levels(), embedded_grey_factors()
    assert LogisticRegression(max_iter=1000).fit(codes[train], levels[train]).score(codes[val], levels[val]) == 1
    recovered = 0
    for factor in factors.T:
        score = RidgeCV(np.logspace(-2, 3, 11)).fit(codes[train], factor[train]).score(codes[val], factor[val])
        recovered += score > 0.4
    assert recovered >= 7


def test_blur_and_checkerboards_would_show(samples: Samples):
    x = samples.x[:, 0] / 255.0
    fine = x - gaussian_filter(x, (0, 1, 1))
    assert 0.05 < fine.var() / x.var() < 0.3  # what a blurred reconstruction loses
    spectrum = np.abs(np.fft.fft2(x, norm="ortho")).mean(axis=0)
    assert spectrum[32, 32] < 0.02 * spectrum[1, 1]  # there is no checkerboard in the data


def test_air_is_black_and_bone_is_white(samples: Samples):
    assert np.median(samples.x[:, 0, :3]) < 15
    assert np.percentile(samples.x, 99) > 200
    assert (samples.x == 255).mean() < 0.01
