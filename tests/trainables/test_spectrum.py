"""The cross-validated spectrum against data of known covariance and a direct computation."""

import numpy as np
import pytest

from trainables.spectrum import SPLITS, cross_validated


def gram(x: np.ndarray) -> np.ndarray:
    return x @ x.T


def test_noise_is_noise_however_few_its_samples():
    """In-sample eigenvalues of 64 samples in 4000 dimensions are about (√4000 + √64)² / 64 = 79 of variance 1."""
    x = np.random.default_rng(0).standard_normal((64, 4000))
    assert np.linalg.svd(x - x.mean(axis=0))[1][0] ** 2 / 64 > 60
    eigenvalues, total = cross_validated(gram(x), 4000, 500)
    assert eigenvalues == pytest.approx(np.ones(500), abs=0.5)
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
    assert eigenvalues[3:] == pytest.approx(np.full(7, 0.25), abs=0.15)


def test_the_scalar_products_are_enough():
    """The same halves, directions and variances computed in the space of the data."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((21, 6)) * np.array([5.0, 3.0, 2.0, 1.0, 0.5, 0.2]) + 100.0
    directly = np.zeros(6)
    halves = np.random.default_rng(0)
    for _ in range(SPLITS):
        order = halves.permutation(21)
        one, two = x[order[:10]], x[order[10:]]
        for found, measured in ((one, two), (two, one)):
            axes = np.linalg.svd(found - found.mean(axis=0), full_matrices=False)[2]
            directly += np.var(measured @ axes.T, axis=0, ddof=1)[:6] / (2 * SPLITS)
    eigenvalues, total = cross_validated(gram(x), 6, 6)
    assert eigenvalues == pytest.approx(np.sort(directly)[::-1], rel=1e-6)
    assert total == pytest.approx(directly.sum(), rel=1e-6)


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


def test_halves_need_four_samples():
    with pytest.raises(ValueError, match="3 samples: expected at least 4"):
        cross_validated(np.eye(3), 3, 2)
