"""One TIFF file as an array: any number of channels, any real type, axes as the file names them."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.errors import DataError
from trainables.data.pillow_files import read_pillow
from trainables.data.pixels import Pixels, oriented, refuse_huge

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

_STACKS = {"Z": "slices", "T": "times"}  # by the axis along which they lie
_UNNAMED = "QI"  # axes of pages of which the file says nothing
UNNAMED = (
    "the file does not say whether Q or I are channels, slices or times: if channels, write it again with "
    "tifffile.imwrite(path, values, metadata={'axes': 'CYX'}) ('YXC' if they come last), else export single images"
)
_ORIENTATION = 274
_REDUCED_OR_MASK = 1 | 4  # bits of NewSubfileType

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints what is raised anyway


class UnnamedAxis(DataError):
    """The pages of a file are channels, slices or times: it does not say."""


def read_tiff(path: Path, least: int | None) -> Pixels:
    """The image in a file, see `trainables.data.image_files.read_pixels`.

    Channels are the axes S and C, as the file names them. Reduced copies and transparency masks do not count.

    Raises:
        DataError: there are several images, or an axis of which it is not known whether it holds channels.
        Exception: whatever tifffile raises for damaged files.
    """
    from tifffile import PHOTOMETRIC, TiffFile

    with TiffFile(path) as file:
        series = _only_image(path, file)
        page = series.keyframe
        refuse_huge(path, math.prod(series.shape))
        axes, shape = _axes(series)
        channel_axis = _channel_axis(path, axes, shape)
        photometric = PHOTOMETRIC(page.photometric)
        if photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB):
            return _converted(path, least, f"{photometric.name}, {page.bitspersample} bits")
        values = series.asarray().reshape(shape)
        orientation = int(page.tags.valueof(_ORIENTATION, default=1))
    values_CHW = values[None] if channel_axis is None else np.moveaxis(values, channel_axis, 0)
    kept = _kept(page, len(values_CHW))
    extra = any(np.ptp(values_CHW[number]) > 0 for number in set(range(len(values_CHW))) - set(kept))
    if len(kept) < len(values_CHW):
        values_CHW = values_CHW[kept]
    values_CHW, white = _depth(values_CHW, page.bitspersample, photometric == PHOTOMETRIC.MINISWHITE)
    colour = photometric == PHOTOMETRIC.RGB and len(kept) == 3
    return Pixels(oriented(values_CHW, orientation), colour, white, extra)


def _converted(path: Path, least: int | None, colours: str) -> Pixels:
    try:
        return read_pillow(path, least)
    except DataError as error:
        problem = f"is stored as {colours}, which cannot be converted; expected grey or red, green and blue"
        raise DataError(str(path), [problem]) from error


def _only_image(path: Path, file: TiffFile) -> TiffPageSeries:
    images = [series for series in file.series if not int(series.keyframe.subfiletype) & _REDUCED_OR_MASK]
    if len(images) > 1:
        problem = f"holds {len(images)} images of differing sizes or types; expected one: export single images"
        raise DataError(str(path), [problem])
    return (images or file.series)[0]


def _axes(series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Names and lengths of the axes, without those of length 1 beside rows and columns."""
    sides = zip(series.axes, series.shape, strict=True)
    names, lengths = zip(*((name, length) for name, length in sides if length > 1 or name in "YX"), strict=True)
    return "".join(names), lengths


def _channel_axis(path: Path, axes: str, shape: tuple[int, ...]) -> int | None:
    """Which axis holds the channels; None for one channel."""
    others = [name for name in axes if name not in "YX"]
    if len(axes) - len(others) == 2 and len(others) <= 1 and set(others) <= set("SC"):
        return axes.index(others[0]) if others else None
    found = f"holds {' × '.join(map(str, shape))} values, axes {axes}"
    if len(others) == 1 and others[0] in _UNNAMED:
        raise UnnamedAxis(str(path), [f"{found}; {UNNAMED}"])
    stack = next((f": a stack of {_STACKS[name]}" for name in others if name in _STACKS), "")
    raise DataError(str(path), [f"{found}{stack}; expected rows, columns and channels: export single images"])


def _kept(page: TiffPage, count: int) -> list[int]:
    """The samples that are neither alpha nor extra to red, green and blue."""
    from tifffile import EXTRASAMPLE, PHOTOMETRIC

    if page.samplesperpixel != count:  # channels are pages
        return list(range(count))
    if page.photometric == PHOTOMETRIC.RGB:
        return list(range(min(count, 3)))
    first = count - len(page.extrasamples)
    return [
        number
        for number in range(count)
        if number < first or page.extrasamples[number - first] == EXTRASAMPLE.UNSPECIFIED
    ]


def _depth(values: np.ndarray, bits: int, white_is_zero: bool) -> tuple[np.ndarray, int | None]:
    """The values with 0 as black, those of less than 8 bits as 8, and the value of white if it is known."""
    if values.dtype.kind == "b":
        values, bits = values.astype(np.uint8), 1
    if values.dtype.kind != "u":
        inverted = ~values if values.dtype.kind == "i" else -values
        return (inverted if white_is_zero else values), None
    white = 2**bits - 1
    if white_is_zero:
        values = (white - values).astype(values.dtype)
    if bits < 8:
        return np.rint(values * (255 / white)).astype(np.uint8), 255
    return values, white if bits < 16 else None
