"""Grids of patch embeddings: what may be given as `--data`, and the reader of the models that train on them.

A sample is (rows, columns, channels) float32; the documented one is 6 × 6 × 512.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data import idx
from trainables.data.arrays import read_archive, read_array
from trainables.data.checks import checked_grids
from trainables.data.digits import read_digits
from trainables.data.embedded import embedded_grids
from trainables.data.errors import DataError
from trainables.data.idx import read_idx
from trainables.data.normalise import grid_statistics
from trainables.data.parquet import read_parquet
from trainables.data.samples import Samples

NAMED: dict[str, Callable[[], Samples]] = {"digits": read_digits}
FORMATS: dict[str, Callable[[Path], Samples]] = {
    ".npy": read_array,
    ".npz": read_archive,
}
ACCEPTED = (
    "accepted are a Parquet file (.parquet) with a row per node (columns sample, row, col and one list of floats) or "
    "a row per sample (one list of floats), a NumPy file (.npy, .npz) of shape (samples, rows, cols, channels) or "
    f"(samples, positions, channels), MNIST's and Fashion-MNIST's files of images (…-{idx.NAMED}, .gz or not), and "
    f"the named data sets: {', '.join(NAMED)}"
)


def read_grids(source: str, group: str | None = None) -> Samples:
    """Read and check a file or a named data set.

    Args:
        source: as the user gave it.
        group: the column of a Parquet file that names what is never parted.

    Raises:
        DataError: with everything that is wrong with it.
    """
    if source in NAMED:
        return checked_grids(NAMED[source]())
    path = Path(source)
    if not path.exists():
        raise DataError(source, [f"no such file, and no data set of that name; {ACCEPTED}"])
    if path.is_dir():
        raise DataError(source, [f"a folder, expected a file; {ACCEPTED}"])
    formats = FORMATS | {".parquet": partial(read_parquet, group=group)}
    read = read_idx if idx.NAMED in path.name else formats.get(path.suffix.lower())
    if read is None:
        raise DataError(source, [f"files ending in {path.suffix or 'nothing'!r} are not read; {ACCEPTED}"])
    if path.stat().st_size == 0:
        raise DataError(source, ["the file is empty (0 bytes); write it again"])
    samples = read(path)
    samples.source = source
    return checked_grids(samples)


class GridReader:
    """Reads grids; see `trainables.data.cache.Reader`."""

    name = "grids"
    version = 1
    named = tuple(NAMED)

    @staticmethod
    def read(source: str, settings: Mapping[str, Any]) -> Samples:
        """See `read_grids`."""
        return read_grids(source, settings.get("group"))

    @staticmethod
    def embedded(settings: Mapping[str, Any]) -> Samples:
        """See `embedded_grids`."""
        return embedded_grids()

    @staticmethod
    def statistics(samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """See `grid_statistics`."""
        return grid_statistics(samples.x, train_index)
