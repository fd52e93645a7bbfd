"""One PNG, JPEG or BMP file, or a TIFF in colours other than red, green and blue, as an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.errors import DataError
from trainables.data.pixels import Pixels, oriented, refuse_huge

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF")
_GREY = {"1": "L", "L": "L", "LA": "L", "La": "L"}  # modes of Pillow, and what they become
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_DEEP = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # as they are
_DEEP_PNG = {"LA;16B": 1, "RGB;16B": 3, "RGBA;16B": 3}  # what Pillow would cut to 8 bits: channels without alpha
_ORIENTATION = 274


def read_pillow(path: Path, least: int | None) -> Pixels:
    """The image in a file, see `trainables.data.image_files.read_pixels`; palettes and colours other than red, green
    and blue (CMYK, YCbCr, CIELAB) are converted.

    Raises:
        DataError: it is no image, or too large.
        Exception: whatever Pillow raises for damaged files.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    with open(path, "rb") as file:  # by its name it would be mapped, and a TIFF that lies on its side misread
        try:
            image = Image.open(file, formats=_FORMATS)
        except UnidentifiedImageError as error:
            raise DataError(str(path), ["is not an image, or of another format than its name says"]) from error
        refuse_huge(path, image.width * image.height)
        coding = image.tile[0].args if image.tile else None
        if coding in _DEEP_PNG:
            return _deep_png(path, _DEEP_PNG[coding], image.getexif().get(_ORIENTATION, 1))
        if least is not None:
            image.draft(None, (2 * least, 2 * least))
        upright = ImageOps.exif_transpose(image)
    extra = upright.mode in _WITH_ALPHA and bool(np.ptp(np.asarray(upright)[..., -1]))
    if upright.mode in _DEEP:
        return Pixels(np.asarray(upright)[None])
    if upright.mode in _GREY:
        return Pixels(np.asarray(upright.convert("L"))[None], white=255, extra=extra)
    return Pixels(np.moveaxis(np.asarray(_to_rgb(upright)), 2, 0), colour=True, white=255, extra=extra)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None  # only in place is it None
        return converted
    return image.convert("RGBA").convert("RGB") if image.mode == "RGBa" else image.convert("RGB")


def _deep_png(path: Path, channels: int, orientation: int) -> Pixels:
    from imagecodecs import png_decode

    values_CHW = oriented(np.moveaxis(png_decode(path.read_bytes()), 2, 0), orientation)
    extra = len(values_CHW) > channels and bool(np.ptp(values_CHW[channels:]))
    return Pixels(values_CHW[:channels], colour=channels == 3, extra=extra)
