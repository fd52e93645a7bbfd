"""Brackets against the table of the paper, and one halving followed trial by trial."""

import math

import pytest

from sweeps.schedulers.hyperband import Bracket, brackets
from tests.sweeps.schedulers.rows import Epoch, made


def test_the_brackets_of_the_paper():
    """Li et al. 2018, table 1: R = 81, η = 3."""
    assert brackets(81, 3) == [
        Bracket(81, (1, 3, 9, 27, 81)),
        Bracket(34, (3, 9, 27, 81)),
        Bracket(15, (9, 27, 81)),
        Bracket(8, (27, 81)),
        Bracket(5, (81,)),
    ]


@pytest.mark.parametrize(
    ("epochs", "eta", "expected"),
    [
        (1, 3, [Bracket(1, (1,))]),
        (2, 3, [Bracket(1, (2,))]),
        (10, 3, [Bracket(9, (1, 3, 10)), Bracket(5, (3, 10)), Bracket(3, (10,))]),
        (8, 2, [Bracket(8, (1, 2, 4, 8)), Bracket(6, (2, 4, 8)), Bracket(4, (4, 8)), Bracket(4, (8,))]),
    ],
)
def test_brackets_of_any_budget(epochs, eta, expected):
    assert brackets(epochs, eta) == expected


def begun(trials: int):
    scheduler = made("hyperband", epochs=9)
    for trial in range(trials):
        scheduler.start(trial)
    return scheduler


def pauses(scheduler, trial: int, epoch: int, value: float) -> bool:
    return scheduler.on_epoch(trial, Epoch(epoch, value)).pause


def resumed(scheduler, unstarted: int = 99) -> list[int]:
    """All that may go on, taken up one after another."""
    found = []
    while (trial := scheduler.resume(unstarted)) is not None:
        scheduler.start(trial)
        found.append(trial)
    return found


def test_the_best_third_goes_on_when_all_are_there():
    scheduler = begun(9)
    for trial, value in enumerate([5.0, 1.0, 9.0, 3.0, 4.0, math.nan, 8.0, 2.0]):
        assert pauses(scheduler, trial, 1, value)
        assert scheduler.resume(99) is None
    assert pauses(scheduler, 8, 1, 0.0)
    given_up = dict(scheduler.given_up())
    assert sorted(given_up) == [1, 3, 4, 5, 7, 8]
    assert given_up[4].detail == "val/elbo_gain 4 below the cutoff 5 of 9 trials of its bracket at epoch 1"
    assert given_up[5].detail == "val/elbo_gain nan at epoch 1 is no finite number"
    assert scheduler.given_up() == []
    assert resumed(scheduler) == [2, 6, 0]
    assert not pauses(scheduler, 2, 2, 9.0)  # no rung
    for trial, value in ((2, 1.0), (0, 5.0), (6, 3.0)):
        assert scheduler.pauses(trial) == [3]
        assert pauses(scheduler, trial, 3, value)
    assert resumed(scheduler) == [0]


def test_the_next_bracket_opens_when_one_is_full():
    scheduler = begun(10)
    assert not pauses(scheduler, 9, 1, 1.0)  # its first rung is at 3
    assert pauses(scheduler, 9, 3, 1.0)


def test_after_the_last_bracket_the_first_comes_again():
    round_of = sum(bracket.trials for bracket in brackets(9, 3))
    scheduler = begun(round_of + 1)
    assert not pauses(scheduler, round_of - 1, 1, 1.0)  # bracket 0 has no rung
    assert pauses(scheduler, round_of, 1, 1.0)


def test_a_bracket_that_stays_unfilled_is_halved_as_it_is():
    scheduler = begun(2)
    assert pauses(scheduler, 0, 1, 1.0)
    assert pauses(scheduler, 1, 1, 2.0)
    assert scheduler.resume(7) is None
    assert resumed(scheduler, unstarted=0) == [1]


def test_a_trial_that_is_not_finite_never_goes_on():
    scheduler = begun(2)
    pauses(scheduler, 0, 1, math.nan)
    pauses(scheduler, 1, 1, math.inf)
    assert resumed(scheduler, unstarted=0) == []
    assert sorted(trial for trial, _ in scheduler.given_up()) == [0, 1]


@pytest.mark.parametrize("how", ["end", "forget"])
def test_nobody_waits_for_a_trial_that_is_over(how):
    scheduler = begun(3)
    pauses(scheduler, 0, 1, 1.0)
    pauses(scheduler, 1, 1, 2.0)
    if how == "end":
        scheduler.end(2, Epoch(9, 9.0))
    else:
        scheduler.forget(2)
    assert resumed(scheduler, unstarted=0) == [1]
