"""Which samples train, which are chosen by, and which nothing is chosen by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TEST_SHARE = 0.1
VALIDATION_SHARES = (0.1, 0.2)  # the larger one where there are few samples, so that …
VALIDATION_SAMPLES = 64  # … so many validate
FEWEST = 2  # samples of a part; the error of a constant cannot be told from one
SPLIT_SEED = 20_210_411


class Split(NamedTuple):
    """Indices of samples, int64."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def sizes(count: int) -> tuple[int, int]:
    """How many of `count` samples validate and test."""
    share = np.clip(VALIDATION_SAMPLES / count, *VALIDATION_SHARES)
    return max(FEWEST, round(share * count)), max(FEWEST, round(TEST_SHARE * count))


def split(count: int) -> Split:
    """The parts of `count` samples, always the same."""
    order = np.random.default_rng(SPLIT_SEED).permutation(count)
    validating, testing = sizes(count)
    return Split(*np.split(order, [count - validating - testing, count - testing]))


def resplit(parts: Split, seed: int) -> Split:
    """`parts` with training and validation drawn anew from the two together, in the same sizes, always the same for a
    seed; the test part is kept, so that no choice by any seed has seen it."""
    both = np.sort(np.concatenate([parts.train, parts.val]))
    order = np.random.default_rng([SPLIT_SEED, seed]).permutation(both)
    return Split(order[: len(parts.train)], order[len(parts.train) :], parts.test)
