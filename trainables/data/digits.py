"""Handwritten digits as grids of patches: small data on which a permutation-invariant VAE is known to work."""

from __future__ import annotations

from trainables.data.samples import Samples

PATCH = 2  # pixels


def read_digits() -> Samples:
    """The 1797 digits (8 × 8 pixels, 0 … 16) that ship with scikit-learn, (1797, 4, 4, 4); labels 0 … 9.

    Channel `2 i + j` of node (r, c) is pixel (2 r + i, 2 c + j).
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    count, height, width = digits.images.shape
    patches = digits.images.reshape(count, height // PATCH, PATCH, width // PATCH, PATCH).transpose(0, 1, 3, 2, 4)
    x = patches.reshape(count, height // PATCH, width // PATCH, PATCH * PATCH).astype("float32")
    return Samples(x, source="digits", labels=[str(label) for label in digits.target])
