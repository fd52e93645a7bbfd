"""Folders of grey images, and the reader of the models that train on them.

A sample is (1, S, S) uint8, 0 black, 255 white. The whole image is kept: it is resized (antialiased, proportions
kept) until its longer side is S, and centred on black, as viewers of medical images show it.

8-bit images are taken as they are. 16-bit and floating-point images are stretched, each by itself, so that its 0.5
percentile is black and its 99.5 percentile white. DICOM is windowed as the file asks, see `trainables.data.dicom`.
Colour becomes luminance (ITU-R BT.601).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.blocks import allocate
from trainables.data.decode import compact, decode, keep_readable
from trainables.data.dicom import is_dicom, patient_ids, read_dicom
from trainables.data.embedded_grey import embedded_grey
from trainables.data.folders import find_files, refuse_identical
from trainables.data.image_files import SUFFIXES, luminance, read_pixels, stretched, to_colour
from trainables.data.samples import Samples, subset

DICOM_SUFFIXES = {".dcm", ".dicom"}
ACCEPTED = (
    "a folder of grey images, in as many folders below it as you like (their names become the labels): PNG, JPEG, "
    "TIFF or BMP of 8 or 16 bit, or DICOM with one frame a file"
)


def read_grey_images(source: str, size: int, count: int | None, strict: bool) -> Samples:
    """The images of a folder.

    Args:
        source: the folder.
        size: S, pixels a side.
        count: how many of the images, chosen at random, are read; None for all.
        strict: refuse damaged files instead of leaving them out.

    Raises:
        DataError: with everything that is wrong.
    """
    folder = find_files(source, _wanted, ACCEPTED)
    files = [folder.files[index] for index in subset(len(folder.files), None, count)]
    facts: list[str] = []
    x = allocate((len(files), 1, size, size), np.uint8)
    problems = decode(files, partial(_read, size=size, facts=facts), "reading images", x)
    kept, left_out = keep_readable(source, folder.names(files), problems, strict)
    x, files = compact(x, kept), [files[index] for index in kept]
    refuse_identical(source, x)
    seen = tuple(f"{number} of {len(files)} images {fact}" for fact, number in sorted(Counter(facts).items()))
    notes = (*folder.notes, *left_out, *seen)
    patients = patient_ids([path for path in files if _is_dicom(path)])
    groups = [patients.get(path, name) for path, name in zip(files, folder.names(files), strict=True)]
    samples = Samples(x, source, folder.labels(files), folder.names(files), notes)
    return replace(samples, groups=groups, grouped_by="DICOM PatientID") if patients else samples


def fitted(values_HW: np.ndarray, size: int) -> np.ndarray:
    """(1, S, S) uint8 from uint8, or from float32 in [0, 1]: the whole image, centred on black."""
    from PIL import Image

    height, width = (max(1, round(side * size / max(values_HW.shape))) for side in values_HW.shape)
    resized = Image.fromarray(values_HW).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    values = np.asarray(resized)
    if values.dtype != np.uint8:
        values = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    sample = np.zeros((1, size, size), np.uint8)
    sample[0, top : top + height, left : left + width] = values
    return sample


class GreyImageReader:
    """Reads grey images; see `trainables.data.cache.Reader`."""

    name = "grey_images"
    version = 1
    named = ()

    @staticmethod
    def read(source: str, settings: Mapping[str, Any]) -> Samples:
        """See `read_grey_images`."""
        return read_grey_images(source, settings["image_size"], settings["subset"], settings["strict"])

    @staticmethod
    def embedded(settings: Mapping[str, Any]) -> Samples:
        """See `embedded_grey`."""
        return embedded_grey(settings["image_size"])

    @staticmethod
    def statistics(samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """None are needed."""
        return {}


def _wanted(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or _is_dicom(path)


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() in DICOM_SUFFIXES or is_dicom(path)


def _read(path: Path, size: int, facts: list[str]) -> np.ndarray:
    """(1, S, S) uint8; what is unusual goes to `facts`."""
    found = []
    if _is_dicom(path):
        values = read_dicom(path)
    else:
        pixels = read_pixels(path, size)
        colour_CHW, values = to_colour(path, pixels), pixels.values
        if colour_CHW is not None:
            found.append("are stored in colour: their luminance is used")
            values = luminance(colour_CHW)
        if values.dtype != np.uint8:
            found.append("have more than 8 bits: each is stretched from its 0.5 to its 99.5 percentile")
            values = stretched(values)
    if max(values.shape) < size:
        found.append(f"are smaller than {size} × {size}: they are enlarged")
    if values.shape[0] != values.shape[1]:
        found.append("are not square: they are centred on black")
    if values.min() == values.max():
        found.append("hold one value only")
    facts += found
    return fitted(values, size)
