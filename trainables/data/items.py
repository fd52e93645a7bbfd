"""A torch `Dataset`, read once, item by item, into temporary files: it may be larger than memory.

An item is x, a pair (x, label), or a dictionary with x, perhaps label, and fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from trainables.data.blocks import VALUES_PER_BLOCK
from trainables.data.errors import DataError, raised
from trainables.data.fields import kept_type
from trainables.data.rows import converted, release, scratch
from trainables.data.samples import Samples

ITEM = "expected x, a pair (x, label), or a dictionary with x, perhaps label, and fields"


@runtime_checkable
class ItemByItem(Protocol):
    """A torch `Dataset` with a length."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def read_items(items: ItemByItem, index: Sequence[int], source: str) -> Samples:
    """The items at `index`, each read once, in that order.

    Raises:
        DataError: an item cannot be read, or is unlike the first; it is named.
    """
    columns: dict[str, _Column] = {}
    for place, number in enumerate(index):
        try:
            values = _values(items[number])
            columns = columns or {name: _Column(len(index), value) for name, value in values.items()}
            if values.keys() != columns.keys():
                raise _Unlike(f"has {', '.join(values)}; expected {', '.join(columns)}, as the first item")
            for name, value in values.items():
                columns[name].put(place, name, value)
        except _Unlike as problem:
            raise DataError(source, [f"item {number}: {problem}"]) from None
        except Exception as error:
            raise DataError(source, [f"item {number}: {raised(error)}"]) from error
    found = {name: column.rows() for name, column in columns.items()}
    x, labels = found.pop("x", np.zeros((0, 1), np.float32)), found.pop("label", None)
    return Samples(x, source, None if labels is None else [str(label) for label in labels], fields=found)


class _Unlike(ValueError):
    """An item is not what the first one lets expect."""


def _values(item: Any) -> dict[str, Any]:
    """An item by name."""
    if isinstance(item, Mapping):
        if "x" not in item:
            raise _Unlike(f"has {', '.join(map(str, item)) or 'nothing'}; {ITEM}")
        values = {str(name): _value(value) for name, value in item.items()}
        if "label" in values and np.ndim(values["label"]):
            raise _Unlike(f"label has shape {np.shape(values['label'])}; expected one value")
        return values
    if not isinstance(item, tuple | list):
        return {"x": _value(item)}
    values = {"x": _value(item[0])} if len(item) else {}
    if not values:
        raise _Unlike(f"is empty; {ITEM}")
    second = _value(item[1]) if len(item) > 1 else np.zeros(1)
    return values if np.ndim(second) else values | {"label": second}


def _value(value: Any) -> Any:
    return value if isinstance(value, str) else np.asarray(value)


@dataclass
class _Column:
    """What all items have under one name: arrays on disk, and strings and labels in memory."""

    count: int
    first: Any
    kept: list[Any] = field(default_factory=list)
    array: np.memmap[Any, Any] | None = None
    dirty: int = 0  # values since pages were let go of

    def put(self, place: int, name: str, value: Any) -> None:
        if name == "label" or isinstance(self.first, str):
            if isinstance(self.first, str) != isinstance(value, str):
                raise _Unlike(f"{name} is {value!r}; expected what the first item has, such as {self.first!r}")
            self.kept.append(value if isinstance(value, str) else value.item())
            return
        self._check(name, value)
        if self.array is None:
            self.array = scratch((self.count, *value.shape), self._type(name))
        with np.errstate(over="ignore"):
            self.array[place] = value
        self.dirty += value.size
        if self.dirty > VALUES_PER_BLOCK:
            release(self.array)
            self.dirty = 0

    def rows(self) -> Any:
        """All values: a list of strings and labels, or rows."""
        return self.kept if self.array is None else converted(self.array, self.array.dtype)

    def _check(self, name: str, value: Any) -> None:
        if isinstance(value, str) or value.dtype.kind not in "fiub" or not value.size:
            found = repr(value) if isinstance(value, str) else f"of type {value.dtype} and shape {value.shape}"
            raise _Unlike(f"{name} is {found}; expected numbers")
        if value.shape != self.first.shape:
            raise _Unlike(f"{name} has shape {value.shape}; expected {self.first.shape}, as the first item")
        if value.dtype.kind != self.first.dtype.kind or (value.dtype == np.uint8) != (self.first.dtype == np.uint8):
            raise _Unlike(f"{name} is of type {value.dtype}; expected {self.first.dtype}, as the first item")

    def _type(self, name: str) -> Any:
        dtype: np.dtype[Any] = self.first.dtype
        return (dtype if dtype == np.uint8 else np.float32) if name == "x" else kept_type(dtype)
