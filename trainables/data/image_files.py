"""One image file of any format but DICOM as an array: the one decoder of all readers of images.

Formats are told by content, not by name: TIFF is read by `trainables.data.tiff_files`, all else by
`trainables.data.pillow_files`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.errors import DataError
from trainables.data.pillow_files import read_pillow
from trainables.data.pixels import Pixels
from trainables.data.tiff_files import read_tiff

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_pixels(path: Path, least: int | None = None) -> Pixels:
    """The image in a file other than DICOM.

    Args:
        path: the file.
        least: a JPEG may be decoded at a fraction of its size, of at least 2 · `least` pixels a side.

    Raises:
        DataError: the file is empty, damaged, no image, several images, too large, or holds values that are not
            finite.
    """
    reader = read_tiff if signature(path).startswith(_TIFF) else read_pillow
    try:
        pixels = reader(path, least)
    except DataError:
        raise
    except Exception as error:
        raise DataError(str(path), [damaged(error)]) from error
    kind = pixels.values_CHW.dtype
    if kind.kind not in "uif":
        raise DataError(str(path), [f"holds values of type {kind}; expected real numbers"])
    if kind.kind == "f" and not np.isfinite(pixels.values_CHW).all():
        raise DataError(str(path), ["holds values that are NaN or infinite; expected finite numbers"])
    return pixels


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


def damaged(error: Exception) -> str:
    """The problem of a file on which its decoder failed."""
    return f"is damaged, cut short or not an image ({type(error).__name__}: {first_line(error)})"


def first_line(error: Exception) -> str:
    """Of the error's message, without the white space around it."""
    return str(error).strip().partition("\n")[0].strip()
