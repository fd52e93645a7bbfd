import hashlib

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier, RidgeCV
from sklearn.preprocessing import PolynomialFeatures

from trainables.data.embedded import FACTORS, embedded_factors, embedded_grids
from trainables.data.normalise import std_floor, to_fixed_space
from trainables.data.samples import Samples
from trainables.data.splitting import split


@pytest.fixture(scope="module")
def samples() -> Samples:
    return embedded_grids()


@pytest.fixture(scope="module")
def fixed(samples: Samples) -> np.ndarray:
    return to_fixed_space(samples.x, std_floor(samples.x))


@pytest.fixture(scope="module")
def components(fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of the training samples, (64, F), and the centred samples, (N, F)."""
    flat = fixed.reshape(len(fixed), -1)
    train = split(len(flat)).train
    centred = flat - flat[train].mean(axis=0)
    return np.linalg.svd(centred[train], full_matrices=False)[2][:64], centred


def test_shape_and_labels(samples: Samples):
    assert samples.x.shape == (512, 6, 6, 512)
    assert samples.x.dtype == np.float32
    assert samples.embedded
    counts = np.unique(samples.labels, return_counts=True)[1]
    assert len(counts) == 4
    assert counts.min() > 90


def test_channel_variances_are_log_spaced_from_100_to_0_001(samples: Samples):
    variance = samples.x.var(axis=(0, 1, 2), dtype=np.float64)
    np.testing.assert_allclose(np.sort(variance)[::-1], np.geomspace(100, 0.001, 512), rtol=1e-3)
    mean = samples.x.mean(axis=(0, 1, 2), dtype=np.float64)
    assert np.median(np.abs(mean) / np.sqrt(variance)) > 1


def test_the_same_every_time(samples: Samples):
    again = embedded_grids()
    assert hashlib.sha256(again.x.data).digest() == hashlib.sha256(samples.x.data).digest()
    assert not np.array_equal(embedded_grids(seed=1).x[0], samples.x[0])


def test_held_out_variance_is_explained_but_not_by_few_components(components: tuple[np.ndarray, np.ndarray]):
    axes, centred = components
    held_out = centred[split(len(centred)).val]
    explained = {count: _explained(held_out, axes[:count]) for count in (1, 4, 64)}
    assert explained[1] < 0.2
    assert explained[4] < 0.4
    assert 0.55 < explained[64] < 0.7


def test_factors_can_be_recovered_from_held_out_samples(components: tuple[np.ndarray, np.ndarray]):
    axes, centred = components
    codes = centred @ axes[:14].T
    features = PolynomialFeatures(2).fit_transform(codes / codes.std(axis=0))
    factors = embedded_factors()
    train, val, _ = split(len(factors))
    scores = {}
    for name, factor in zip(FACTORS, factors.T, strict=True):
        scores[name] = (
            RidgeCV(np.logspace(-2, 3, 11)).fit(features[train], factor[train]).score(features[val], factor[val])
        )
    assert min(scores.values()) > 0.4, scores
    assert min(score for name, score in scores.items() if "height" in name) > 0.6, scores


def test_label_is_the_signs_of_the_waves(samples: Samples):
    factors = embedded_factors()
    for label, first, second in zip(samples.labels, factors[:, 6], factors[:, 9], strict=True):
        assert label == f"waves {'+' if first > 0 else '−'} {'+' if second > 0 else '−'}"


def test_a_node_tells_its_position(fixed: np.ndarray):
    train, val, _ = split(len(fixed))
    position = np.arange(36)
    known, asked = fixed[train[:100]].reshape(-1, 512), fixed[val].reshape(-1, 512)
    model = RidgeClassifier(alpha=100).fit(known, np.tile(position, 100))
    accuracy = model.score(asked, np.tile(position, len(val)))
    assert 6 / 36 < accuracy < 0.5


def _explained(x: np.ndarray, axes: np.ndarray) -> float:
    return 1 - np.square(x - x @ axes.T @ axes).sum() / np.square(x).sum()
