"""How much is confirmed unasked, and what that is said to cost."""

from __future__ import annotations

import pytest

from sweeps import confirm
from sweeps.confirm import Confirm
from sweeps.paired import FEWEST_PAIRS


@pytest.mark.parametrize(
    ("trials", "size"),
    [(11, None), (12, (1, 3)), (18, (1, 3)), (27, (2, 3)), (36, (3, 3)), (50, (3, 4)), (60, (3, 5)), (500, (3, 5))],
)
def test_what_is_confirmed_unasked_grows_with_the_search(trials: int, size: tuple[int, int] | None) -> None:
    assert confirm.of(None, trials) == (Confirm(*size) if size else None)


def test_it_costs_a_third_at_most_or_half_of_a_small_search_and_suffices_for_a_verdict() -> None:
    for trials in range(12, 200):
        size = confirm.of(None, trials)
        assert size.seeds >= FEWEST_PAIRS
        assert size.trials <= (trials / 3 if trials >= 18 else trials / 2)


def test_what_is_asked_for_is_done() -> None:
    assert confirm.of(0, 100) is None
    assert confirm.of(4, 2) == Confirm(4, 5)


def test_the_cost_is_said() -> None:
    assert confirm.told(confirm.of(None, 50), 50) == (
        "At its end the best 3 configurations and the documented one are trained with 4 further seeds: at most 16 "
        "trials to the full budget, 32% of what the search costs with nothing stopped. --confirm 0 leaves that out."
    )
    assert "At its end the best configuration and the documented one" in confirm.told(Confirm(1, 3), 12)
    assert confirm.told(None, 5) == "The best are not confirmed with further seeds; --confirm 3 does that."
