"""The cross-validated spectrum against data of known covariance and a direct computation."""

import numpy as np
import pytest

from trainables.spectrum import FOLDS, cross_validated


def gram(x: np.ndarray) -> np.ndarray:
    return x @ x.T


def test_noise_is_noise_however_few_its_samples():
    """In-sample eigenvalues of 64 samples in 4000 dimensions are about (√4000 + √64)² / 64 = 79 of variance 1."""
    x = np.random.default_rng(0).standard_normal((64, 4000))
    assert np.linalg.svd(x - x.mean(axis=0))[1][0] ** 2 / 64 > 60
    eigenvalues, total = cross_validated(gram(x), 4000, 500)
    assert eigenvalues.max() < 2.5
    assert eigenvalues.mean() == pytest.approx(1.0, abs=0.02)
    assert total == pytest.approx(4000, rel=0.02)


@pytest.mark.parametrize("samples", [64, 256])
def test_planted_directions_are_found_with_their_variances(samples):
    rng = np.random.default_rng(1)
    planted = np.array([400.0, 200.0, 100.0])
    directions = np.linalg.qr(rng.standard_normal((500, 3)))[0]
    x = (rng.standard_normal((samples, 3)) * np.sqrt(planted)) @ directions.T + 0.5 * rng.standard_normal(
        (samples, 500)
    )
    eigenvalues, _ = cross_validated(gram(x), 500, 10)
    assert eigenvalues[:3] == pytest.approx(planted, rel=5 / np.sqrt(samples))
    assert eigenvalues[3:] == pytest.approx(np.full(7, 0.25), abs=0.25)


def test_the_scalar_products_are_enough():
    """The same folds, directions and variances computed in the space of the data."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((21, 6)) * np.array([100.0, 30.0, 9.0, 3.0, 1.0, 0.3]) + 1000.0
    directly = np.zeros(6)
    for measured in np.array_split(np.random.default_rng(0).permutation(21), FOLDS):
        others = np.delete(x, measured, axis=0)
        axes = np.linalg.svd(others - others.mean(axis=0), full_matrices=False)[2]
        scores = (x[measured] - others.mean(axis=0)) @ axes.T
        directly += np.square(scores).sum(axis=0) * len(others) / (len(others) + 1) / 21
    eigenvalues, total = cross_validated(gram(x), 6, 6)
    assert eigenvalues == pytest.approx(directly, rel=1e-6)
    assert total == pytest.approx(np.var(x, axis=0, ddof=1).sum(), rel=1e-6)


def test_the_variance_is_unbiased_where_the_directions_are_known():
    """One direction and nothing else: over many data sets the mean of λ₁ is the true variance."""
    found = []
    for seed in range(400):
        factor = np.random.default_rng(seed).standard_normal((8, 1)) * 2.0
        found.append(cross_validated(gram(factor @ np.ones((1, 4)) / 2.0), 4, 1).eigenvalues[0])
    assert np.mean(found) == pytest.approx(4.0, rel=0.08)


def test_the_origin_does_not_matter():
    x = np.random.default_rng(3).standard_normal((40, 12))
    here, there = (cross_validated(gram(x + shift), 12, 8).eigenvalues for shift in (0.0, 30.0))
    assert here == pytest.approx(there, rel=1e-6)


def test_data_of_few_dimensions_have_no_further_eigenvalues():
    x = np.random.default_rng(4).standard_normal((40, 3))
    eigenvalues, _ = cross_validated(gram(x), 3, 10)
    assert (eigenvalues[:3] > 0.5).all()
    assert (eigenvalues[3:] == 0).all()
    assert (cross_validated(np.zeros((8, 8)), 5, 4).eigenvalues == 0).all()


def test_four_samples_are_needed():
    with pytest.raises(ValueError, match="3 samples: expected at least 4"):
        cross_validated(np.eye(3), 3, 2)
