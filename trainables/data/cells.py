"""Folders of cell crops, and the reader of the models that train on them.

A sample is (C + 1, S, S) float32: the crop's raw intensities in the middle, padded by reflection, and the content
mask: 1 on the cell, 0 on background, −1 on padding. See `trainables.data.crops`.

The content is what the crop's mask file marks (not 0), or else, what is not exactly 0 in all channels. The mask of
`cell.tif` is `cell_mask.png`, `cell_masks.png` or (Cellpose) `cell_cp_masks.png` beside it, or that or `cell.png` in
a folder `masks` (or `mask`) within its folder or in place of one that it lies in. Capitals do not count.
"""

from __future__ import annotations

import re
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
from trainables.data.pixels import EXTRA
from trainables.data.samples import Samples, subset
from trainables.data.tiff_files import UnnamedAxis

MASKS = {"mask", "masks"}  # names of folders, in any case
PROBED = 64  # files that tell the number of channels
ACCEPTED = (
    "a folder of cell crops of any size, one a file: TIFF of 8 or 16 bit or floating point with any number of "
    "channels, whose axis the file names, or PNG, JPEG, BMP; a crop's mask, if any, as NAME_mask.png, NAME_masks.png "
    "or NAME_cp_masks.png beside it or in a folder masks, there as NAME.png too"
)
_MASK = re.compile(r"[_-](cp[_-])?masks?$", re.IGNORECASE)
_OUTLINE = re.compile(r"[_-](outlines|flows)([_-]cp[_-]masks)?$", re.IGNORECASE)  # what Cellpose writes besides


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
    folder = find_files(source, _is_image, ACCEPTED, companion=lambda path: _is_companion(path, Path(source)))
    crops, notes = _with_masks(folder)
    crops = [crops[index] for index in subset(len(crops), None, count)]
    channels = _channels(source, folder, crops)
    odd: list[tuple[Path, int]] = []
    facts: list[str] = []
    x = allocate((len(crops), channels + 1, size, size), np.float32)
    problems = decode(crops, partial(_read, channels=channels, size=size, odd=odd, facts=facts), "reading cells", x)
    if odd:
        raise DataError(source, [_disagreement(folder, odd, channels, len(crops))])
    names = folder.names([crop.path for crop in crops])
    kept, left_out = keep_readable(source, names, problems, strict)
    x, files = compact(x, kept), [crops[index].path for index in kept]
    refuse_identical(source, x)
    seen = tuple(f"{number} of {len(files)} crops {fact}" for fact, number in sorted(Counter(facts).items()))
    return Samples(x, source, folder.labels(files), folder.names(files), (*notes, *left_out, *seen))


class CellReader:
    """Reads cell crops; see `trainables.data.cache.Reader`."""

    name = "cells"
    version = 3
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


def _is_companion(path: Path, root: Path) -> bool:
    folders = path.relative_to(root).parts[:-1]
    by_name = _MASK.search(path.stem) or _OUTLINE.search(path.stem)
    return _is_image(path) and (by_name is not None or any(name.lower() in MASKS for name in folders))


def _with_masks(folder: Folder) -> tuple[list[Crop], tuple[str, ...]]:
    """Every crop with its mask, and notes on what lacks the other.

    The mask of a crop lies beside it, or in a folder of masks: in place of one of the folders that the crop lies in,
    or within the last of them.
    """
    beside: dict[tuple[str, ...], Path] = {}
    within: dict[tuple[str, ...], Path] = {}
    for path in folder.companions:
        *folders, _ = path.relative_to(folder.root).parts
        others = tuple(name for name in folders if name.lower() not in MASKS)
        if not _OUTLINE.search(path.stem):
            (beside if len(others) == len(folders) else within)[*others, _MASK.sub("", path.stem)] = path
    crops = []
    for path in folder.files:
        place = (*path.relative_to(folder.root).parts[:-1], path.stem)
        places = [place, *(place[:index] + place[index + 1 :] for index in reversed(range(len(place) - 1)))]
        found = [masks[key] for masks, keys in ((beside, [place]), (within, places)) for key in keys if key in masks]
        crops.append(Crop(path, next(iter(found), None)))
    notes = folder.notes
    spare = sorted(set(folder.companions) - {crop.mask for crop in crops if crop.mask is not None})
    if spare:
        notes += (f"{len(spare)} files of masks or outlines belong to no crop: {listed(folder.names(spare))}",)
    bare = [crop.path for crop in crops if crop.mask is None]
    if 0 < len(bare) < len(crops):
        notes += (f"{len(bare)} of {len(crops)} crops have no mask file: {listed(folder.names(bare))}",)
    return crops, notes


def _channels(source: str, folder: Folder, crops: Sequence[Crop]) -> int:
    """How many channels most of the first crops have; raises `DataError` if any does not say what its pages are."""
    seen: list[int] = [0] * len(crops[:PROBED])
    unnamed: list[Path] = []

    def look(crop: Crop) -> int:
        try:
            return len(read_pixels(crop.path).values_CHW)
        except UnnamedAxis:
            unnamed.append(crop.path)
            raise

    problems = decode(crops[:PROBED], look, "looking at cells", seen)
    if unnamed:
        first = min(unnamed)
        problem = next(problem for index, problem in problems if crops[index].path == first)
        more = f" (and {len(unnamed) - 1} more)" if len(unnamed) > 1 else ""
        raise DataError(source, [f"{folder.names([first])[0]}{more}: {problem}"])
    counts = Counter(filter(None, seen))
    return min(counts, key=lambda count: (-counts[count], count), default=1)


def _disagreement(folder: Folder, odd: Sequence[tuple[Path, int]], channels: int, count: int) -> str:
    named = [f"{folder.names([path])[0]} has {found}" for path, found in sorted(odd)]
    return (
        f"{len(odd)} of {count} crops differ from the others in their channels, {listed(named)}; expected {channels} "
        "in all: move those files away or convert them"
    )


def _read(crop: Crop, channels: int, size: int, odd: list[tuple[Path, int]], facts: list[str]) -> np.ndarray:
    """(C + 1, S, S); crops of other than C channels go to `odd`, what is unusual to `facts`."""
    pixels = read_pixels(crop.path)
    crop_CHW = pixels.values_CHW
    if len(crop_CHW) != channels:
        odd.append((crop.path, len(crop_CHW)))
        raise DataError(str(crop.path), [f"has {len(crop_CHW)} channels; expected {channels}"])
    found = [EXTRA] * pixels.extra
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
    mask_HW: np.ndarray = (pixels.values_CHW != 0).any(axis=0)
    if mask_HW.shape != shape:
        found, expected = (" × ".join(map(str, sides)) for sides in (mask_HW.shape, shape))
        raise DataError(str(path), [f"its mask {path.name} is of {found} pixels; expected {expected}"])
    return mask_HW
