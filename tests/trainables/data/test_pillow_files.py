from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from trainables.data.image_files import read_pixels
from trainables.data.pixels import EXTRA

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)


def image(path: Path) -> np.ndarray:
    """(H, W), or (H, W, C) of several channels."""
    values_CHW = read_pixels(path).values_CHW
    return values_CHW[0] if len(values_CHW) == 1 else values_CHW.transpose(1, 2, 0)


def test_sixteen_bit_colour_png_is_not_cut_to_eight(tmp_path: Path):
    values = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], axis=2)
    (tmp_path / "image.png").write_bytes(imagecodecs.png_encode(values))
    np.testing.assert_array_equal(image(tmp_path / "image.png"), values)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", GREY > 127), ("LA", GREY), ("P", None), ("RGBA", COLOUR)],
    ids=["bilevel", "grey and alpha", "palette", "colour and alpha"],
)
def test_modes_become_grey_or_colour(tmp_path: Path, mode: str, expected: np.ndarray | None):
    stored = Image.fromarray(COLOUR if mode in ("P", "RGBA") else GREY)
    if mode == "1":
        stored = Image.fromarray(expected)
        expected = np.uint8(255) * expected
    stored = stored.convert(mode)
    stored.save(tmp_path / "image.png")
    expected = np.asarray(stored.convert("RGB")) if expected is None else expected
    np.testing.assert_array_equal(image(tmp_path / "image.png"), expected)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_alpha_is_left_out_and_told_where_it_varies(tmp_path: Path, depth: type, channels: int):
    values = RNG.integers(0, np.iinfo(depth).max, (5, 7, channels), depth, endpoint=True)
    for alpha, told in ((values[..., :1], True), (np.full((5, 7, 1), np.iinfo(depth).max, depth), False)):
        (tmp_path / "image.png").write_bytes(imagecodecs.png_encode(np.dstack([values, alpha])))
        np.testing.assert_array_equal(image(tmp_path / "image.png"), values.squeeze())
        pixels = read_pixels(tmp_path / "image.png")
        assert (pixels.extra, pixels.colour) == (told, channels == 3)
        assert (EXTRA in pixels.facts()) == told


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_colours_become_red_green_and_blue(tmp_path: Path, mode: str):
    stored = Image.fromarray(COLOUR).convert(mode)
    stored.save(tmp_path / "image.jpg", quality=95)
    np.testing.assert_array_equal(image(tmp_path / "image.jpg"), Image.open(tmp_path / "image.jpg").convert("RGB"))
    assert read_pixels(tmp_path / "image.jpg").colour


def test_photographs_are_turned_as_the_camera_was_held(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    Image.fromarray(COLOUR).save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(image(tmp_path / "image.png"), np.rot90(COLOUR, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colour_is_turned_too(tmp_path: Path, orientation: int):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(COLOUR).save(tmp_path / "flat.png", exif=exif)
    chunk = next(chunk for chunk in _chunks((tmp_path / "flat.png").read_bytes()) if chunk[4:8] == b"eXIf")
    start, *others = _chunks(imagecodecs.png_encode(COLOUR * np.uint16(257)))
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join([start, chunk, *others]))
    np.testing.assert_array_equal(image(tmp_path / "deep.png"), image(tmp_path / "flat.png") * np.uint16(257))
    assert image(tmp_path / "deep.png").shape == ((7, 5, 3) if orientation > 4 else (5, 7, 3))


def _chunks(png: bytes) -> Iterator[bytes]:
    start = 8
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4])
        yield png[start:end]
        start = end


def test_large_jpegs_are_decoded_at_a_fraction(tmp_path: Path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (384, 512))).save(tmp_path / "image.jpg", quality=95)
    assert image(tmp_path / "image.jpg").shape == (384, 512)
    small = read_pixels(tmp_path / "image.jpg", least=32).values_CHW[0]
    assert small.shape == (96, 128)
    np.testing.assert_allclose(small[0], ramp[2::4], atol=4)
