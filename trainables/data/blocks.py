"""Large arrays in pieces that fit in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

VALUES_PER_BLOCK = 4_000_000  # 32 MB in float64


def sample_blocks(shape: Sequence[int]) -> Iterator[slice]:
    """Consecutive slices of the first axis of an array of `shape` (N, …): at most `VALUES_PER_BLOCK` values each,
    but never less than one sample.
    """
    count, *sample = shape
    size = max(1, VALUES_PER_BLOCK // max(1, math.prod(sample)))
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
