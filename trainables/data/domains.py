"""Colour images from several environments, and the reader of the models that generalise over them.

The layout is DomainBed's, root/ENVIRONMENT/CLASS/image, or that in each folder of a split, root/train/ENVIRONMENT/…;
an environment is a hospital or a camera. A sample is (3, S, S) uint8, red, green and blue: resized (antialiased)
until the shorter side is S, the middle of it. What white is in images that do not say it (16 bits may hold 12) is
one decision for each environment, see `trainables.data.white`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.blocks import allocate
from trainables.data.decode import compact, decode, keep_readable, listed
from trainables.data.embedded_fundus import embedded_fundus
from trainables.data.errors import DataError, readable
from trainables.data.folders import Folder, find_files, refuse_identical
from trainables.data.image_files import SUFFIXES, read_pixels
from trainables.data.pixels import Pixels, to_colour
from trainables.data.samples import Samples, subset
from trainables.data.splitting import FOLDERS
from trainables.data.white import Range, to_bytes, whites_of

ACCEPTED = (
    "a folder with a folder for each environment (hospital, camera), in it a folder for each class, in these the "
    "images: ENVIRONMENT/CLASS/image.png, or train/ENVIRONMENT/CLASS/image.png; PNG, JPEG, TIFF or BMP, of at least "
    "two environments"
)


def read_domains(source: str, size: int, count: int | None, strict: bool) -> Samples:
    """The images of a folder in DomainBed's layout.

    Args:
        source: the folder.
        size: S, pixels a side.
        count: how many images of each environment, chosen at random, are read; None for all.
        strict: refuse damaged files instead of leaving them out.

    Raises:
        DataError: with everything that is wrong.
    """
    folder = find_files(source, lambda path: path.suffix.lower() in SUFFIXES, ACCEPTED)
    files, misplaced = _placed(source, folder)
    chosen = subset(len(files), [environment(folder.root, path) for path in files], count)
    files = [files[index] for index in chosen]
    x = allocate((len(files), 3, size, size), np.uint8)
    facts: list[str] = []
    problems, levels = _read_all(folder.root, files, size, x, facts)
    kept, left_out = keep_readable(source, folder.names(files), problems, strict)
    x, files = compact(x, kept), [files[index] for index in kept]
    refuse_identical(source, x)
    environments = [environment(folder.root, path) for path in files]
    labels = [_folders(folder.root, path)[1] for path in files]
    refuse_one_environment(source, environments)
    seen = tuple(f"{number} of {len(files)} images {fact}" for fact, number in sorted(Counter(facts).items()))
    notes = (*folder.notes, *misplaced, *left_out, *seen, *levels, *_lacking(environments, labels))
    return Samples(x, source, labels, folder.names(files), notes, environments=environments)


def environment(root: Path, path: Path) -> str:
    """The first folder on the way from the root, or from the folder of a split."""
    return _folders(root, path)[0]


def refuse_one_environment(source: str, environments: Sequence[str]) -> None:
    """Raises `DataError` for fewer than two environments."""
    names = sorted(set(environments))
    if len(names) < 2:
        problem = (
            f"one environment ({names[0]}); expected at least two, one to hold out and one to train on: if the "
            "images come from several hospitals, cameras or days, give each a folder of its own"
        )
        raise DataError(source, [problem, f"accepted is {ACCEPTED}"])


def cropped(values_CHW: np.ndarray, size: int) -> np.ndarray:
    """(3, S, S) uint8 from (3, H, W) uint8: the largest centred square."""
    from PIL import Image

    height, width = values_CHW.shape[1:]
    side = min(height, width)
    top, left = (height - side) / 2, (width - side) / 2
    image = Image.fromarray(np.ascontiguousarray(values_CHW.transpose(1, 2, 0)))
    box = (left, top, left + side, top + side)
    resized = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    return np.asarray(resized).transpose(2, 0, 1)


class DomainReader:
    """Reads images of several environments; see `trainables.data.cache.Reader`."""

    name = "domains"
    version = 2
    named = ()

    @staticmethod
    def read(source: str, settings: Mapping[str, Any]) -> Samples:
        """See `read_domains`."""
        return read_domains(source, settings["image_size"], settings["subset"], settings["strict"])

    @staticmethod
    def embedded(settings: Mapping[str, Any]) -> Samples:
        """See `embedded_fundus`."""
        return embedded_fundus(settings["image_size"])

    @staticmethod
    def statistics(samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """Statistics of the training samples; classes (of all samples) in sorted order.

        Returns:
            class_counts: (K,) int64, training samples of each.

        Raises:
            ValueError: the samples have no labels.
        """
        if samples.labels is None:
            raise ValueError(f"{samples.source}: expected labels, one a sample; found none")
        classes = np.unique(samples.labels, return_inverse=True)[1]
        return {"class_counts": np.bincount(classes[train_index], minlength=classes.max() + 1)}


def _placed(source: str, folder: Folder) -> tuple[list[Path], tuple[str, ...]]:
    """The files that have an environment and a class, and a note on the others."""
    files = [path for path in folder.files if len(_folders(folder.root, path)) >= 2]
    if not files:
        problem = f"images are not in folders of an environment and a class, such as {folder.names(folder.files)[0]}"
        if any(path.relative_to(folder.root).parts[0].lower() in FOLDERS for path in folder.files):
            problem += f" ({', '.join(FOLDERS)} are parts of a split, no environments)"
        raise DataError(source, [problem, f"accepted is {ACCEPTED}"])
    refuse_one_environment(source, [environment(folder.root, path) for path in files])
    misplaced = sorted(set(folder.files) - set(files))
    if not misplaced:
        return files, ()
    names = listed(folder.names(misplaced))
    return files, (f"left out are {len(misplaced)} images outside ENVIRONMENT/CLASS folders: {names}",)


def _lacking(environments: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    there = set(zip(environments, labels, strict=True))
    notes = []
    for name in sorted(set(environments)):
        absent = [label for label in sorted(set(labels)) if (name, label) not in there]
        if absent:
            notes.append(f"environment {name} has no images of class {', '.join(absent)}")
    return tuple(notes)


def _folders(root: Path, path: Path) -> tuple[str, ...]:
    """Those on the way to a file, without that of a split."""
    folders = tuple(readable(name) for name in path.relative_to(root).parts[:-1])
    return folders[1:] if folders and folders[0].lower() in FOLDERS else folders


def _read_all(
    root: Path, files: Sequence[Path], size: int, x: np.ndarray, facts: list[str]
) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """Fills `x`; problems, and notes on what was taken for white. What is unusual goes to `facts`.

    Images that do not say what white is are read twice: first for the range of their environment.
    """
    ranges: dict[int, Range] = {}

    def read(index: int) -> None:
        pixels = read_pixels(files[index], size)
        values_CHW = _colour(files[index], pixels)
        facts.extend(pixels.facts())
        if pixels.white is None:
            ranges[index] = Range.of(values_CHW)
        else:
            x[index] = cropped(to_bytes(values_CHW, pixels.white), size)

    def read_again(index: int) -> None:
        path = files[index]
        x[index] = cropped(to_bytes(_colour(path, read_pixels(path, size)), whites[index]), size)

    problems = decode(range(len(files)), read, "reading images", [None] * len(files))
    whites, unknown, notes = whites_of(ranges, {index: environment(root, files[index]) for index in ranges})
    known = sorted(whites)
    again = decode(known, read_again, "reading them again", [None] * len(known))
    return sorted([*problems, *unknown, *((known[place], problem) for place, problem in again)]), notes


def _colour(path: Path, pixels: Pixels) -> np.ndarray:
    """(3, H, W); of grey three times the same."""
    colour_CHW = to_colour(path, pixels)
    return np.broadcast_to(pixels.values_CHW, (3, *pixels.values_CHW.shape[1:])) if colour_CHW is None else colour_CHW
