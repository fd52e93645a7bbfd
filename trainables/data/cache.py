"""Data sets are read once and kept; a second start opens the file that the first one wrote."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trainables.data.errors import DataError, readable
from trainables.data.groups import parted
from trainables.data.remote import ADDRESSES, fetched
from trainables.data.samples import Samples, subset
from trainables.data.store import FORMAT_VERSION, MINIMUM_SAMPLES, Dataset, open_dataset, too_few, write_dataset


class Reader(Protocol):
    """How a kind of data is read.

    `name` and `version` enter the cache's key: raise `version` when the same source is read differently.
    `named` are the data sets known by name, and addresses that the reader reads by itself.
    """

    name: str
    version: int
    named: Container[str]

    def read(self, source: str, settings: Mapping[str, Any]) -> Samples:
        """The samples of a file, folder or named data set; raises `DataError` with everything that is wrong.

        Folders need not be decoded whole for `settings["subset"]`: see `trainables.data.samples.subset`.
        """

    def embedded(self, settings: Mapping[str, Any]) -> Samples:
        """The data set that needs no files."""

    def statistics(self, samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """What models need to know of the training samples."""


DEFAULTS = {"subset": None, "strict": False, "group": None}


def prepare(
    reader: Reader, source: str | None, cache_root: Path, settings: Mapping[str, Any] | None = None
) -> Dataset:
    """The data set of `source` (None: the embedded one), from the cache if the source has not changed since.

    Args:
        reader: of the model.
        source: a file, a folder, the name of a data set, or an address; see `trainables.data.remote`.
        cache_root: the folder of the Arrow files.
        settings: the model's hyperparameters of the data (such as `image_size`), `subset` (samples of each
            environment; None: all), `group` (see `trainables.data.groups`) and `strict` (refuse what is damaged
            instead of leaving it out).

    Raises:
        DataError: the source is refused.
    """
    settings = DEFAULTS | dict(settings or {})
    if source is None or source in reader.named or source not in ADDRESSES:
        return _prepared(reader, source, cache_root, settings)
    place = str(fetched(source, cache_root))
    try:
        return _prepared(reader, place, cache_root, settings, source)
    except DataError as error:
        raise DataError(source, error.problems) from error


def _prepared(
    reader: Reader, source: str | None, cache_root: Path, settings: Mapping[str, Any], address: str | None = None
) -> Dataset:
    """That of `source`, the copy of what is at `address` if that is given."""
    path = cache_path(reader, source, cache_root, settings)
    if path.exists():
        with suppress(DataError):  # damaged: made again below
            return open_dataset(path)
    samples = reader.embedded(settings) if source is None else reader.read(source, settings)
    samples.source = readable(address or samples.source)
    if settings["subset"] is not None:
        samples = samples.chosen(subset(len(samples.x), samples.environments, settings["subset"]))
    if len(samples.x) < MINIMUM_SAMPLES:
        raise DataError(samples.source, [too_few(len(samples.x))])
    samples, parting = parted(samples, settings["group"])
    statistics = reader.statistics(samples, parting.split().train)
    cache_root.mkdir(parents=True, exist_ok=True)
    write_dataset(path, samples, statistics, parting)
    return open_dataset(path)


def cache_path(reader: Reader, source: str | None, cache_root: Path, settings: Mapping[str, Any]) -> Path:
    """Where the data set of `source` is kept: the name tells the source's state, reader, settings and formats."""
    state = [FORMAT_VERSION, reader.name, reader.version, dict(settings), _identity(reader, source)]
    key = json.dumps(state, sort_keys=True)
    return cache_root / f"{reader.name}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.arrow"


def _identity(reader: Reader, source: str | None) -> list[Any]:
    """What changes when the source's content does: path, size and time of last change of each of its files."""
    if source is None or source in reader.named:
        return [source]
    root = Path(source).resolve()
    files = sorted(_files_below(root)) if root.is_dir() else [root]
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.exists()]


def _files_below(root: Path) -> Iterator[Path]:
    """All files, in linked folders too, each folder once."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        yield from (Path(folder, name) for name in names)
