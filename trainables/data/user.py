"""Data of a user's own model: what its function `data(source)` returns, or a NumPy file.

`data` may return an array (N, …), a pair of it and N labels, `Samples`, or a torch `Dataset` of such items (see
`trainables.data.items`); in place of an array counts in a scipy.sparse matrix. `data(None)` is the data set that the
model brings along. Without `data` the source is a .npy file, or an .npz file with x and, if there are labels, y.

Nothing is ever whole in memory that was not so before: a `Dataset` is read item by item, a .npy file and any
`np.memmap` in blocks, a sparse matrix is made dense in blocks.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.sparse import issparse

from trainables.data import containers
from trainables.data.blocks import sample_blocks
from trainables.data.errors import DataError, raised
from trainables.data.fields import categories, checked_fields, is_category
from trainables.data.items import ItemByItem, read_items
from trainables.data.remote import ADDRESSES
from trainables.data.rows import LazyRows, Rows, converted, dense, moments
from trainables.data.samples import Samples, subset

EMBEDDED = "the model's own data"
EXPECTED = "expected an array (samples, …) of numbers, a pair (x, labels), Samples, or a torch Dataset"
PIXELS = "values of 8 bits are taken for pixels and divided by 255; for counts return them as float32"


@runtime_checkable
class AsArray(Protocol):
    """What NumPy takes for an array: its own, tensors, tables."""

    def __array__(self) -> Any: ...


class UserReader:
    """Reads for a model that has no reader of its own; see `trainables.data.cache.Reader`.

    Args:
        model: its name.
        data: the model's function; None where it has none.
        sha256: of the model's code, on which what `data` returns depends; '' for none.
    """

    named: Container[str]

    def __init__(self, model: str, data: Callable[[str | None], Any] | None, sha256: str) -> None:
        self.name = model
        self.version = int(sha256[:12] or "0", 16)
        self._data = data
        self.named = () if data is None else ADDRESSES  # the function reads them itself

    def read(self, source: str, settings: Mapping[str, Any]) -> Samples:
        """The samples of `source`; of a torch `Dataset` no items beyond `settings["subset"]` are read.

        Raises:
            DataError: with everything that is wrong; for an exception in `data` its name, text and line.
        """
        made = _read_file(Path(source), settings.get("group")) if self._data is None else self._called(source)
        return _checked(_samples(made, source, settings.get("subset")))

    def embedded(self, settings: Mapping[str, Any]) -> Samples:
        """What `data(None)` returns.

        Raises:
            DataError: the model brings no data, or as `read`.
        """
        if self._data is None:
            raise DataError(EMBEDDED, [f"{self.name} brings none: give --data FILE (.npy, or .npz with x and y)"])
        made = self._called(None)
        return replace(_checked(_samples(made, EMBEDDED, settings.get("subset"))), embedded=True)

    def statistics(self, samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """`mean` and `std` of every value over the training samples, each (*shape) float32, in the units that the
        model sees; of each field of strings, under its name, what they are (of all samples), in sorted order."""
        scale = np.float32(1 / 255) if samples.x.dtype == np.uint8 else np.float32(1)
        mean, std = (values.astype(np.float32) * scale for values in moments(samples.x, train_index))
        named = {name: categories(values) for name, values in samples.fields.items() if is_category(values)}
        return {"mean": mean, "std": std} | named

    def _called(self, source: str | None) -> Any:
        assert self._data is not None
        try:
            return self._data(source)
        except Exception as error:
            raise DataError(source or EMBEDDED, [f"data({source!r}) {raised(error)}"]) from error


def _read_file(path: Path, group: str | None) -> Any:
    if path.suffix in containers.SUFFIXES:
        return containers.read(path, group)
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                arrays = dict(archive)
            if "x" in arrays:
                return (arrays["x"], arrays["y"]) if "y" in arrays else arrays["x"]
            raise DataError(str(path), [f"holds {', '.join(arrays) or 'nothing'}; expected x, and y for labels"])
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(str(path), [f"cannot be read: {error}"]) from error
    readable = ", ".join((".npy", ".npz", *containers.SUFFIXES))
    raise DataError(str(path), [f"the model has no function data(source), so only {readable} are read"])


def _samples(made: Any, source: str, size: int | None) -> Samples:
    """What `data` returned as `Samples`."""
    if isinstance(made, Samples):
        return _with_fields(replace(made, x=_numbers(made.x, source), source=source))
    if isinstance(made, tuple) and len(made) == 2:
        return _with_fields(Samples(_numbers(made[0], source), source, np.asarray(made[1]).tolist()))
    if isinstance(made, AsArray) or issparse(made) or not isinstance(made, ItemByItem):
        return Samples(_numbers(made, source), source)
    items = read_items(made, [int(index) for index in subset(len(made), None, size)], source)
    return _with_fields(replace(items, x=_numbers(items.x, source)))


def _numbers(values: Any, source: str) -> Rows:
    """Rows of float32, or of uint8 as they are."""
    if issparse(values):
        return dense(values)
    try:
        x = values if isinstance(values, np.memmap | LazyRows) else np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(source, [f"{error}; {EXPECTED}, all samples of the same shape"]) from error
    if x.dtype.kind not in "fiub" or len(x.shape) < 2:
        raise DataError(source, [f"values of type {x.dtype} and shape {x.shape}; {EXPECTED}"])
    return x if isinstance(x, LazyRows) else converted(x, x.dtype if x.dtype == np.uint8 else np.dtype(np.float32))


def _with_fields(samples: Samples) -> Samples:
    """`samples` with labels as strings, and fields as they are kept.

    Raises:
        DataError: labels or fields are not one a sample, or no fields; with all problems.
    """
    count, labels = len(samples.x), samples.labels
    fields, problems = checked_fields(samples.fields, count)
    if labels is not None and np.shape(labels) != (count,):
        problems.insert(0, f"labels of shape {np.shape(labels)}; expected ({count},), one a sample")
    if problems:
        raise DataError(samples.source, problems)
    return replace(samples, labels=None if labels is None else [str(label) for label in labels], fields=fields)


def _checked(samples: Samples) -> Samples:
    """`samples` with notes on what is unusual.

    Raises:
        DataError: values are not finite, or nothing varies.
    """
    x, bad, first, varies = samples.x, 0, -1, False
    start = x[:1]
    for block in sample_blocks(x.shape):
        rows = x[block]
        finite = np.isfinite(rows)
        if not finite.all():
            bad += int((~finite).sum())
            place = block.start + int(np.argmin(finite.reshape(len(rows), -1).all(axis=1)))
            first = place if first < 0 else first
        varies = varies or bool((rows != start).any())
    if bad:
        problem = f"{bad} values are NaN, infinite or beyond float32, the first in {samples.name(first)}"
        raise DataError(samples.source, [f"{problem}; expected finite numbers: drop or repair those samples"])
    if len(x) and not varies:
        raise DataError(samples.source, ["all samples are identical; expected samples that differ"])
    return replace(samples, notes=(*samples.notes, PIXELS)) if x.dtype == np.uint8 else samples
