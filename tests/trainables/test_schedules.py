"""Schedules at the points where they bend."""

import pytest

from trainables.schedules import Plateau, cycle_ends, cyclical, learning_rate, linear_warmup, share


@pytest.mark.parametrize(
    ("progress", "expected"), [(0.05, 0.2), (0.25, 1.0), (0.5, 1.0), (0.5625, 0.25), (0.75, 1.0), (1.0, 1.0)]
)
def test_cyclical_ramps_over_half_of_each_cycle_and_holds(progress, expected):
    assert cyclical(progress, cycles=2) == pytest.approx(expected)


def test_one_cycle_is_a_warm_up():
    for progress in (0.1, 0.3, 0.5, 0.9, 1.0):
        assert cyclical(progress, cycles=1) == pytest.approx(linear_warmup(progress, 0.5))


@pytest.mark.parametrize(
    ("epochs", "cycles", "expected"), [(12, 4, [3, 6, 9, 12]), (10, 4, [2, 5, 7, 10]), (3, 1, [3])]
)
def test_the_last_whole_epoch_of_each_cycle_is_its_end(epochs, cycles, expected):
    ends = [epoch for epoch in range(1, epochs + 1) if cycle_ends(epoch / epochs, 1 / epochs, cycles)]
    assert ends == expected


def test_durations_above_one_are_steps():
    assert share(0.25, 2000) == 0.25
    assert share(500, 2000) == 0.25
    assert share(1.0, 2000) == 1.0


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("constant", 0.05, 0.5),
        ("constant", 0.9, 1.0),
        ("cosine", 0.1, 1.0),
        ("cosine", 0.55, 0.5),
        ("cosine", 1.0, 0.0),
        ("step", 0.3, 1.0),
        ("step", 0.5, 0.1),
        ("step", 1.0, 0.01),
        ("plateau", 1.0, 1.0),
    ],
)
def test_learning_rate(schedule, progress, expected):
    config = {"learning_rate": 2e-3, "lr_warmup": 0.1, "lr_schedule": schedule}
    assert learning_rate(config, progress) == pytest.approx(2e-3 * expected, abs=1e-12)


def test_a_plateau_halves_the_step_after_five_epochs_and_can_be_resumed():
    plateau = Plateau()
    for value in (3.0, 2.0, 2.0, 2.5, 2.0, 2.0):
        plateau.update(value)
    assert (plateau.factor, plateau.stale) == (1.0, 4)
    again = Plateau()
    again.load_state_dict(plateau.state_dict())
    again.update(2.0)
    assert (again.factor, again.stale) == (0.5, 5)
    again.update(1.0)
    assert (again.factor, again.stale) == (0.5, 0)
