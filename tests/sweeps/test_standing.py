"""What a driver keeps of its trials."""

from __future__ import annotations

from typing import Any

import pytest

from sweeps.standing import SHOWN, Standing


def row(epoch: int, best: int | None = None, verdict: str = "HEALTHY") -> dict[str, Any]:
    found = {"epoch": epoch, "verdict": verdict, "verdict_detail": "", "health/au": 3.0, "val/elbo_gain": epoch / 10}
    return found | ({} if best is None else {"best_epoch": best})


@pytest.mark.parametrize(
    ("told", "best"),
    [
        ([(1, 1, "HEALTHY"), (2, 1, "HEALTHY"), (3, 1, "HEALTHY")], 1),
        ([(1, 1, "HEALTHY"), (2, 2, "COLLAPSED")], 2),  # a sick epoch is its own
        ([(1, 1, "HEALTHY"), (2, 2, "COLLAPSED"), (3, 1, "HEALTHY")], 1),  # named again after a sick spell
        ([(1, 1, "HEALTHY"), (2, 2, "HEALTHY"), (3, 3, "DIVERGED"), (4, 2, "HEALTHY")], 2),
        ([(1, 1, "COLLAPSED"), (2, 2, "HEALTHY"), (3, 2, "HEALTHY")], 2),
        ([(1, None, "HEALTHY"), (2, None, "HEALTHY")], 2),  # of an older program
    ],
)
def test_the_best_epoch_is_the_one_that_the_last_names(told: list[tuple[int, int | None, str]], best: int) -> None:
    standing = Standing()
    standing.recall(1, [row(*each) for each in told])
    assert standing.best[1]["epoch"] == best
    assert standing.latest[1]["epoch"] == told[-1][0]


def test_what_is_told_of_the_test_part_is_of_the_best_epoch() -> None:
    standing = Standing()
    standing.recall(1, [row(1, 1), row(2, 1)])
    standing.hear(1, row(3, 1) | {"test/elbo_gain": 0.05})
    assert standing.end(1) == {"health/au": 3.0, "val/elbo_gain": 0.1, "test/elbo_gain": 0.05}


def test_of_many_epochs_three_are_kept_and_of_a_trial_that_has_ended_what_is_shown() -> None:
    standing = Standing()
    for epoch in range(1, 101):
        standing.hear(1, row(epoch, epoch))
    kept = {id(found) for rows in (standing.latest, standing.best, standing._healthy) for found in rows.values()}
    assert len(kept) <= 3
    metrics = standing.end(1)
    assert metrics == {"health/au": 3.0, "val/elbo_gain": 10.0}
    assert standing.best[1] is metrics
    assert set(standing.latest[1]) == set(SHOWN) & set(row(1))
    assert standing._healthy == {}


def test_a_trial_without_epochs_ends_without_numbers() -> None:
    standing = Standing()
    assert standing.end(1) == {}
    assert standing.latest == standing.best == {}
