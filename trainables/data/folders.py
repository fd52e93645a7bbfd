"""Folders of image files: what lies in them, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.decode import listed
from trainables.data.errors import DataError, readable
from trainables.data.store import MINIMUM_SAMPLES

LITTER = {"thumbs.db", "desktop.ini", "dicomdir", "__macosx"}


class Folder(NamedTuple):
    """What lies below a folder.

    Args:
        root: the folder.
        files: those that are wanted, sorted.
        companions: those that belong to wanted ones, sorted.
        notes: on all others, if there are any.
    """

    root: Path
    files: list[Path]
    companions: list[Path]
    notes: tuple[str, ...]

    def names(self, files: Sequence[Path]) -> list[str]:
        """Paths below the root."""
        return [readable(path.relative_to(self.root).as_posix()) for path in files]

    def labels(self, files: Sequence[Path]) -> list[str] | None:
        """The name of the folder that holds each file; None if that is the same for all."""
        labels = [readable(path.parent.name) for path in files]
        return labels if len(set(labels)) > 1 else None


def find_files(
    source: str, wanted: Callable[[Path], bool], accepted: str, companion: Callable[[Path], bool] = lambda path: False
) -> Folder:
    """The files below the folder `source`. Hidden ones and the litter of operating systems do not count.

    Args:
        source: as the user gave it.
        wanted: tells which files are samples.
        accepted: what the source may be, for the user.
        companion: tells which files belong to a sample; they are no samples whatever `wanted` says.

    Raises:
        DataError: there is no such folder, or fewer than `MINIMUM_SAMPLES` wanted files are in it.
    """
    root = Path(source)
    if not root.is_dir():
        found = "a file, expected a folder" if root.exists() else "no such folder"
        raise DataError(source, [f"{found}; accepted is {accepted}"])
    there = sorted(_walk(source))
    companions = [path for path in there if companion(path)]
    files = [path for path in there if wanted(path) and not companion(path)]
    others = [readable(path.relative_to(root).as_posix()) for path in sorted({*there} - {*files, *companions})]
    besides = f"{_files(len(others))} of another kind: {listed(others)}" if others else ""
    if len(files) < MINIMUM_SAMPLES:
        found = _files(len(files)) if there else "the folder is empty"
        problem = f"{found}; at least {MINIMUM_SAMPLES} are needed, a fifth of them for validation"
        raise DataError(source, [problem, *filter(None, [besides]), f"accepted is {accepted}"])
    return Folder(root, files, companions, (f"left out are {besides}",) if others else ())


def refuse_identical(source: str, x: np.ndarray) -> None:
    """Raises `DataError` if all samples are the same: there would be nothing to learn."""
    if all(np.array_equal(sample, x[0]) for sample in x[1:]):
        raise DataError(source, [f"all {len(x)} samples are identical; expected samples that differ"])


def _walk(source: str) -> list[Path]:
    """All files that count; links to folders are followed, each folder once."""
    found: list[Path] = []
    seen: set[str] = set()

    def refuse(error: OSError) -> None:
        raise DataError(source, [f"the folder {error.filename} cannot be listed ({error.strerror})"])

    for folder, folders, files in os.walk(source, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if _counts(name)]
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        found += [Path(folder, name) for name in files if _counts(name)]
    return found


def _counts(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in LITTER


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
