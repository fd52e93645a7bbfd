"""Brackets against the table of the paper, and one halving followed trial by trial."""

import math

import pytest

from analysis.replay.hyperband import Bracket, Hyperband, brackets


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


def started(hyperband: Hyperband, trials: int, of: int | None = None) -> Hyperband:
    for trial in range(trials):
        hyperband.start(trial, last=trial == (of or trials) - 1)
    return hyperband


def test_the_best_third_goes_on_when_all_are_there():
    hyperband = started(Hyperband(9), 9, of=99)
    for trial, value in enumerate([5.0, 1.0, 9.0, 3.0, 4.0, math.nan, 8.0, 2.0]):
        assert hyperband.pauses(trial, 1, value)
        assert not hyperband.resumable
    assert hyperband.pauses(8, 1, 0.0)
    assert list(hyperband.resumable) == [2, 6, 0]
    hyperband.resumable.clear()
    assert not hyperband.pauses(2, 2, 9.0)  # no rung
    for trial, value in ((2, 1.0), (0, 5.0), (6, 3.0)):
        assert hyperband.pauses(trial, 3, value)
    assert list(hyperband.resumable) == [0]


def test_the_next_bracket_opens_when_one_is_full():
    hyperband = started(Hyperband(9), 10, of=99)
    assert not hyperband.pauses(9, 1, 1.0)  # its first rung is at 3
    assert hyperband.pauses(9, 3, 1.0)


def test_after_the_last_bracket_the_first_comes_again():
    round_of = sum(bracket.trials for bracket in brackets(9, 3))
    hyperband = started(Hyperband(9), round_of + 1, of=99)
    assert not hyperband.pauses(round_of - 1, 1, 1.0)  # bracket 0 has no rung
    assert hyperband.pauses(round_of, 1, 1.0)


def test_a_bracket_that_stays_unfilled_is_halved_as_it_is():
    hyperband = started(Hyperband(9), 2)
    assert hyperband.pauses(0, 1, 1.0)
    assert hyperband.pauses(1, 1, 2.0)
    assert list(hyperband.resumable) == [1]


def test_a_trial_that_is_not_finite_never_goes_on():
    hyperband = started(Hyperband(9), 2)
    hyperband.pauses(0, 1, math.nan)
    hyperband.pauses(1, 1, math.inf)
    assert not hyperband.resumable


def test_nobody_waits_for_a_trial_that_trained_to_its_end():
    hyperband = started(Hyperband(9), 3)
    hyperband.pauses(0, 1, 1.0)
    hyperband.pauses(1, 1, 2.0)
    hyperband.ended(2)
    assert list(hyperband.resumable) == [1]
