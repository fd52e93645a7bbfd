"""Data of a user's own model: what its function `data(source)` returns, or a NumPy file.

`data` may return an array (N, …), a pair of it and N labels, `Samples`, or a torch `Dataset` of such items;
`data(None)` is the data set that the model brings along. Without `data` the source is a .npy file, or an .npz file
with x and, if there are labels, y.
"""

from __future__ import annotations

import traceback
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from trainables.data.errors import DataError
from trainables.data.samples import Samples

EMBEDDED = "the model's own data"
EXPECTED = "expected an array (samples, …) of numbers, a pair (x, labels), Samples, or a torch Dataset"
PIXELS = "values of 8 bits are taken for pixels and divided by 255; for counts return them as float32"


@runtime_checkable
class ItemByItem(Protocol):
    """A torch `Dataset` with a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class UserReader:
    """Reads for a model that has no reader of its own; see `trainables.data.cache.Reader`.

    Args:
        model: its name.
        data: the model's function; None where it has none.
        sha256: of the model's code, on which what `data` returns depends; '' for none.
    """

    named: Collection[str] = ()

    def __init__(self, model: str, data: Callable[[str | None], Any] | None, sha256: str) -> None:
        self.name = model
        self.version = int(sha256[:12] or "0", 16)
        self._data = data

    def read(self, source: str, settings: Mapping[str, Any]) -> Samples:
        """The samples of `source`.

        Raises:
            DataError: with everything that is wrong; for an exception in `data` its name, text and line.
        """
        made = _read_file(Path(source)) if self._data is None else self._called(source)
        return _checked(_samples(made, source))

    def embedded(self, settings: Mapping[str, Any]) -> Samples:
        """What `data(None)` returns.

        Raises:
            DataError: the model brings no data, or as `read`.
        """
        if self._data is None:
            raise DataError(EMBEDDED, [f"{self.name} brings none: give --data FILE (.npy, or .npz with x and y)"])
        return replace(_checked(_samples(self._called(None), EMBEDDED)), embedded=True)

    def statistics(self, samples: Samples, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """`mean` and `std` of every value over the training samples, each (*shape) float32, in the units that the
        model sees."""
        x = samples.x[train_index]
        scale = np.float32(1 / 255) if x.dtype == np.uint8 else np.float32(1)
        return {
            name: getattr(x, name)(axis=0, dtype=np.float64).astype(np.float32) * scale for name in ("mean", "std")
        }

    def _called(self, source: str | None) -> Any:
        assert self._data is not None
        try:
            return self._data(source)
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in frames if frame.filename == frames[min(1, len(frames) - 1)].filename]
            place = f"{Path(own[-1].filename).name}:{own[-1].lineno}"
            what = f"data({source!r}) raised {type(error).__name__}: {error} ({place})"
            raise DataError(source or EMBEDDED, [what]) from error


def _read_file(path: Path) -> Any:
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
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
    problem = "the model has no function data(source), so only .npy and .npz files are read"
    raise DataError(str(path), [problem])


def _samples(made: Any, source: str) -> Samples:
    """What `data` returned as `Samples`."""
    if isinstance(made, Samples):
        return replace(made, x=_numbers(made.x, source), source=source)
    if isinstance(made, tuple) and len(made) == 2:
        x, labels = _numbers(made[0], source), np.asarray(made[1])
        if labels.shape != (len(x),):
            raise DataError(source, [f"labels of shape {labels.shape}; expected ({len(x)},), one a sample"])
        return Samples(x, source, [str(label) for label in labels.tolist()])
    if isinstance(made, np.ndarray) or not isinstance(made, ItemByItem):
        return Samples(_numbers(made, source), source)
    items = [made[index] for index in range(len(made))]
    if items and isinstance(items[0], tuple):
        x = _numbers([np.asarray(item[0]) for item in items], source)
        second = [np.asarray(item[1]) for item in items if len(item) > 1]
        scalar = len(second) == len(items) and all(label.ndim == 0 for label in second)
        return Samples(x, source, [str(label.item()) for label in second] if scalar else None)
    return Samples(_numbers([np.asarray(item) for item in items], source), source)


def _numbers(values: Any, source: str) -> np.ndarray:
    """An array of float32, or of uint8 as it is."""
    try:
        x = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(source, [f"{error}; {EXPECTED}, all samples of the same shape"]) from error
    if x.dtype.kind not in "fiub" or x.ndim < 2:
        raise DataError(source, [f"values of type {x.dtype} and shape {x.shape}; {EXPECTED}"])
    return x if x.dtype == np.uint8 else x.astype(np.float32)


def _checked(samples: Samples) -> Samples:
    """`samples` with notes on what is unusual.

    Raises:
        DataError: values are not finite, or nothing varies.
    """
    finite = np.isfinite(samples.x)
    if not finite.all():
        bad = np.argwhere(~finite.reshape(len(finite), -1).all(axis=1)).ravel()
        problem = (
            f"{int((~finite).sum())} values are NaN, infinite or beyond float32, the first in {samples.name(bad[0])}"
        )
        raise DataError(samples.source, [f"{problem}; expected finite numbers: drop or repair those samples"])
    if len(samples.x) and (samples.x == samples.x[:1]).all():
        raise DataError(samples.source, ["all samples are identical; expected samples that differ"])
    return replace(samples, notes=(*samples.notes, PIXELS)) if samples.x.dtype == np.uint8 else samples
