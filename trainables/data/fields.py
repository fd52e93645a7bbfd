"""What a model may read beside x: named fields, one value or array a sample."""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.sparse import issparse

from trainables.data.blocks import sample_blocks
from trainables.data.rows import Array, LazyRows, Rows, converted, dense

TAKEN = ("x", "z", "prediction", "target", "label", "environment", "mean", "std")
EXPECTED = "expected one string or number, or one array of numbers, a sample"


def checked_fields(fields: Mapping[str, Any], count: int) -> tuple[dict[str, Rows], list[str]]:
    """The fields of `count` samples as they are kept, and everything that is wrong with them.

    Strings become an array of them, floats float32, integers int64; truth values and bytes stay what they are.
    """
    found: dict[str, Rows] = {}
    problems = []
    for name, values in fields.items():
        try:
            if not is_field(name):
                raise ValueError(f"expected a name that a function's parameter may have, other than {listed(TAKEN)}")
            rows = _rows(values)
            if len(rows) != count:
                raise ValueError(f"{len(rows)} values; expected {count}, one a sample")
            if rows.dtype.kind == "f" and (first := first_not_finite(rows)) is not None:
                raise ValueError(f"a value of sample {first} is NaN, infinite or beyond float32; expected numbers")
            found[name] = rows
        except (ValueError, TypeError) as error:
            problems.append(f"field {name}: {error}")
    return found, problems


def is_field(name: object) -> bool:
    """Whether a parameter of a model's method may have that name."""
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name) and name not in TAKEN


def categories(values: Rows) -> Array:
    """The strings of a field, each once, in sorted order; a batch holds their places."""
    return np.unique(np.asarray(values))


def is_category(values: Rows) -> bool:
    """Whether a field holds strings."""
    return values.dtype.kind == "U"


def kept_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What numbers of a field are kept as."""
    if dtype == np.bool_ or dtype == np.uint8:
        return dtype
    return np.dtype(np.int64 if dtype.kind in "iu" else np.float32)


def first_not_finite(x: Rows) -> int | None:
    """The first of the rows with a value that is no finite number."""
    for block in sample_blocks(x.shape):
        finite = np.isfinite(x[block]).reshape(block.stop - block.start, -1).all(axis=1)
        if not finite.all():
            return int(block.start + np.argmin(finite))
    return None


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them."""
    return ", ".join(names) or "none"


def _rows(values: Any) -> Rows:
    if isinstance(values, LazyRows):
        return values
    if issparse(values):
        return dense(values)
    array = values if isinstance(values, np.memmap) else np.asarray(values)
    if array.ndim == 1 and array.dtype.kind in "OTU" and all(isinstance(value, str) for value in array.tolist()):
        return array.astype(str)
    if array.dtype.kind not in "fiub" or not array.ndim:
        raise ValueError(f"values of type {array.dtype} and shape {array.shape}; {EXPECTED}")
    return converted(array, kept_type(array.dtype))
