"""Handwritten digits as grids of patches: small data on which a permutation-invariant VAE is known to work."""

from __future__ import annotations

import numpy as np

from trainables.data.samples import Samples

PATCH = 2  # pixels


def read_digits() -> Samples:
    """The 1797 digits (8 × 8 pixels, 0 … 16) that ship with scikit-learn, (1797, 4, 4, 4); labels 0 … 9."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Samples(patches(digits.images), source="digits", labels=[str(label) for label in digits.target])


def patches(images_NHW: np.ndarray) -> np.ndarray:
    """Images of even sides as grids of patches, (N, H / 2, W / 2, 4) float32.

    Channel `2 i + j` of node (r, c) is pixel (2 r + i, 2 c + j).
    """
    count, height, width = images_NHW.shape
    split = images_NHW.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).transpose(0, 1, 3, 2, 4)
    return split.reshape(count, height // PATCH, width // PATCH, PATCH * PATCH).astype(np.float32)
