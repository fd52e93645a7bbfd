from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from trainables.data.errors import DataError
from trainables.data.image_files import read_pixels
from trainables.data.pixels import oriented
from trainables.data.tiff_files import UNNAMED, UnnamedAxis

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


def image(path: Path) -> np.ndarray:
    """(H, W), or (H, W, C) of several channels."""
    values_CHW = read_pixels(path).values_CHW
    return values_CHW[0] if len(values_CHW) == 1 else values_CHW.transpose(1, 2, 0)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
def test_compressed_tiffs(tmp_path: Path, compression: str | None):
    tifffile.imwrite(tmp_path / "image.tif", DEEP, compression=compression)
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), DEEP)


def test_tiffs_of_the_large_kind(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", DEEP, bigtiff=True)
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), DEEP)


NAMED = {
    "ImageJ": {"photometric": "minisblack", "imagej": True},
    "OME": {"photometric": "minisblack", "ome": True, "metadata": {"axes": "CYX"}},
    "tifffile": {"photometric": "minisblack", "metadata": {"axes": "CYX"}},
    "channels last": {"photometric": "minisblack", "metadata": {"axes": "YXC"}},
    "interleaved": {"photometric": "minisblack", "planarconfig": "contig"},
}


@pytest.mark.parametrize("kind", NAMED)
def test_channels_are_those_that_the_file_names(tmp_path: Path, kind: str):
    last = kind in ("channels last", "interleaved")
    tifffile.imwrite(tmp_path / "image.tif", STACK.transpose(1, 2, 0) if last else STACK, **NAMED[kind])
    pixels = read_pixels(tmp_path / "image.tif")
    np.testing.assert_array_equal(pixels.values_CHW, STACK)
    assert (pixels.colour, pixels.extra) == (False, False)


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
@pytest.mark.parametrize("program", ["imagej", "ome"])
def test_slices_and_times_are_no_channels(tmp_path: Path, axes: str, program: str):
    tifffile.imwrite(tmp_path / "image.tif", STACK[:3], **{program: True}, metadata={"axes": axes})
    stack = {"Z": "slices", "T": "times"}[axes[0]]
    assert refused(tmp_path / "image.tif") == (
        f"holds 3 × 6 × 7 values, axes {axes}: a stack of {stack}; expected rows, columns and channels: export "
        "single images"
    )


@pytest.mark.parametrize("metadata", [None, {}], ids=["plain", "tifffile's own"])
def test_pages_without_a_name_are_asked_about_and_the_cure_cures(tmp_path: Path, metadata: dict | None):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", metadata=metadata)
    axes = "QYX" if metadata is not None else "IYX"
    assert refused(path) == f"holds 5 × 6 × 7 values, axes {axes}; {UNNAMED}"
    with pytest.raises(UnnamedAxis):
        read_pixels(path)
    tifffile.imwrite(path, tifffile.imread(path), metadata={"axes": "CYX"})
    np.testing.assert_array_equal(read_pixels(path).values_CHW, STACK)


def test_a_file_of_several_images(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "image.tif") as file:
        file.write(DEEP, metadata=None)
        file.write(DEEP[:3, :4], metadata=None, subfiletype=1)
        file.write(DEEP > 99, metadata=None, subfiletype=4)
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), DEEP)
    with tifffile.TiffWriter(tmp_path / "image.tif") as file:
        file.write(DEEP, metadata=None)
        file.write(GREY, metadata=None)
    assert refused(tmp_path / "image.tif").startswith("holds 2 images of differing sizes or types; expected one")


@pytest.mark.parametrize(
    ("channels", "options", "kept"),
    [
        (4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, 3),
        (5, {"photometric": "rgb", "extrasamples": ["unspecified", "assocalpha"]}, 3),
        (2, {"photometric": "minisblack", "extrasamples": ["unassalpha"]}, 1),
        (4, {"photometric": "minisblack", "extrasamples": ["unspecified", "unspecified", "assocalpha"]}, 3),
    ],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_alpha_and_what_is_extra_to_colours_is_left_out(
    tmp_path: Path, channels: int, options: dict, kept: int, planar: str
):
    values = STACK[:channels] if planar == "separate" else STACK[:channels].transpose(1, 2, 0)
    tifffile.imwrite(tmp_path / "image.tif", values, planarconfig=planar, **options)
    pixels = read_pixels(tmp_path / "image.tif")
    np.testing.assert_array_equal(pixels.values_CHW, STACK[:kept])
    assert (pixels.extra, pixels.colour) == (True, options["photometric"] == "rgb")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_orientation_as_the_tag_says(tmp_path: Path, orientation: int, mode: str):
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / "image.tif", tiffinfo={274: orientation})
    upright = oriented(COLOUR.transpose(2, 0, 1), orientation)
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values_CHW, upright)


RAMP = np.linspace(0, 255, 32).astype(np.uint8)
SMOOTH = np.stack([*np.meshgrid(RAMP, RAMP), np.full((32, 32), 120, np.uint8)], axis=2)


@pytest.mark.parametrize("compression", ["raw", "jpeg", "tiff_lzw"])
@pytest.mark.parametrize(("mode", "tolerance"), [("CMYK", 1), ("YCbCr", 3)])
def test_other_colours_become_red_green_and_blue(tmp_path: Path, compression: str, mode: str, tolerance: float):
    quality = {"quality": 95} if compression == "jpeg" else {}
    Image.fromarray(SMOOTH).convert(mode).save(tmp_path / "image.tif", compression=compression, **quality)
    assert np.abs(image(tmp_path / "image.tif").astype(float) - SMOOTH).mean() < tolerance
    assert read_pixels(tmp_path / "image.tif").colour


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_cielab_is_that_of_colour_management(tmp_path: Path, compression: str):
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    stored = ImageCms.profileToProfile(Image.fromarray(SMOOTH), srgb, lab, outputMode="LAB")
    stored.save(tmp_path / "image.tif", compression=compression)
    expected = np.asarray(ImageCms.profileToProfile(stored, lab, srgb, outputMode="RGB"))
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), expected)
    inside = (SMOOTH.astype(int).sum(axis=2) > 300) & (SMOOTH.max(axis=2) < 200)
    assert np.abs(expected.astype(float) - SMOOTH)[inside].mean() < 3


def test_colours_that_cannot_be_converted(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", STACK[:3].transpose(1, 2, 0), photometric="cielab")
    problem = "is stored as CIELAB, 16 bits, which cannot be converted; expected grey or red, green and blue"
    assert refused(tmp_path / "image.tif") == problem


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_any_number_of_bits(tmp_path: Path, bits: int, photometric: str):
    white = 2**bits - 1
    values = (DEEP >> (16 - bits)).astype(bool if bits == 1 else np.uint16 if bits > 8 else np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", values, bitspersample=bits, photometric=photometric)
    pixels = read_pixels(tmp_path / "image.tif")
    expected = values.astype(int) if photometric == "minisblack" else white - values.astype(int)
    np.testing.assert_array_equal(pixels.values_CHW[0], expected * (255 // white if bits < 8 else 1))
    assert pixels.white == max(white, 255)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint32, np.float16, np.float32, np.float64])
def test_any_real_type(tmp_path: Path, kind: type):
    values = (RNG.uniform(-100, 100, (5, 7))).astype(np.int8).astype(kind)
    tifffile.imwrite(tmp_path / "image.tif", values)
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), values)
    assert read_pixels(tmp_path / "image.tif").white is None
    tifffile.imwrite(tmp_path / "image.tif", values, photometric="miniswhite")
    assert (np.diff(image(tmp_path / "image.tif").ravel()[np.argsort(values.ravel())].astype(float)) <= 0).all()


def test_axes_of_length_one_do_not_count(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", DEEP[None, :, :, None], photometric="minisblack")
    np.testing.assert_array_equal(read_pixels(tmp_path / "image.tif").values_CHW, DEEP[None])
    tifffile.imwrite(tmp_path / "row.tif", DEEP[:1])
    assert image(tmp_path / "row.tif").shape == (1, 7)


def test_a_stack_over_time_is_no_image(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", np.zeros((2, 3, 5, 7), np.uint8), photometric="minisblack")
    assert "2 × 3 × 5 × 7 values" in refused(tmp_path / "image.tif")


def test_white_is_zero_in_some_tiffs(tmp_path: Path):
    tifffile.imwrite(tmp_path / "image.tif", DEEP, photometric="miniswhite")
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), 65535 - DEEP)


def test_palette_tiffs_are_in_colour(tmp_path: Path):
    stored = Image.fromarray(COLOUR).convert("P")
    stored.save(tmp_path / "image.tif")
    np.testing.assert_array_equal(image(tmp_path / "image.tif"), np.asarray(stored.convert("RGB")))
