import numpy as np
from sklearn.datasets import load_digits

from trainables.data.grids import read_grids


def test_patches_are_the_pixels():
    digits = load_digits()
    samples = read_grids("digits")
    assert samples.x.shape == (1797, 4, 4, 4)
    assert samples.labels == [str(label) for label in digits.target]
    assert samples.source == "digits"
    for row, col, i, j in np.ndindex(4, 4, 2, 2):
        pixels = digits.images[:, 2 * row + i, 2 * col + j]
        np.testing.assert_array_equal(samples.x[:, row, col, 2 * i + j], pixels)
