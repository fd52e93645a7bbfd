"""What white is in images that do not say it, one decision for all of an environment, and their values as bytes.

A camera of 12 bits stores them in 16, and the file does not tell: white is then the largest value of the least usual
depth that holds all values of the environment's images. Floating-point values are those in [0, 1].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

EXPECTED = "what is white? Expected 0 to 1 in floating point, or integers from 0: rescale all of a camera alike"
DEPTHS = (8, 10, 12, 14, 16, 32, 64)  # bits


class Range(NamedTuple):
    """The least and the largest value of an image, and whether they are integers."""

    low: float
    high: float
    integer: bool

    @staticmethod
    def of(values: np.ndarray) -> Range:
        return Range(float(values.min()), float(values.max()), values.dtype.kind in "ui")


def to_bytes(values: np.ndarray, white: float) -> np.ndarray:
    """uint8: 0 of 0, 255 of `white`."""
    return values if values.dtype == np.uint8 and white == 255 else np.rint(values * (255 / white)).astype(np.uint8)


def whites_of(
    ranges: Mapping[int, Range], environments: Mapping[int, str]
) -> tuple[dict[int, float], list[tuple[int, str]], tuple[str, ...]]:
    """White of each image, or the problem of those without one, and notes.

    Args:
        ranges: by the image's index.
        environments: likewise.
    """
    whites: dict[int, float] = {}
    problems = []
    alike: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for index, found in sorted(ranges.items()):
        if found.low < 0 or (not found.integer and found.high > 1):
            problems.append((index, f"holds values from {found.low:g} to {found.high:g}; {EXPECTED}"))
        else:
            alike[environments[index], found.integer].append(index)
    notes = []
    for (environment, integer), members in sorted(alike.items()):
        high = max(ranges[index].high for index in members)
        white = next(2.0**bits - 1 for bits in DEPTHS if high <= 2.0**bits - 1) if integer else 1.0
        whites |= dict.fromkeys(members, white)
        if not integer or white != 2**16 - 1:
            number, largest = len(members), f"the largest of their values is {high:g}"
            notes.append(f"{white:g} is taken for white in {number} images of environment {environment}: {largest}")
    return whites, problems, tuple(notes)
