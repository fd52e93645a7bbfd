"""Which samples train, which are chosen by, and which nothing is chosen by.

A group (a patient, a slide) is never parted: a part takes whole groups, in random order, those that still fit; the
one that brings its size nearest to what is wanted is the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from trainables.data.errors import DataError

PARTS = ("train", "val", "test")
TRAIN, VAL, TEST = range(len(PARTS))
FOLDERS = {  # names of parts, as folders and columns have them
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TEST_SHARE = 0.1
VALIDATION_SHARES = (0.1, 0.2)  # the larger one where there are few samples, so that …
VALIDATION_SAMPLES = 64  # … so many validate
FEWEST = 2  # samples of a part; the error of a constant cannot be told from one
SPLIT_SEED = 20_210_411


class Split(NamedTuple):
    """Indices of samples, int64, each part in random order, so that any beginning is a random subset."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    def redrawn(self, seed: int, groups: np.ndarray) -> Split:
        """Training and validation drawn anew from the two together, always the same for a seed; the test part is
        kept, so that no choice by any seed has seen it.

        Args:
            groups: (N,) int64, of every sample.
        """
        both = np.sort(np.concatenate([self.train, self.val]))
        order = np.random.default_rng([SPLIT_SEED, seed]).permutation(both)
        validates = np.isin(groups[order], _chosen(groups[order][::-1], len(self.val)))
        return Split(order[~validates], order[validates], self.test)


@dataclass(frozen=True, eq=False)
class Parting:
    """What decides the parts of N samples.

    Args:
        groups: (N,) int64, never parted.
        given: (N,) int64, the part that the source gives a sample, −1 where it gives none; None for all of them. What
            is given to several parts is in the last of them.
        told: what the groups are, as a sentence.
    """

    groups: np.ndarray
    given: np.ndarray | None = None
    told: str = ""

    @property
    def gives_val(self) -> bool:
        """Whether the source says what validates."""
        return self.given is not None and bool((self.given == VAL).any())

    def split(self) -> Split:
        """The parts, always the same."""
        count = len(self.groups)
        order = np.random.default_rng(SPLIT_SEED).permutation(count)
        part = self._given()
        for drawn, size in zip((TEST, VAL), reversed(sizes(count)), strict=True):
            if not (part == drawn).any():
                left = order[part[order] <= TRAIN][::-1]
                part[np.isin(self.groups, _chosen(self.groups[left], size))] = drawn
        part[part < 0] = TRAIN
        return Split(*(order[part[order] == which] for which in range(len(PARTS))))

    def _given(self) -> np.ndarray:
        if self.given is None:
            return np.full(len(self.groups), -1)
        last = np.full(self.groups.max() + 1, -1)
        np.maximum.at(last, self.groups, self.given)
        return last[self.groups]


def sizes(count: int) -> tuple[int, int]:
    """How many of `count` samples validate and test."""
    share = np.clip(VALIDATION_SAMPLES / count, *VALIDATION_SHARES)
    return max(FEWEST, round(share * count)), max(FEWEST, round(TEST_SHARE * count))


def split(count: int) -> Split:
    """The parts of `count` samples, each a group of its own."""
    return Parting(np.arange(count)).split()


def _chosen(groups: np.ndarray, size: int) -> np.ndarray:
    """Groups that hold about `size` samples together, asked in the order of `groups`, a number for each sample."""
    found, first, counts = np.unique(groups, return_index=True, return_counts=True)
    order = np.argsort(first)
    chosen: list[int] = []
    held = 0
    for place in order:
        if held == size:
            break
        if held + counts[place] <= size:
            chosen.append(place)
            held += counts[place]
    left = np.setdiff1d(order, chosen)
    if len(left):
        nearest = left[np.argmin(np.abs(held + counts[left] - size))]
        if held < FEWEST or abs(held + counts[nearest] - size) < size - held:
            chosen.append(nearest)
    return found[chosen]


def numbered(names: Sequence[str]) -> np.ndarray:
    """A number for each name, (N,) int64, the same for the same."""
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def part_names(values: Sequence[str], source: str) -> list[str]:
    """Parts as a column `split` has them.

    Raises:
        DataError: a value is none.
    """
    unknown = sorted({value for value in values if value and value.lower() not in FOLDERS})
    if unknown:
        raise DataError(source, [f"column split holds {', '.join(unknown[:5])}; expected {', '.join(FOLDERS)}"])
    return [FOLDERS.get(value.lower(), "") for value in values]
