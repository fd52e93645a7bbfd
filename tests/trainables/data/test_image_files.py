from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from trainables.data.errors import DataError
from trainables.data.image_files import read_pixels, signature

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_pixels(path)
    (problem,) = error.value.problems
    return problem


def image(path: Path) -> np.ndarray:
    """(H, W), or (H, W, C) of several channels."""
    values_CHW = read_pixels(path).values_CHW
    return values_CHW[0] if len(values_CHW) == 1 else values_CHW.transpose(1, 2, 0)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("values", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats_return_what_was_written(tmp_path: Path, suffix: str, values: np.ndarray):
    Image.fromarray(values).save(tmp_path / f"image.{suffix}")
    np.testing.assert_array_equal(image(tmp_path / f"image.{suffix}"), values)
    pixels = read_pixels(tmp_path / f"image.{suffix}")
    assert (pixels.colour, pixels.white, pixels.extra) == (values.ndim == 3, 255, False)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path, suffix: str):
    Image.fromarray(DEEP).save(tmp_path / f"image.{suffix}")
    np.testing.assert_array_equal(image(tmp_path / f"image.{suffix}"), DEEP)


def test_the_format_is_told_by_content(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.png", DEEP)
    np.testing.assert_array_equal(image(tmp_path / "image.png"), DEEP)
    Image.fromarray(GREY).save(tmp_path / "image.tif", format="png")
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), GREY)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_files_cut_short(tmp_path: Path, suffix: str):
    path = tmp_path / f"image.{suffix}"
    values = RNG.integers(0, 256, (64, 64), np.uint8)
    if suffix == "tif":
        tifffile.imwrite(path, values)
    else:
        Image.fromarray(values).save(path)
    whole = path.read_bytes()
    for share in (0.05, 0.5, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        assert refused(path).startswith(("is damaged, cut short or not an image", "is not an image"))


def test_files_that_are_no_images(tmp_path: Path):
    (tmp_path / "empty.png").touch()
    assert refused(tmp_path / "empty.png") == "is empty (0 bytes)"
    (tmp_path / "text.png").write_text("patient,age\n1,50\n")
    assert refused(tmp_path / "text.png") == "is not an image, or of another format than its name says"
    with pytest.raises(DataError, match="cannot be opened"):
        signature(tmp_path / "absent.png")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_file_that_claims_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    read_pixels(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 999)  # Pillow itself raises beyond twice that
    assert "2000 pixels" in refused(path) or "million values" in refused(path)


def test_values_that_are_not_finite(tmp_path: Path):
    values = np.ones((5, 7), np.float32)
    tifffile.imwrite(tmp_path / "image.tif", values)
    assert image(tmp_path / "image.tif").dtype == np.float32
    values[2, 3] = np.nan
    tifffile.imwrite(tmp_path / "image.tif", values)
    assert "NaN or infinite" in refused(tmp_path / "image.tif")
    tifffile.imwrite(tmp_path / "image.tif", values.astype(np.complex64))
    assert "complex64; expected real numbers" in refused(tmp_path / "image.tif")
