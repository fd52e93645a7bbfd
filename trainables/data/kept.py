"""The prepared data sets of a storage: which there are, and how to be rid of them."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainables.data import remote
from trainables.data.errors import DataError

FOLDER = "data"  # of a storage
SUFFIX = ".arrow"
UNFINISHED = ".*.partial"  # see `trainables.files.replace_file`
ABANDONED = 3600.0  # seconds since the last write


@dataclass(frozen=True)
class Kept:
    """A prepared data set, the files fetched from an address, or what a preparation that was killed has left.

    Args:
        source: what the user gave, or what is wrong with the file.
        samples: None of what is no data set.
        size: in bytes.
        made: seconds since the epoch.
    """

    path: Path
    source: str
    samples: int | None
    size: int
    made: float
    in_use: bool

    @property
    def name(self) -> str:
        """As `clear` takes it."""
        return self.path.name.removesuffix(SUFFIX)


class Hold:
    """Marks a file as in use while it lives, where the file system has locks."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def __del__(self) -> None:
        os.close(self._file)


def in_use(path: Path) -> bool:
    """Whether some process has the data set open; not known, and False, where the file system has no locks."""
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False


def kept(storage: Path) -> list[Kept]:
    """All of a storage, the largest first."""
    from trainables.data.store import open_dataset

    found = []
    for path in (storage / FOLDER).glob(f"*{SUFFIX}"):
        used, told = in_use(path), path.stat()
        try:
            dataset = open_dataset(path)
            source, samples = dataset.source, len(dataset)
        except DataError:
            source, samples = "cannot be read: it is made again when it is needed", None
        found.append(Kept(path, source, samples, told.st_size, told.st_mtime, used))
    for path in (storage / FOLDER).glob(UNFINISHED):
        told = path.stat()
        writing = time.time() - told.st_mtime < ABANDONED
        found.append(Kept(path, "of a preparation that did not end", None, told.st_size, told.st_mtime, writing))
    for state in (storage / FOLDER / remote.FOLDER).glob("*.json"):
        source = f"files of {json.loads(state.read_text(encoding='utf-8'))['source']}"
        size = sum(path.stat().st_size for path in state.with_suffix("").rglob("*") if path.is_file())
        found.append(Kept(state.with_suffix(""), source, None, size, state.stat().st_mtime, in_use=False))
    return sorted(found, key=lambda each: -each.size)


def clear(chosen: Sequence[Kept]) -> list[Kept]:
    """Remove those that nobody uses; what was removed."""
    removed = [each for each in chosen if not each.in_use]
    for each in removed:
        if each.path.is_dir():
            shutil.rmtree(each.path)
            each.path.with_suffix(".json").unlink()
        else:
            each.path.unlink(missing_ok=True)
    return removed
