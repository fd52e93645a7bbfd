"""What trials still gain, against plain counting and against simulation."""

import math

import numpy as np
import pytest

from sweeps.schedulers.gains import Gains


def test_the_mean_and_deviation_to_go_are_sums_over_the_epochs_that_follow():
    gains = Gains(4)
    gains.hear([0.0, 1.0, 1.0, 4.0], 1)
    gains.hear([0.0, 3.0], 1)
    # epoch 2: 1 and 3; epoch 3: 0; epoch 4: 3
    assert gains.to_go(1) == pytest.approx((2.0 + 0.0 + 3.0, 1.0))
    assert gains.to_go(2) == pytest.approx((3.0, 0.0))
    assert gains.to_go(4) == (0.0, 0.0)


def test_a_curve_may_be_heard_in_parts_and_unknown_scores_are_left_out():
    whole, parts = Gains(4), Gains(4)
    curve = [-math.inf, 0.5, 1.0, 1.5]
    whole.hear(curve, 1)
    parts.hear(curve[:2], 1)
    parts.hear(curve, 3)
    assert parts.to_go(1) == whole.to_go(1) == pytest.approx((1.0, 0.0))


def test_the_largest_gain_that_is_exceeded_with_a_chance_of_risk_at_most():
    gains = Gains(2)
    for gain in (0.1, 0.4, 0.2, 0.3):
        gains.finish([0.0, gain])
    assert gains.largest(1, 0.2) == (0.4, 0)  # the fifth of five has a chance of one in five to be the largest
    assert gains.largest(1, 0.4) == (pytest.approx(0.3), 1)
    assert gains.largest(1, 0.19) == (math.inf, 0)
    assert gains.largest(2, 0.2) == (0.0, 0)


@pytest.mark.parametrize(("finished", "risk"), [(4, 0.25), (9, 0.1), (20, 0.25), (39, 0.025)])
def test_a_further_trial_that_is_like_them_gains_more_with_that_chance(finished, risk):
    """By simulation: the rule is exact where trials are exchangeable, whatever their distribution."""
    rng, exceeded = np.random.default_rng(0), []
    for _ in range(4000):
        values = rng.lognormal(size=finished + 1)
        gains = Gains(2)
        for value in values[:-1]:
            gains.finish([0.0, value])
        exceeded.append(values[-1] > gains.largest(1, risk)[0])
    assert np.mean(exceeded) <= risk + 3 * math.sqrt(risk / 4000)
