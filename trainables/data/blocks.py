"""Large arrays in pieces that fit in memory."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np

VALUES_PER_BLOCK = 4_000_000  # 32 MB in float64
IN_MEMORY = 2**30  # bytes


def sample_blocks(shape: Sequence[int]) -> Iterator[slice]:
    """Consecutive slices of the first axis of an array of `shape` (N, …): at most `VALUES_PER_BLOCK` values each,
    but never less than one sample.
    """
    count, *sample = shape
    size = max(1, VALUES_PER_BLOCK // max(1, math.prod(sample)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def allocate(shape: Sequence[int], dtype: type) -> np.ndarray:
    """An array to fill: in memory up to 1 GiB, beyond that in a temporary file that goes with the array."""
    if math.prod(shape) * np.dtype(dtype).itemsize <= IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=tuple(shape))
