"""Data sets are read once and kept; a second start opens the file that the first one wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainables.data.errors import DataError
from trainables.data.samples import Samples
from trainables.data.store import FORMAT_VERSION, Dataset, open_dataset, split, write_dataset


class Reader(Protocol):
    """How a kind of data is read.

    `name` and `version` enter the cache's key: raise `version` when the same source is read differently.
    `named` are the data sets known by name.
    """

    name: str
    version: int
    named: Collection[str]

    def read(self, source: str) -> Samples:
        """The samples of a file, folder or named data set; raises `DataError` with everything that is wrong."""

    def embedded(self) -> Samples:
        """The data set that needs no files."""

    def statistics(self, x: np.ndarray, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """What models need to know of the training samples."""


def prepare(reader: Reader, source: str | None, cache_root: Path) -> Dataset:
    """The data set of `source` (None: the embedded one), from the cache if the source has not changed since.

    Raises:
        DataError: the source is refused.
    """
    path = cache_path(reader, source, cache_root)
    if path.exists():
        with suppress(DataError):  # damaged: made again below
            return open_dataset(path)
    samples = reader.embedded() if source is None else reader.read(source)
    statistics = reader.statistics(samples.x, split(len(samples.x))[0])
    cache_root.mkdir(parents=True, exist_ok=True)
    write_dataset(path, samples, statistics)
    return open_dataset(path)


def cache_path(reader: Reader, source: str | None, cache_root: Path) -> Path:
    """Where the data set of `source` is kept: the name tells the source's state, the reader and both formats."""
    key = json.dumps([FORMAT_VERSION, reader.name, reader.version, _identity(reader, source)])
    return cache_root / f"{reader.name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.arrow"


def _identity(reader: Reader, source: str | None) -> list[Any]:
    """What changes when the source's content does: path, size and time of last change of each of its files."""
    if source is None or source in reader.named:
        return [source]
    root = Path(source).resolve()
    files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.exists()]
