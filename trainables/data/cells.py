"""Folders of cell crops, and the reader of the models that train on them.

A sample is (C + 1, S, S) float32: the crop's raw intensities in the middle, padded by reflection, and the content
mask: 1 on the cell, 0 on background, −1 on padding. See `trainables.data.crops`.

The content is what the crop's mask file marks (not 0), or else, what is not exactly 0 in all channels. The mask of
`cell.tif` is `cell_mask.png` beside it, or `cell.png` in a folder `masks` beside it or beside its folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from trainables.data.blocks import allocate
from trainables.data.crops import to_sample
from trainables.data.decode import compact, decode, keep_readable, listed
from trainables.data.embedded_cells import embedded_cells
from trainables.data.errors import DataError
from trainables.data.folders import Folder, find_files, refuse_identical
from trainables.data.image_files import SUFFIXES, read_pixels
from trainables.data.samples import Samples, subset

MASK = "_mask"
MASKS = "masks"
PROBED = 64  # files that tell the number of channels
ACCEPTED = (
    "a folder of cell crops of any size, one a file: TIFF of 8 or 16 bit or floating point with any number of "
    f"channels, first or last, or PNG, JPEG, BMP; a crop's mask, if any, as NAME{MASK}.png beside it or as NAME.png "
    f"in a folder {MASKS}"
)


class Crop(NamedTuple):
    """A crop and the file of its mask, if there is one."""

    path: Path
    mask: Path | None


def read_cells(source: str, size: int, count: int | None, strict: bool) -> Samples:
    """The crops of a folder.

    Args:
        source: the folder.
        size: S, pixels a side; larger crops are shrunk.
        count: how many of the crops, chosen at random, are read; None for all.
        strict: refuse damaged files instead of leaving them out.

    Raises:
        DataError: with everything that is wrong; also if crops differ in their channels.
    """
    folder = find_files(source, _is_image, ACCEPTED, companion=_is_mask)
    crops, notes = _with_masks(folder)
    crops = [crops[index] for index in subset(len(crops), None, count)]
    layout = _layout(crops)
    odd: list[tuple[Path, int]] = []
    facts: list[str] = []
    x = allocate((len(crops), layout[0] + 1, size, size), np.float32)
    problems = decode(crops, partial(_read, layout=layout, size=size, odd=odd, facts=facts), "reading cells", x)
    if odd:
        raise DataError(source, [_disagreement(folder, odd, layout[0], len(crops))])
    names = folder.names([crop.path for crop in crops])
    kept, left_out = keep_readable(source, names, problems, strict)
    x, files = compact(x, kept), [crops[index].path for index in kept]
    refuse_identical(source, x)
    seen = tuple(f"{number} of {len(files)} crops {fact}" for fact, number in sorted(Counter(facts).items()))
    return Samples(x, source, folder.labels(files), folder.names(files), (*notes, *left_out, *seen))


class CellReader:
    """Reads cell crops; see `trainables.data.cache.Reader`."""

    name = "cells"
    version = 2
    named = ()

    @staticmethod
    def read(source: str, settings: Mapping[str, Any]) -> Samples:
        """See `read_cells`."""
        return read_cells(source, settings["image_size"], settings["subset"], settings["strict"])

    @staticmethod
    def embedded(settings: Mapping[str, Any]) -> Samples:
        """See `embedded_cells`."""
        return embedded_cells(settings["image_size"])

    @staticmethod
    def statistics(samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """None are needed."""
        return {}


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _is_mask(path: Path) -> bool:
    return _is_image(path) and (path.stem.endswith(MASK) or path.parent.name == MASKS)


def _with_masks(folder: Folder) -> tuple[list[Crop], tuple[str, ...]]:
    """Every crop with its mask, and notes on what lacks the other."""
    masks = {(path.parent, path.stem.removesuffix(MASK)): path for path in folder.companions}
    crops = []
    for path in folder.files:
        places = (path.parent, path.parent / MASKS, path.parent.parent / MASKS)
        mask = next((masks[place, path.stem] for place in places if (place, path.stem) in masks), None)
        crops.append(Crop(path, mask))
    notes = folder.notes
    spare = sorted(set(folder.companions) - {crop.mask for crop in crops if crop.mask is not None})
    if spare:
        notes += (f"{len(spare)} mask files belong to no crop: {listed(folder.names(spare))}",)
    bare = [crop.path for crop in crops if crop.mask is None]
    if 0 < len(bare) < len(crops):
        notes += (f"{len(bare)} of {len(crops)} crops have no mask file: {listed(folder.names(bare))}",)
    return crops, notes


def _layout(crops: Sequence[Crop]) -> tuple[int, int]:
    """How many channels most of the first crops have, and on which axis, or may have where the file does not say."""
    seen: list[list[tuple[int, int]]] = [[]] * len(crops[:PROBED])
    decode(crops[:PROBED], lambda crop: read_pixels(crop.path).layouts(), "looking at cells", seen)
    layouts = [layout for of_file in seen for layout in of_file]
    counts = Counter(count for of_file in seen for count in {count for count, _ in of_file})
    count = min(counts, key=lambda count: (-counts[count], count), default=1)
    axes = Counter(axis for found, axis in layouts if found == count)
    return count, max(axes, key=axes.__getitem__, default=0)


def _disagreement(folder: Folder, odd: Sequence[tuple[Path, int]], channels: int, count: int) -> str:
    named = [f"{folder.names([path])[0]} has {found}" for path, found in sorted(odd)]
    return (
        f"{len(odd)} of {count} crops differ from the others in their channels, {listed(named)}; expected {channels} "
        "in all: move those files away or convert them"
    )


def _read(
    crop: Crop, layout: tuple[int, int], size: int, odd: list[tuple[Path, int]], facts: list[str]
) -> np.ndarray:
    """(C + 1, S, S); crops of other than C channels go to `odd`, what is unusual to `facts`."""
    pixels = read_pixels(crop.path)
    crop_CHW = pixels.channels_first(*layout)
    if crop_CHW is None:
        channels = min(count for count, _ in pixels.layouts())
        odd.append((crop.path, channels))
        raise DataError(str(crop.path), [f"has {channels} channels; expected {layout[0]}"])
    found = []
    if crop.mask is not None:
        mask_HW = _mask(crop.mask, crop_CHW.shape[1:])
    else:
        mask_HW = (crop_CHW != 0).any(axis=0)
        if mask_HW.all():
            found.append("have neither a mask file nor a background of zeros: all of the crop counts as the cell")
    if max(mask_HW.shape) > size:
        found.append(f"are larger than {size} × {size}: they are shrunk")
    sample = to_sample(crop_CHW, mask_HW, size)
    if not (sample[-1] > 0).any():
        raise DataError(str(crop.path), [f"holds no cell: all of it is background at {size} × {size}"])
    facts += found
    return sample


def _mask(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        pixels = read_pixels(path)
    except DataError as error:
        raise DataError(str(path), [f"its mask {path.name} {'; '.join(error.problems)}"]) from error
    planes = [np.any(pixels.values, axis=axis) for axis in pixels.channel_axes] or [pixels.values != 0]
    for plane in planes:
        if plane.shape == shape:
            return plane
    found, expected = (" × ".join(map(str, sides)) for sides in (pixels.values.shape, shape))
    raise DataError(str(path), [f"its mask {path.name} is of {found} pixels; expected {expected}"])
