from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from trainables.data.errors import DataError
from trainables.data.image_files import luminance, read_pixels, signature, stretched, to_colour

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
DEEP = RNG.integers(0, 65536, (5, 7), np.uint16)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
STACK = RNG.integers(0, 65536, (5, 6, 7), np.uint16)


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_pixels(path)
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize("values", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_formats_return_what_was_written(tmp_path: Path, suffix: str, values: np.ndarray):
    Image.fromarray(values).save(tmp_path / f"image.{suffix}")
    pixels = read_pixels(tmp_path / f"image.{suffix}")
    np.testing.assert_array_equal(pixels.values, values)
    assert pixels.channel_axes == ((2,) if values.ndim == 3 else ())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path, suffix: str):
    Image.fromarray(DEEP).save(tmp_path / f"image.{suffix}")
    np.testing.assert_array_equal(read_pixels(tmp_path / f"image.{suffix}").values, DEEP)


def test_sixteen_bit_colour_png_is_not_cut_to_eight(tmp_path: Path):
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], axis=2)
    (tmp_path / "image.png").write_bytes(imagecodecs.png_encode(values))
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.png").values, values)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", GREY > 127), ("LA", GREY), ("P", None), ("RGBA", COLOUR)],
    ids=["bilevel", "grey and alpha", "palette", "colour and alpha"],
)
def test_modes_become_grey_or_colour(tmp_path: Path, mode: str, expected: np.ndarray | None):
    image = Image.fromarray(COLOUR if mode in ("P", "RGBA") else GREY)
    if mode == "1":
        image = Image.fromarray(expected)
        expected = np.uint8(255) * expected
    image = image.convert(mode)
    image.save(tmp_path / "image.png")
    expected = np.asarray(image.convert("RGB")) if expected is None else expected
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.png").values, expected)


def test_the_format_is_told_by_content(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.png", DEEP)
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.png").values, DEEP)
    Image.fromarray(GREY).save(tmp_path / "image.tif", format="png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values, GREY)


def test_photographs_are_turned_as_the_camera_was_held(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    Image.fromarray(COLOUR).save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.png").values, np.rot90(COLOUR, -1))


def test_large_jpegs_are_decoded_at_a_fraction(tmp_path: Path):
    ramp = np.linspace(0, 255, 512).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp, (384, 512))).save(tmp_path / "image.jpg", quality=95)
    assert read_pixels(tmp_path / "image.jpg").values.shape == (384, 512)
    small = read_pixels(tmp_path / "image.jpg", least=32).values
    assert small.shape == (96, 128)
    np.testing.assert_allclose(small[0], ramp[2::4], atol=4)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_compressed_tiffs(tmp_path: Path, compression: str | None):
    if compression == "lzw":
        pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "image.tif", DEEP, compression=compression)
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values, DEEP)


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"photometric": "minisblack", "metadata": None}, (0, 2)),
        ({"photometric": "minisblack", "imagej": True}, (0,)),
        ({"photometric": "minisblack", "ome": True, "metadata": {"axes": "CYX"}}, (0,)),
        ({"photometric": "minisblack", "planarconfig": "contig"}, (2,)),
    ],
    ids=["pages", "ImageJ", "OME", "interleaved"],
)
def test_channels_of_tiff_stacks(tmp_path: Path, options: dict, axes: tuple[int, ...]):
    tifffile.imwrite(tmp_path / "image.tif", STACK, **options)
    pixels = read_pixels(tmp_path / "image.tif")
    assert pixels.channel_axes == axes
    assert pixels.layouts() == [(STACK.shape[axis], axis) for axis in axes]
    for count, axis in pixels.layouts():
        np.testing.assert_array_equal(pixels.channels_first(count), np.moveaxis(STACK, axis, 0))
    assert pixels.channels_first(11) is None


def test_the_likely_axis_decides_where_both_fit(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", STACK[:, :, :5], photometric="minisblack", metadata=None)
    pixels = read_pixels(tmp_path / "image.tif")
    np.testing.assert_array_equal(pixels.channels_first(5), STACK[:, :, :5])
    np.testing.assert_array_equal(pixels.channels_first(5, likely=2), np.moveaxis(STACK[:, :, :5], 2, 0))


def test_axes_of_length_one_do_not_count(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", DEEP[None, :, :, None], photometric="minisblack")
    pixels = read_pixels(tmp_path / "image.tif")
    assert pixels.channel_axes == ()
    np.testing.assert_array_equal(pixels.channels_first(1), DEEP[None])
    tifffile.imwrite(tmp_path / "row.tif", DEEP[:1])
    assert read_pixels(tmp_path / "row.tif").values.shape == (1, 7)


def test_white_is_zero_in_some_tiffs(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", DEEP, photometric="miniswhite")
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values, 65535 - DEEP)


def test_palette_tiffs_are_in_colour(tmp_path: Path):
    image = Image.fromarray(COLOUR).convert("P")
    image.save(tmp_path / "image.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values, np.asarray(image.convert("RGB")))


def test_a_stack_over_time_is_no_image(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", np.zeros((2, 3, 5, 7), np.uint8), photometric="minisblack")
    assert "2 × 3 × 5 × 7 values" in refused(tmp_path / "image.tif")


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
    assert read_pixels(tmp_path / "image.tif").values.dtype == np.float32
    values[2, 3] = np.nan
    tifffile.imwrite(tmp_path / "image.tif", values)
    assert "NaN or infinite" in refused(tmp_path / "image.tif")
    tifffile.imwrite(tmp_path / "image.tif", values.astype(np.complex64))
    assert "complex64; expected real numbers" in refused(tmp_path / "image.tif")


def test_colour_is_three_channels_without_alpha(tmp_path: Path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.dstack([COLOUR, GREY]), photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(to_colour(path, read_pixels(path)), COLOUR.transpose(2, 0, 1))
    tifffile.imwrite(path, GREY)
    assert to_colour(path, read_pixels(path)) is None
    tifffile.imwrite(path, STACK, photometric="minisblack")
    with pytest.raises(DataError, match="5 × 6 × 7 values, several channels or pages"):
        to_colour(path, read_pixels(path))


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


def test_tiffs_of_the_large_kind(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", DEEP, bigtiff=True)
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values, DEEP)
