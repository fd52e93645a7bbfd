"""What every decoder of images hands over, and what readers make of it. H rows, W columns, C channels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.errors import DataError

PERCENTILES = (0.5, 99.5)
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green, blue
EXTRA = "hold alpha or extra samples: these are left out"
UNNAMED_COLOURS = "hold three channels without the name of a colour: they are taken for red, green and blue"


class Pixels(NamedTuple):
    """An image: upright, 0 black, without alpha, in grey, in red, green and blue, or in channels of measurements.

    Args:
        values_CHW: (C, H, W), of any real type; C is 1 for grey.
        colour: whether the channels are red, green and blue.
        white: the value of white, where the file says it.
        extra: whether alpha or extra samples that are not the same everywhere were left out.
    """

    values_CHW: np.ndarray
    colour: bool = False
    white: int | None = None
    extra: bool = False

    def facts(self) -> list[str]:
        """What the user should know of it where colour is wanted."""
        unnamed = [UNNAMED_COLOURS] if len(self.values_CHW) == 3 and not self.colour else []
        return [EXTRA] * self.extra + unnamed


def to_colour(path: Path, pixels: Pixels) -> np.ndarray | None:
    """(3, H, W) red, green and blue, a view; None for an image in grey.

    Raises:
        DataError: there are neither one nor three channels.
    """
    count = len(pixels.values_CHW)
    if count not in (1, 3):
        raise DataError(str(path), [f"holds {count} channels; expected one image, grey or red, green and blue"])
    return pixels.values_CHW if count == 3 else None


def oriented(values: np.ndarray, orientation: int) -> np.ndarray:
    """(…, H, W) upright, a view: `orientation` is what TIFF and EXIF store under 274, 1 to 8; any other is 1."""
    turned = values.swapaxes(-1, -2) if 5 <= orientation <= 8 else values
    rows, columns = -1 if orientation in (3, 4, 7, 8) else 1, -1 if orientation in (2, 3, 6, 7) else 1
    return turned[..., ::rows, ::columns]


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


def refuse_huge(path: Path, count: int) -> None:
    """Raises `DataError` for more values than Pillow's limit on pixels: a few bytes may claim any size."""
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    if most is not None and count > most:
        found, expected = f"{count / 1e6:.0f} million", f"{most / 1e6:.0f} million"
        raise DataError(str(path), [f"claims to hold {found} values; expected at most {expected}"])
