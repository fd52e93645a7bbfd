"""Whether what was foretold agrees with what is shown."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sweeps.schedulers.agreement import LEVEL, agrees


def test_the_least_that_can_agree_are_four_trials_in_the_one_order_of_24() -> None:
    assert agrees([1, 2, 3, 4], [1, 2, 3, 4])
    assert not agrees([1, 2, 3, 4], [1, 2, 4, 3])
    assert not agrees([1, 2, 3], [1, 2, 3])
    assert not agrees([], [])


@pytest.mark.parametrize("shown", [[4, 3, 2, 1, 0], [1, 1, 1, 1, 1], [-math.inf] * 5])
def test_reversed_and_equal_scores_do_not_agree(shown: list[float]) -> None:
    assert not agrees([1, 2, 3, 4, 5], shown)


def test_chance_agrees_as_seldom_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    found = np.mean([agrees(rng.random(12).tolist(), rng.random(12).tolist()) for _ in range(2000)])
    assert 0.5 * LEVEL < found < LEVEL + 0.015
