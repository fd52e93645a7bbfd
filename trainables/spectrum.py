"""The eigenvalues of the data's covariance as they would be found in new samples. Pure numpy and scipy.

Eigenvalues of a sample covariance measure the samples as well as the data: with few of them in many dimensions each
takes a direction for itself, and all variance lies in as many directions as there are samples. Here the directions
come from four fifths of the samples and their variances from the last fifth, in turn (cross-validated PCA). Halves
would do where there are many samples; of few they find the directions too badly (22 brains: λ₁ of 288 by halves, 537
by fifths, 850 to 1020 of six further brains along the directions of all 22).

Shapes: N samples, F values of each; everything is computed from scalar products, never an F × F matrix.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

LEAST_SAMPLES = 4
FOLDS = 5
NO_VARIANCE = 1e-9  # of the largest eigenvalue


class Spectrum(NamedTuple):
    """The largest eigenvalues of a covariance, largest first, and the sum of all of them."""

    eigenvalues: np.ndarray
    total: float


def cross_validated(gram_NN: np.ndarray, dims: int, count: int) -> Spectrum:
    """The `count` largest eigenvalues of the covariance, or as many as the data have dimensions.

    As many as there are samples in four folds, less one, can be told apart; the others share the variance that is
    left evenly, over the `dims` dimensions of the data. That is exact for noise, and too even for a spectrum that
    still falls.

    Args:
        gram_NN: scalar products of the samples, about any origin.
        dims: F, or the dimension of the space in which the samples vary.

    Raises:
        ValueError: there are fewer than four samples.
    """
    samples = len(gram_NN)
    if samples < LEAST_SAMPLES:
        raise ValueError(f"{samples} samples: expected at least {LEAST_SAMPLES}")
    folds = np.array_split(np.random.default_rng(0).permutation(samples), min(FOLDS, samples))
    told = min(told_apart(samples), dims)
    variances = sum((_squared_scores(gram_NN, measured, told) for measured in folds), np.zeros(told)) / samples
    total = float(np.trace(gram_NN) - gram_NN.mean() * samples) / (samples - 1)
    rest = max(total - float(variances.sum()), 0.0) / (dims - told) if dims > told else 0.0
    found = np.concatenate([variances, np.full(min(max(count, told), dims) - told, rest)])
    falling = isotonic_regression(found, increasing=False).x  # neighbours out of order share their mean
    return Spectrum(falling[:count], total)


def told_apart(samples: int) -> int:
    """How many directions that many samples can tell apart: those without the largest fold, less one."""
    return samples - math.ceil(samples / min(FOLDS, samples)) - 1


def _squared_scores(gram_NN: np.ndarray, measured: np.ndarray, told: int) -> np.ndarray:
    """Squared scores of the samples `measured`, summed, along the first principal directions of all others.

    They are about the mean of the others, n of them, which makes them larger by 1 + 1 / n than about the true mean.
    """
    others = np.setdiff1d(np.arange(len(gram_NN)), measured)
    within, across = gram_NN[np.ix_(others, others)], gram_NN[np.ix_(measured, others)]
    mean = within.mean(axis=0)
    across = across - across.mean(axis=1, keepdims=True) - mean + mean.mean()
    within = within - mean - mean[:, None] + mean.mean()
    eigenvalues, vectors = (part[..., ::-1][..., :told] for part in np.linalg.eigh(within))
    real = eigenvalues > NO_VARIANCE * max(eigenvalues[0], np.finfo(float).tiny)
    scores = across @ vectors[:, real] / np.sqrt(eigenvalues[real])
    squares = np.square(scores).sum(axis=0) * len(others) / (len(others) + 1)
    return np.pad(squares, (0, told - int(real.sum())))
