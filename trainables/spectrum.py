"""The eigenvalues of the data's covariance as they would be found in new samples. Pure numpy.

Eigenvalues of a sample covariance measure the samples as well as the data: with few of them in many dimensions each
takes a direction for itself, and all variance lies in as many directions as there are samples. Here directions come
from one half of the samples and their variances from the other (cross-validated PCA; Stringer et al. 2019,
"High-dimensional geometry of population responses in visual cortex", without the repeats).

Shapes: N samples, F values of each; everything is computed from scalar products, never an F × F matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST_SAMPLES = 4  # two for directions, two for variances
SPLITS = 2  # random halvings, each used both ways
NO_VARIANCE = 1e-9  # of the largest eigenvalue


class Spectrum(NamedTuple):
    """The largest eigenvalues of a covariance, largest first, and the sum of all of them."""

    eigenvalues: np.ndarray
    total: float


def cross_validated(gram_NN: np.ndarray, dims: int, count: int) -> Spectrum:
    """The `count` largest eigenvalues of the covariance, 0 where the data have fewer dimensions.

    As many as half of the samples less one can be told apart; the others share the variance that is left evenly,
    over the `dims` dimensions of the data. That is exact for noise, and too even for a spectrum that still falls.

    Args:
        gram_NN: scalar products of the samples, about any origin.
        dims: F, or the dimension of the space in which the samples vary.

    Raises:
        ValueError: there are fewer than four samples.
    """
    samples = len(gram_NN)
    if samples < LEAST_SAMPLES:
        raise ValueError(f"{samples} samples: expected at least {LEAST_SAMPLES}, to be halved")
    told = min(samples // 2 - 1, dims)
    rng = np.random.default_rng(0)
    variances, total = np.zeros(told), 0.0
    for _ in range(SPLITS):
        order = rng.permutation(samples)
        halves = order[: samples // 2], order[samples // 2 :]
        for found, measured in (halves, halves[::-1]):
            variances += _variances(gram_NN, found, measured, told) / (2 * SPLITS)
            total += _variance(gram_NN, measured) / (2 * SPLITS)
    rest = max(total - float(variances.sum()), 0.0) / (dims - told) if dims > told else 0.0
    eigenvalues = np.sort(np.concatenate([variances, np.full(min(max(count, told), dims) - told, rest)]))[::-1]
    return Spectrum(np.pad(eigenvalues, (0, max(0, count - len(eigenvalues))))[:count], total)


def _variances(gram_NN: np.ndarray, found: np.ndarray, measured: np.ndarray, told: int) -> np.ndarray:
    """Unbiased variances of the samples `measured` along the first principal directions of those `found`."""
    within = _centred(gram_NN[np.ix_(found, found)])
    across = _centred(gram_NN[np.ix_(measured, found)])
    eigenvalues, vectors = (part[..., ::-1][..., :told] for part in np.linalg.eigh(within))
    real = eigenvalues > NO_VARIANCE * max(eigenvalues[0], np.finfo(float).tiny)
    scores = across @ vectors[:, real] / np.sqrt(eigenvalues[real])
    return np.pad(np.square(scores).sum(axis=0) / (len(measured) - 1), (0, told - int(real.sum())))


def _variance(gram_NN: np.ndarray, measured: np.ndarray) -> float:
    """The unbiased variance of these samples, summed over all dimensions."""
    return float(np.trace(_centred(gram_NN[np.ix_(measured, measured)]))) / (len(measured) - 1)


def _centred(products: np.ndarray) -> np.ndarray:
    """The scalar products of samples from which their own mean has been taken, rows and columns apart."""
    return products - products.mean(axis=0) - products.mean(axis=1, keepdims=True) + products.mean()
