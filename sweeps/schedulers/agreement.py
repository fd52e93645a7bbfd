"""Whether what was foretold of trials agrees with what they show."""

from __future__ import annotations

from collections.abc import Sequence

LEVEL = 0.05  # of the test
LEAST = 4  # trials; of fewer not even the only order in 3! that agrees is as rare as that


def agrees(foretold: Sequence[float], shown: Sequence[float]) -> bool:
    """True if Kendall's τ of the two is above 0 at LEVEL, one-sided."""
    from scipy import stats

    if len(shown) < LEAST:
        return False
    return bool(stats.kendalltau(foretold, shown, alternative="greater").pvalue < LEVEL)
