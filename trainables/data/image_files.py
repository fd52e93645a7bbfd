"""One image file of any format as an array.

Formats are told by content, not by name: TIFF is read with tifffile (any number of channels, any real type), DICOM
with `trainables.data.dicom`, all else with Pillow. H rows, W columns.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.errors import DataError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
PERCENTILES = (0.5, 99.5)
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green, blue
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AS_STORED = {"L", "RGB", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}  # modes of Pillow
_GREY = {"1", "LA", "La"}
_COLOUR_16_BIT = ("RGB;16B", "RGBA;16B")  # what Pillow would cut to 8 bits

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints what is raised anyway


class Pixels(NamedTuple):
    """An image as it is stored.

    Args:
        values: (H, W), (H, W, C) or (C, H, W), of any real type.
        channel_axes: none for one channel; the axis of the channels; or both that may be it, where the file does
            not say.
    """

    values: np.ndarray
    channel_axes: tuple[int, ...] = ()

    def layouts(self) -> list[tuple[int, int]]:
        """The number of channels and their axis, for each axis that may hold them; one channel has the axis 0."""
        return [(self.values.shape[axis], axis) for axis in self.channel_axes] or [(1, 0)]

    def channels_first(self, count: int, likely: int = 0) -> np.ndarray | None:
        """(count, H, W), a view; None if there are not so many channels.

        Args:
            count: of the channels.
            likely: the axis that holds them if both have that length.
        """
        if count == 1 and not self.channel_axes:
            return self.values[None]
        for axis in sorted(self.channel_axes, key=lambda axis: axis != likely):
            if self.values.shape[axis] == count:
                return np.moveaxis(self.values, axis, 0)
        return None


def read_pixels(path: Path, least: int | None = None) -> Pixels:
    """The image in a file other than DICOM.

    Args:
        path: the file.
        least: a JPEG may be decoded at a fraction of its size, of at least 2 · `least` pixels a side.

    Raises:
        DataError: the file is empty, damaged, no image, too large, or holds values that are not finite.
    """
    reader = _read_tiff if signature(path).startswith(_TIFF) else _read_pillow
    try:
        pixels = reader(path, least)
    except DataError:
        raise
    except Exception as error:
        raise DataError(str(path), [damaged(error)]) from error
    if pixels.values.dtype.kind not in "uif":
        raise DataError(str(path), [f"holds values of type {pixels.values.dtype}; expected real numbers"])
    if pixels.values.dtype.kind == "f" and not np.isfinite(pixels.values).all():
        raise DataError(str(path), ["holds values that are NaN or infinite; expected finite numbers"])
    return pixels


def to_colour(path: Path, pixels: Pixels) -> np.ndarray | None:
    """(3, H, W) red, green and blue, a view; None for an image in grey. Alpha is dropped.

    Raises:
        DataError: there are more channels than colours, or pages of a stack.
    """
    if not pixels.channel_axes:
        return None
    for count in (3, 4):
        values_CHW = pixels.channels_first(count)
        if values_CHW is not None:
            return values_CHW[:3]
    shape = " × ".join(map(str, pixels.values.shape))
    raise DataError(str(path), [f"holds {shape} values, several channels or pages; expected one image, grey or RGB"])


def luminance(colour_CHW: np.ndarray) -> np.ndarray:
    """(H, W) from red, green and blue (ITU-R BT.601): uint8 of uint8, float32 of all else."""
    if colour_CHW.dtype != np.uint8:
        return np.tensordot(LUMINANCE, colour_CHW, 1).astype(np.float32)
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(colour_CHW.transpose(1, 2, 0))).convert("L"))


def stretched(values: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
    """float32 in [0, 1]: 0 at the 0.5 percentile (and below), 1 at the 99.5 percentile (and above).

    Where these coincide the least and the largest value are taken; an image of one value becomes 0.

    Args:
        values: of any real type.
        of: the values that the percentiles are taken of; `values` if None.
    """
    counted = values if of is None or of.size == 0 else of
    low, high = np.percentile(counted, PERCENTILES)
    if low == high:
        low, high = float(counted.min()), float(counted.max())
    if low == high:
        return np.zeros(values.shape, np.float32)
    scaled = values.astype(np.float32)
    scaled -= np.float32(low)
    scaled *= np.float32(1 / (high - low))
    return np.clip(scaled, 0, 1, out=scaled)


def signature(path: Path) -> bytes:
    """The first 132 bytes, by which formats are told.

    Raises:
        DataError: the file is empty or cannot be opened.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(132)
    except OSError as error:
        raise DataError(str(path), [f"cannot be opened ({error.strerror})"]) from error
    if not start:
        raise DataError(str(path), ["is empty (0 bytes)"])
    return start


def refuse_huge(path: Path, count: int) -> None:
    """Raises `DataError` for more values than Pillow's limit on pixels: a few bytes may claim any size."""
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    if most is not None and count > most:
        found, expected = f"{count / 1e6:.0f} million", f"{most / 1e6:.0f} million"
        raise DataError(str(path), [f"claims to hold {found} values; expected at most {expected}"])


def damaged(error: Exception) -> str:
    """The problem of a file on which its decoder failed."""
    return f"is damaged, cut short or not an image ({type(error).__name__}: {first_line(error)})"


def first_line(error: Exception) -> str:
    """Of the error's message, without the white space around it."""
    return str(error).strip().partition("\n")[0].strip()


def _read_pillow(path: Path, least: int | None) -> Pixels:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image = Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise DataError(str(path), ["is not an image, or of another format than its name says"]) from error
    with image:
        refuse_huge(path, image.width * image.height)
        if image.tile and image.tile[0].args in _COLOUR_16_BIT:
            return _read_deep_png(path)
        if least is not None:
            image.draft(None, (2 * least, 2 * least))
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in _AS_STORED:
            upright = upright.convert("L" if upright.mode in _GREY else "RGB")
        values = np.asarray(upright)
    return Pixels(values, (2,) if values.ndim == 3 else ())


def _read_deep_png(path: Path) -> Pixels:
    from imagecodecs import png_decode

    return Pixels(png_decode(path.read_bytes())[..., :3], (2,))


def _read_tiff(path: Path, least: int | None) -> Pixels:
    from tifffile import PHOTOMETRIC, TiffFile

    with TiffFile(path) as file:
        series = file.series[0]
        if series.keyframe.photometric == PHOTOMETRIC.PALETTE:
            return _read_pillow(path, least)
        refuse_huge(path, math.prod(series.shape))
        values, axes = series.asarray(), series.axes
    if series.keyframe.photometric == PHOTOMETRIC.MINISWHITE:
        values = ~values if values.dtype.kind in "bu" else -values
    if values.dtype.kind == "b":
        values = values * np.uint8(255)
    if values.ndim > 2:
        single = [axis for axis, name in enumerate(axes) if values.shape[axis] == 1 and name not in "YX"]
        values, axes = values.squeeze(tuple(single)), "".join(np.delete(list(axes), single))
    if values.ndim > 3 or values.ndim < 2:
        problem = f"holds {' × '.join(map(str, values.shape))} values ({axes}); expected rows, columns and channels"
        raise DataError(str(path), [problem])
    if values.ndim == 2:
        return Pixels(values)
    said = tuple(axis for axis, name in enumerate(axes) if name in "SC")
    return Pixels(values, said or (0, 2))
