"""A data set on disk: one Arrow IPC file, written once, memory-mapped by every trial.

One record batch, a row per sample:

    x            fixed_size_list<float or uint8>   a sample, row-major; shape in the metadata
    label        string                            null if there are no labels
    environment  string                            null if there are none
    order        int64      a fixed permutation; the first `train` entries are the training set

The schema's metadata hold the rest: a JSON object under `data set`, the statistics as npy bytes, and a checksum of
everything but the samples, which stay unread until they are used.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.data.blocks import sample_blocks
from trainables.data.errors import DataError
from trainables.data.samples import Samples
from trainables.files import replace_file

FORMAT_VERSION = 2
MINIMUM_SAMPLES = 10
TRAIN_SHARE = 0.8
SPLIT_SEED = 20_210_411  # of the stored split, which all trials with seed 0 share; others draw theirs from it
_HEADER = b"data set"
_STATISTIC = b"statistic/"
_CHECKSUM = b"checksum"


@dataclass(frozen=True, eq=False)
class Dataset:
    """An opened data set. Pickles as its path, so that a worker maps the file instead of receiving a copy.

    Args:
        path: the file.
        source: what the user gave.
        fingerprint: sha256 (hex) of samples, labels, environments and split.
        shape: of a sample.
        x: (N, *shape) float32 or uint8, a read-only view of the mapping; see `read`.
        labels: one a sample; None if there are none.
        environments: one a sample; None if there are none.
        train, val: int64 indices, both in random order, so that any beginning is a random subset.
        statistics: those of the reader, by name.
        notes: peculiarities that the user should know of.
        embedded: True for the data set that a model brings along.
    """

    path: Path
    source: str
    fingerprint: str
    shape: tuple[int, ...]
    x: np.ndarray
    labels: list[str] | None
    environments: list[str] | None
    train: np.ndarray
    val: np.ndarray
    statistics: dict[str, np.ndarray]
    notes: tuple[str, ...]
    embedded: bool

    def __len__(self) -> int:
        return len(self.x)

    def read(self, index: np.ndarray) -> np.ndarray:
        """A copy of those samples, float32; bytes become [0, 1]."""
        x = self.x[index]
        return x if x.dtype == np.float32 else x.astype(np.float32) / 255

    @cached_property
    def classes(self) -> np.ndarray:
        """The class of every sample, (N,) int64: the place of its label among all labels, −1 without labels."""
        if self.labels is None:
            return np.full(len(self), -1)
        return np.unique(self.labels, return_inverse=True)[1].astype(np.int64)

    def split(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Training and validation indices for trials with `seed`, int64: the stored ones for 0, else both drawn anew
        from the two together, in the same sizes, always the same for a seed.
        """
        if seed == 0:
            return self.train, self.val
        both = np.sort(np.concatenate([self.train, self.val]))
        order = np.random.default_rng([SPLIT_SEED, seed]).permutation(both)
        return order[: len(self.train)], order[len(self.train) :]

    def environment(self, number: int) -> np.ndarray:
        """Which samples come from the environment `number`, counted from 0 in sorted order, (N,) bool.

        Raises:
            DataError: there is no such environment.
        """
        names = sorted(set(self.environments or []))
        if not 0 <= number < len(names):
            there = f"expected 0 to {len(names) - 1} ({', '.join(names)})" if names else "the data has none"
            raise DataError(self.source, [f"no environment {number}; {there}"])
        return np.array(self.environments) == names[number]

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return open_dataset, (self.path,)


def split(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation indices of `count` samples, 80 : 20, always the same."""
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    trained = round(TRAIN_SHARE * count)
    return order[:trained], order[trained:]


def write_dataset(path: Path, samples: Samples, statistics: Mapping[str, np.ndarray]) -> None:
    """Write `samples` to `path` atomically.

    Raises:
        DataError: there are fewer than `MINIMUM_SAMPLES` samples.
    """
    count, *shape = samples.x.shape
    if count < MINIMUM_SAMPLES:
        raise DataError(samples.source, [too_few(count)])
    train, val = split(count)
    order = np.concatenate([train, val])
    header = {
        "version": FORMAT_VERSION,
        "source": samples.source,
        "fingerprint": _fingerprint(samples, train, val),
        "shape": shape,
        "train": len(train),
        "notes": list(samples.notes),
        "embedded": samples.embedded,
    }
    metadata = {_HEADER: json.dumps(header).encode()}
    metadata |= {_STATISTIC + name.encode(): _to_npy(value) for name, value in statistics.items()}
    metadata[_CHECKSUM] = _checksum(metadata, order, samples.labels, samples.environments)
    values = pa.array(_stored(samples.x).reshape(-1))
    columns = {
        "x": pa.FixedSizeListArray.from_arrays(values, math.prod(shape)),
        "label": pa.array(samples.labels or [None] * count, pa.string()),
        "environment": pa.array(samples.environments or [None] * count, pa.string()),
        "order": pa.array(order),
    }
    batch = pa.RecordBatch.from_pydict(columns).replace_schema_metadata(metadata)
    with replace_file(path) as file, pa.ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)


def open_dataset(path: Path) -> Dataset:
    """Map the data set at `path`; no sample is read.

    Raises:
        DataError: the file is absent, damaged, or of another version.
    """
    try:
        batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        order, labels, environments = _small_columns(batch)
        metadata = batch.schema.metadata or {}
        if metadata.pop(_CHECKSUM) != _checksum(metadata, order, labels, environments):
            raise ValueError("checksum does not match")
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        problem = f"not a complete data set file ({error}); delete it, it is made again"
        raise DataError(str(path), [problem]) from error
    header = json.loads(metadata[_HEADER])
    if header["version"] != FORMAT_VERSION:
        found = f"format version {header['version']}, expected {FORMAT_VERSION}"
        raise DataError(str(path), [f"{found}; delete it, it is made again"])
    return Dataset(
        path=Path(path),
        source=header["source"],
        fingerprint=header["fingerprint"],
        shape=tuple(header["shape"]),
        x=batch["x"].values.to_numpy(zero_copy_only=True).reshape(len(order), *header["shape"]),
        labels=labels,
        environments=environments,
        train=order[: header["train"]],
        val=order[header["train"] :],
        statistics={
            name.removeprefix(_STATISTIC).decode(): np.load(io.BytesIO(value), allow_pickle=False)
            for name, value in metadata.items()
            if name.startswith(_STATISTIC)
        },
        notes=tuple(header["notes"]),
        embedded=header["embedded"],
    )


def too_few(count: int) -> str:
    """The problem of a source with `count` samples."""
    return f"{count} samples; at least {MINIMUM_SAMPLES} are needed, a fifth of them for validation"


def _stored(x: np.ndarray) -> np.ndarray:
    """`x` as it is written: bytes as bytes, all else as float32; no copy if none is needed."""
    return np.ascontiguousarray(x, dtype=None if x.dtype == np.uint8 else np.float32)


def _small_columns(batch: pa.RecordBatch) -> tuple[np.ndarray, list[str] | None, list[str] | None]:
    """Order, labels, environments; raises `pa.ArrowInvalid` rather than reading outside the file."""
    batch.validate()
    names = []
    for column in (batch["label"], batch["environment"]):
        column.validate(full=True)
        names.append(None if column.null_count else column.to_pylist())
    return batch["order"].to_numpy(), *names


def _checksum(
    metadata: Mapping[bytes, bytes], order: np.ndarray, labels: list[str] | None, environments: list[str] | None
) -> bytes:
    digest = hashlib.sha256(json.dumps([labels, environments]).encode() + order.tobytes())
    for name, value in sorted(metadata.items()):
        digest.update(name + value)
    return digest.hexdigest().encode()


def _fingerprint(samples: Samples, train: np.ndarray, val: np.ndarray) -> str:
    digest = hashlib.sha256(json.dumps([samples.x.shape, samples.labels, samples.environments]).encode())
    for index in (train, val):
        digest.update(np.ascontiguousarray(index, dtype="<i8").data)
    for block in sample_blocks(samples.x.shape):
        digest.update(_stored(samples.x[block]).data)
    return digest.hexdigest()


def _to_npy(value: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return buffer.getvalue()
