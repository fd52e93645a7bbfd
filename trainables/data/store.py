"""A data set on disk: one Arrow IPC file, written once, memory-mapped by every trial.

A row per sample; one record batch of what was in memory, or several of what never was:

    x            fixed_size_list<float or uint8>   a sample, row-major; shape in the metadata
    field/NAME   fixed_size_list                   what models read beside x; see `trainables.data.columns`
    label        string                            null if there are no labels
    environment  string                            null if there are none
    group        int64      what of the samples is never parted
    order        int64      the samples of the parts, one behind the other; their sizes are in the metadata

The schema's metadata hold the rest: a JSON object under `data set`, the statistics as npy bytes, and a checksum of
everything but the samples, which stay unread until they are used.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.data.blocks import sample_blocks
from trainables.data.columns import FIELD, described, field_columns, mapped, stored, to_arrow
from trainables.data.errors import DataError
from trainables.data.fields import categories, is_category
from trainables.data.kept import Hold
from trainables.data.rows import LazyRows, Rows
from trainables.data.samples import Samples
from trainables.data.splitting import Parting, Split
from trainables.files import replace_file

FORMAT_VERSION = 3
MINIMUM_SAMPLES = 10
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
        x: (N, *shape) float32 or uint8 in the mapping, read-only; see `read`.
        labels: one a sample; None if there are none.
        environments: one a sample; None if there are none.
        train, val, test: int64 indices, each in random order, so that any beginning is a random subset; see `split`.
        group: (N,) int64, what of the samples is never parted; all differ where nothing is known.
        grouping: what the groups are, as a sentence; '' where all differ.
        given_val: whether the source says what validates, so that no seed draws it.
        statistics: those of the reader, by name.
        notes: peculiarities that the user should know of.
        embedded: True for the data set that a model brings along.
        fields: what models read beside x, by name, (N, …) each; of categories (N,) int64, their places among the
            statistic of that name.
        held: what keeps `python -m trainables.data clear` from removing the file.
    """

    path: Path
    source: str
    fingerprint: str
    shape: tuple[int, ...]
    x: Rows
    labels: list[str] | None
    environments: list[str] | None
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    group: np.ndarray
    grouping: str
    given_val: bool
    statistics: dict[str, np.ndarray]
    notes: tuple[str, ...]
    embedded: bool
    fields: Mapping[str, Rows] = field(default_factory=dict)
    held: Hold | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def nbytes(self) -> int:
        """Of all samples and fields."""
        return sum(math.prod(rows.shape) * rows.dtype.itemsize for rows in (self.x, *self.fields.values()))

    def rows(self, index: np.ndarray) -> np.ndarray:
        """A copy of those samples as they are kept."""
        rows: np.ndarray = self.x[index]
        return rows

    def read(self, index: np.ndarray) -> np.ndarray:
        """A copy of those samples, float32; bytes become [0, 1]."""
        x = self.rows(index)
        return x if x.dtype == np.float32 else x.astype(np.float32) / 255

    @cached_property
    def classes(self) -> np.ndarray:
        """The class of every sample, (N,) int64: the place of its label among all labels, −1 without labels."""
        if self.labels is None:
            return np.full(len(self), -1)
        return np.unique(self.labels, return_inverse=True)[1].astype(np.int64)

    def split(self, seed: int) -> Split:
        """The parts for trials with `seed`: the stored ones for 0 and where the source gives them; else training and
        validation are drawn anew from the two together, by whole groups, in sizes as near to the same as those allow,
        always the same for a seed. The test part is the same for every seed.
        """
        parts = Split(self.train, self.val, self.test)
        return parts if seed == 0 or self.given_val else parts.redrawn(seed, self.group)

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


def write_dataset(
    path: Path, samples: Samples, statistics: Mapping[str, np.ndarray], parting: Parting | None = None
) -> None:
    """Write `samples` to `path` atomically, each a group of its own without `parting`.

    Raises:
        DataError: there are fewer than `MINIMUM_SAMPLES` samples.
    """
    count, *shape = samples.x.shape
    if count < MINIMUM_SAMPLES:
        raise DataError(samples.source, [too_few(count)])
    parting = parting or Parting(np.arange(count))
    parts = parting.split()
    order, columns = np.concatenate(parts), field_columns(samples.fields)
    header: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "source": samples.source,
        "fingerprint": _fingerprint(samples, columns, parts),
        "shape": shape,
        "parts": [len(part) for part in parts],
        "grouping": parting.told,
        "given_val": parting.gives_val,
        "notes": list(samples.notes),
        "embedded": samples.embedded,
    }
    header |= {"fields": described(columns)} if columns else {}
    metadata = {_HEADER: json.dumps(header).encode()}
    metadata |= {_STATISTIC + name.encode(): _to_npy(value) for name, value in statistics.items()}
    metadata[_CHECKSUM] = _checksum(metadata, order, parting.groups, samples.labels, samples.environments)
    with replace_file(path) as file:
        _write_batches(file, {"x": samples.x} | columns, samples, (order, parting.groups), metadata)


def open_dataset(path: Path) -> Dataset:
    """Map the data set at `path`; no sample is read.

    Raises:
        DataError: the file is absent, damaged, or of another version.
    """
    try:
        mapping = pa.memory_map(str(path))
        file = mapping.read_buffer(mapping.size())
        reader = pa.ipc.open_file(file)
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        (order, group), (labels, environments) = _small_columns(batches)
        metadata = reader.schema.metadata or {}
        if metadata.pop(_CHECKSUM) != _checksum(metadata, order, group, labels, environments):
            raise ValueError("checksum does not match")
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        problem = f"not a complete data set file ({error}); delete it, it is made again"
        raise DataError(str(path), [problem]) from error
    header = json.loads(metadata[_HEADER])
    if header["version"] != FORMAT_VERSION:
        found = f"format version {header['version']}, expected {FORMAT_VERSION}"
        raise DataError(str(path), [f"{found}; delete it, it is made again"])
    train, val, test = np.split(order, np.cumsum(header["parts"])[:-1])
    return Dataset(
        path=Path(path),
        source=header["source"],
        fingerprint=header["fingerprint"],
        shape=tuple(header["shape"]),
        x=mapped(file, batches, "x", header["shape"], batches[0]["x"].type.value_type.to_pandas_dtype()),
        labels=labels,
        environments=environments,
        train=train,
        val=val,
        test=test,
        group=group,
        grouping=header["grouping"],
        given_val=header["given_val"],
        statistics={
            name.removeprefix(_STATISTIC).decode(): np.load(io.BytesIO(value), allow_pickle=False)
            for name, value in metadata.items()
            if name.startswith(_STATISTIC)
        },
        notes=tuple(header["notes"]),
        embedded=header["embedded"],
        fields={
            name.removeprefix(FIELD): mapped(file, batches, name, shape, dtype)
            for name, (shape, dtype) in header.get("fields", {}).items()
        },
        held=Hold(path),
    )


def too_few(count: int) -> str:
    """The problem of a source with `count` samples."""
    return f"{count} samples; at least {MINIMUM_SAMPLES} are needed, to train, to validate and to test"


def _write_batches(
    file: Any,
    columns: Mapping[str, Rows],
    samples: Samples,
    numbers: tuple[np.ndarray, np.ndarray],
    metadata: Mapping[bytes, bytes],
) -> None:
    """All of the samples in one batch, or, where a column is not in memory, in blocks that are."""
    (order, group), lazy = numbers, any(isinstance(rows, LazyRows) for rows in columns.values())
    count, values = len(order), sum(math.prod(rows.shape[1:]) for rows in columns.values())
    nothing: list[str | None] = [None] * count
    writer: pa.RecordBatchFileWriter | None = None
    for block in sample_blocks((count, values)) if lazy else (slice(0, count),):
        arrays = {name: to_arrow(rows[block]) for name, rows in columns.items()}
        arrays["label"] = pa.array((samples.labels or nothing)[block], pa.string())
        arrays["environment"] = pa.array((samples.environments or nothing)[block], pa.string())
        arrays["order"] = pa.array(order[block])
        arrays["group"] = pa.array(group[block])
        batch = pa.RecordBatch.from_pydict(arrays).replace_schema_metadata(dict(metadata))
        writer = writer or pa.ipc.new_file(file, batch.schema)
        writer.write_batch(batch)
    if writer is not None:
        writer.close()


def _small_columns(batches: Sequence[pa.RecordBatch]) -> tuple[list[np.ndarray], list[list[str] | None]]:
    """Order and group; labels and environments; raises `pa.ArrowInvalid` rather than reading outside the file."""
    names: list[list[str] | None] = []
    for batch in batches:
        batch.validate()
    for name in ("label", "environment"):
        column = pa.chunked_array([batch[name] for batch in batches])
        column.validate(full=True)
        names.append(None if column.null_count else column.to_pylist())
    return [np.concatenate([batch[name].to_numpy() for batch in batches]) for name in ("order", "group")], names


def _checksum(
    metadata: Mapping[bytes, bytes],
    order: np.ndarray,
    group: np.ndarray,
    labels: list[str] | None,
    environments: list[str] | None,
) -> bytes:
    digest = hashlib.sha256(json.dumps([labels, environments]).encode() + order.tobytes() + group.tobytes())
    for name, value in sorted(metadata.items()):
        digest.update(name + value)
    return digest.hexdigest().encode()


def _fingerprint(samples: Samples, columns: Mapping[str, Rows], parts: Split) -> str:
    digest = hashlib.sha256(json.dumps([samples.x.shape, samples.labels, samples.environments]).encode())
    for index in parts:
        digest.update(np.ascontiguousarray(index, dtype="<i8").data)
    if columns:
        named = {name: categories(values).tolist() for name, values in samples.fields.items() if is_category(values)}
        digest.update(json.dumps([described(columns), named], sort_keys=True).encode())
    for rows in (samples.x, *columns.values()):
        for block in sample_blocks(rows.shape):
            digest.update(stored(rows[block]).data)
    return digest.hexdigest()


def _to_npy(value: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return buffer.getvalue()
