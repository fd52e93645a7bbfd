from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainables.data.errors import DataError
from trainables.data.pixels import EXTRA, UNNAMED_COLOURS, Pixels, luminance, oriented, stretched, to_colour

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
STACK = RNG.integers(0, 65536, (5, 6, 7), np.uint16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_the_tag(orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(COLOUR)
    stored.getexif().update(exif)
    upright = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(oriented(COLOUR.transpose(2, 0, 1), orientation).transpose(1, 2, 0), upright)


def test_colour_is_three_channels(tmp_path: Path):
    assert to_colour(tmp_path, Pixels(GREY[None])) is None
    np.testing.assert_array_equal(to_colour(tmp_path, Pixels(STACK[:3])), STACK[:3])
    assert Pixels(STACK[:3]).facts() == [UNNAMED_COLOURS]
    assert Pixels(STACK[:3], colour=True, extra=True).facts() == [EXTRA]
    for count in (2, 4):
        with pytest.raises(DataError, match=f"holds {count} channels; expected one image, grey or"):
            to_colour(tmp_path, Pixels(STACK[:count]))


def test_luminance_is_that_of_television():
    values = np.zeros((3, 1, 4), np.uint8)
    values[0, 0, 0] = values[1, 0, 1] = values[2, 0, 2] = 255
    values[:, 0, 3] = 200
    np.testing.assert_array_equal(luminance(values), [[76, 150, 29, 200]])
    np.testing.assert_allclose(luminance(values.astype(np.uint16)), [[76.245, 149.685, 29.07, 200]], rtol=1e-6)


def test_stretching_maps_the_percentiles_to_black_and_white():
    values = np.arange(1001.0).reshape(7, 143)
    expected = np.clip((values - 5) / 990, 0, 1)
    np.testing.assert_allclose(stretched(values), expected, atol=1e-6)
    np.testing.assert_allclose(stretched(1000 * values - 7), expected, atol=1e-6)


def test_stretching_an_image_of_few_values():
    almost = np.zeros((100, 100))
    almost[3, 4] = 8
    assert stretched(almost)[3, 4] == 1
    assert stretched(almost).sum() == 1
    assert not stretched(np.full((3, 4), 7, np.uint16)).any()
    padded = np.concatenate([np.full(500, -2000.0), np.arange(501.0)])
    np.testing.assert_allclose(
        stretched(padded, padded[500:])[500:], np.clip((padded[500:] - 2.5) / 495, 0, 1), atol=1e-6
    )
