"""Paired comparisons: Student's t, exact tests where it is not defined, Holm's correction, levels that pay for looks.

Pure functions of arrays. A pair is the value before and after a change, of two trials that share the seed. Without
an effect the two may be exchanged, so their difference is symmetric about 0. Then Student's t keeps its level if the
differences are normal, and errs on the safe side if they have heavier tails. It does not keep it for differences
that are skewed about a mean of 0: with exponential ones the error of a table, which should be 0.05, is 0.2 to 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import optimize, stats

ERROR = 0.05  # of a whole table: the probability that any verdict in it is wrong where there is no effect at all
FEWEST_PAIRS = 3  # for a verdict
POWER = 0.8
_EQUAL = 8 * np.finfo(float).eps  # of the values: differences that are closer are equal but for rounding


def p_values(pairs: np.ndarray, binary: bool = False) -> np.ndarray:
    """Two-sided p-values of `pairs` (…, n, 2), shape (…); NaN with fewer than `FEWEST_PAIRS`.

    Student's t on the differences. Where they are all equal it is not defined, and the exact sign test takes its
    place: n equal differences have 2^(1 − n) (1 if they are 0). The same test for `binary` values of 0 and 1, where
    it is McNemar's.
    """
    count = pairs.shape[-2]
    if count < FEWEST_PAIRS:
        return np.full(pairs.shape[:-2], np.nan)
    differences = pairs[..., 1] - pairs[..., 0]
    exact = _sign_test(np.where(np.abs(differences) > _rounding(pairs)[..., None], differences, 0.0))
    if binary:
        return exact
    flat = no_spread(pairs)
    error = np.where(flat, 1.0, differences.std(axis=-1, ddof=1) / np.sqrt(count))
    student = 2 * stats.t.sf(np.abs(differences.mean(axis=-1)) / error, count - 1)
    return np.where(flat, exact, student)


def no_spread(pairs: np.ndarray) -> np.ndarray:
    """Whether all differences of `pairs` (…, n, 2) are equal but for rounding, shape (…)."""
    differences = pairs[..., 1] - pairs[..., 0]
    return np.ptp(differences, axis=-1) <= _rounding(pairs)


def interval(pairs: np.ndarray, error: float, binary: bool = False) -> tuple[float, float]:
    """Bounds of the mean difference of `pairs` (n, 2), which both hold with probability 1 − `error`.

    Of Student's t; of `binary` values from the exact bounds (Clopper and Pearson 1934) of the shares of pairs that
    go up and down, half the error each. NaN with fewer than `FEWEST_PAIRS`, and where all differences are equal:
    nothing tells then how far another pair might lie.
    """
    count = len(pairs)
    if count < FEWEST_PAIRS or (not binary and no_spread(pairs)):
        return np.nan, np.nan
    differences = pairs[:, 1] - pairs[:, 0]
    if binary:
        up, down = (
            stats.binomtest(int(number), count).proportion_ci(1 - error / 2)
            for number in ((differences > 0).sum(), (differences < 0).sum())
        )
        return up.low - down.high, up.high - down.low
    return mean_interval(differences, error)


def mean_interval(values: np.ndarray, error: float) -> tuple[float, float]:
    """Student's bounds of the mean of `values` (n,); NaN with fewer than `FEWEST_PAIRS`, and where all are equal."""
    count = len(values)
    if count < FEWEST_PAIRS or np.ptp(values) <= _EQUAL * np.abs(values).max():
        return np.nan, np.nan
    half = stats.t.isf(error / 2, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return float(values.mean() - half), float(values.mean() + half)


def holm(p: np.ndarray, family: int | None = None) -> np.ndarray:
    """Adjusted p-values (…, m) of Holm (1979): reject where they are at most `ERROR`, and the probability of any
    wrong rejection is at most that, however the tests depend on each other. NaN is no test and does not count, unless
    `family` says how many tests there may come to be.
    """
    ranks = np.argsort(p, axis=-1)  # NaN last
    tested = np.isfinite(p).sum(axis=-1, keepdims=True) if family is None else family
    steps = np.take_along_axis(p, ranks, axis=-1) * (tested - np.arange(p.shape[-1]))
    adjusted = np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0)
    found = np.empty_like(adjusted)
    np.put_along_axis(found, ranks, adjusted, axis=-1)
    return np.where(np.isfinite(p), found, np.nan)


def shares(looks: int) -> np.ndarray:
    """What each of so many looks at growing data may spend of the error, (looks,): in proportion to 1, 2, 3, …"""
    return np.arange(1, looks + 1) / (looks * (looks + 1) / 2)


def p_over_looks(p: Sequence[float] | np.ndarray, looks: int) -> np.ndarray:
    """One p-value from those of the first looks of `looks`, (…, done) → (…): the smallest of p / share, at most 1.

    Valid whenever one stops, for the chance that p / share falls to x or below at any look is at most the sum of
    x · share (Bonferroni over looks). It can only fall from look to look, so what Holm's correction of such values
    rejects stays rejected. NaN where no look had enough pairs.
    """
    scaled = np.asarray(p, dtype=float) / shares(looks)[: np.shape(p)[-1]]
    least = np.where(np.isfinite(scaled), scaled, np.inf).min(axis=-1, initial=np.inf)
    return np.where(np.isfinite(least), np.minimum(least, 1.0), np.nan)


def detectable(pairs: int, error: float) -> float:
    """The smallest mean difference, in standard deviations of the differences, that Student's t finds with
    probability `POWER` at level `error` (two-sided) with so many pairs.
    """
    freedom, threshold = pairs - 1, stats.t.isf(error / 2, pairs - 1)

    def short(effect: float) -> float:
        return float(stats.nct.sf(threshold, freedom, effect * np.sqrt(pairs))) - POWER

    return float(optimize.brentq(short, 0.0, 2 * threshold + 10.0))


def fewest_agreeing(error: float) -> int:
    """How many pairs must agree before the sign test, which decides on values of 0 and 1, can reach level `error`."""
    return int(np.ceil(1 - np.log2(error)))


def _sign_test(differences: np.ndarray) -> np.ndarray:
    up, down = (differences > 0).sum(axis=-1), (differences < 0).sum(axis=-1)
    return np.minimum(1.0, 2 * stats.binom.sf(np.maximum(up, down) - 1, up + down, 0.5))


def _rounding(pairs: np.ndarray) -> np.ndarray:
    return _EQUAL * np.abs(pairs).max(axis=(-2, -1))
