"""The stopping policy: health first, rungs behind it."""

import itertools
import math

import pytest

from sweeps.schedulers.stopping import StoppingPolicy

SCORE = "val/elbo_gain"


def row(epoch, score, verdict="HEALTHY", **more):
    detail = "" if verdict == "HEALTHY" else f"sick at epoch {epoch}"
    return {"epoch": epoch, SCORE: score, "verdict": verdict, "verdict_detail": detail} | {
        name.replace("__", "/"): value for name, value in more.items()
    }


def policy(name="health-asha", epochs=12, mode="max", metric=SCORE) -> StoppingPolicy:
    return StoppingPolicy(name, epochs, metric, mode)


def test_an_unknown_policy_lists_the_known_ones():
    with pytest.raises(ValueError, match="scheduler 'median': expected one of health-asha, asha, none"):
        policy("median")


def test_the_worse_trial_stops_at_a_rung_with_the_numbers():
    stopping = policy()
    assert not stopping.on_epoch(1, row(1, 0.5)).stop
    assert not stopping.on_epoch(2, row(1, 0.1)).stop
    decision = stopping.on_epoch(3, row(1, 0.25))
    assert decision.stop
    assert decision.reason == "RUNG"
    assert decision.detail == "val/elbo_gain 0.25 below the cutoff 0.5 of 3 trials at epoch 1"


def test_the_smaller_value_wins_with_mode_min():
    stopping = policy(mode="min", metric="val/mse")
    assert not stopping.on_epoch(1, row(1, 0, val__mse=0.5)).stop
    assert not stopping.on_epoch(2, row(1, 0, val__mse=0.25)).stop
    decision = stopping.on_epoch(3, row(1, 0, val__mse=0.75))
    assert decision.detail == "val/mse 0.75 above the cutoff 0.25 of 3 trials at epoch 1"
    assert not stopping.on_epoch(4, row(1, 0, val__mse=0.125)).stop


@pytest.mark.parametrize("mode", ["max", "min"])
def test_nan_never_wins(mode):
    stopping = policy("asha", mode=mode)
    assert stopping.on_epoch(1, row(1, math.nan)).stop
    assert not any(stopping.on_epoch(trial, row(1, 0.0)).stop for trial in (2, 3, 4))
    missing = row(1, 0.0)
    del missing[SCORE]
    assert stopping.on_epoch(5, missing).stop


@pytest.mark.parametrize("verdict", ["NUMERIC", "COLLAPSED", "CODEBOOK_COLLAPSED", "DIVERGED"])
def test_a_condemned_trial_stops_at_once_and_leaves_the_rungs(verdict):
    stopping = policy()
    stopping.on_epoch(1, row(1, 9.0))
    decision = stopping.on_epoch(1, row(2, 9.0, verdict))
    assert (decision.stop, decision.reason, decision.detail) == (True, verdict, "sick at epoch 2")
    assert not any(stopping.on_epoch(trial, row(1, 0.1)).stop for trial in (2, 3, 4))


def test_the_grace_stops_nothing():
    stopping = policy()
    assert not stopping.on_epoch(1, row(1, 9.0, "GRACE")).stop
    assert not stopping.on_epoch(2, row(1, 0.2)).stop
    assert stopping.on_epoch(3, row(1, 0.1)).stop  # the values of the first count


def test_a_condemned_control_runs_on_outside_the_rungs():
    stopping = policy()
    stopping.on_epoch(1, row(1, 9.0), control=True)
    stopping.on_epoch(2, row(3, 1.0))
    stopping.on_epoch(3, row(3, 1.0))
    assert not stopping.on_epoch(1, row(2, 9.0, "COLLAPSED"), control=True).stop
    assert not stopping.on_epoch(1, row(3, -9.0, "COLLAPSED"), control=True).stop
    assert not stopping.on_epoch(1, row(9, 99.0, "HEALTHY"), control=True).stop  # recovered: still outside
    assert not any(stopping.on_epoch(trial, row(1, 0.1)).stop for trial in (4, 5, 6))
    assert not any(stopping.on_epoch(trial, row(9, 1.0)).stop for trial in (2, 3, 4))


def test_a_healthy_control_is_ranked_like_any_other():
    stopping = policy()
    stopping.on_epoch(1, row(1, 9.0))
    stopping.on_epoch(2, row(1, 2.0))
    assert stopping.on_epoch(3, row(1, 1.0), control=True).stop


def test_asha_alone_does_not_hear_the_verdict():
    stopping = policy("asha")
    assert not stopping.on_epoch(1, row(2, 9.0, "COLLAPSED")).stop
    assert stopping.on_epoch(1, row(3, math.nan, "NUMERIC")).reason == "RUNG"


def test_none_runs_everything():
    stopping = policy("none")
    decisions = [stopping.on_epoch(trial, row(1, -trial, "COLLAPSED")).stop for trial in range(1, 8)]
    assert not any(decisions)


def test_a_trial_whose_kl_still_rises_is_compared_with_its_like():
    rising = {"schedule__kl_weight": 1e-4, "schedule__kl_weight_final": 1e-3}
    risen = {"schedule__kl_weight": 1e-3, "schedule__kl_weight_final": 1e-3}
    stopping = policy()
    assert not stopping.on_epoch(1, row(1, 9.0, **rising)).stop
    assert not stopping.on_epoch(2, row(1, 1.0, **rising)).stop
    assert not any(stopping.on_epoch(trial, row(1, 1.0, **risen)).stop for trial in (3, 4, 5))
    decision = stopping.on_epoch(6, row(1, 2.0, **rising))
    assert decision.detail == "val/elbo_gain 2 below the cutoff 9 of 3 trials with rising KL at epoch 1"


def test_an_epoch_seen_before_changes_nothing():
    stopping = policy()
    stopping.on_epoch(1, row(1, 0.5))
    before = repr(stopping.rungs)
    assert not stopping.on_epoch(1, row(1, 99.0)).stop
    assert repr(stopping.rungs) == before
    assert not any(stopping.on_epoch(trial, row(1, 0.6)).stop for trial in (2, 3))


def test_a_failed_trial_sets_no_cutoff():
    stopping = policy()
    stopping.on_epoch(1, row(1, 9.0))
    stopping.on_failure(1)
    assert not any(stopping.on_epoch(trial, row(1, 0.1)).stop for trial in (2, 3, 4))


def test_the_first_rung_lies_at_the_end_of_the_grace():
    stopping = StoppingPolicy("health-asha", 100, SCORE, "max", grace_share=0.05)
    stops = [[stopping.on_epoch(trial, row(epoch, -trial)).stop for trial in (1, 2, 3)] for epoch in range(1, 6)]
    assert stops == [[False] * 3] * 4 + [[False, False, True]]


HISTORY = {
    1: (False, [row(epoch, 1.0) for epoch in range(1, 10)]),
    2: (False, [row(1, 5.0), row(2, 5.0, "COLLAPSED")]),
    3: (True, [row(1, 4.0), row(2, 4.0, "COLLAPSED"), row(3, 4.0)]),
    4: (False, [row(1, 0.2)]),
}


def test_restored_state_does_not_depend_on_the_order_of_the_trials():
    found = []
    for order in itertools.permutations(HISTORY):
        stopping = policy()
        for trial in order:
            stopping.restore(trial, *HISTORY[trial])
        recorded = {key: dict(sorted(rung.items())) for key, rung in stopping.rungs._recorded.items()}
        found.append((dict(sorted(recorded.items())), sorted(stopping._last_epoch.items())))
        for epoch in (3, 9):
            stopping.on_epoch(8, row(epoch, 0.5))
        assert stopping.on_epoch(9, row(3, 0.9)).detail.endswith("below the cutoff 1 of 3 trials at epoch 3")
        assert not stopping.on_epoch(3, row(9, -9.0), control=True).stop
    assert found.count(found[0]) == 24
    assert found[0][0] == {(1, ""): {1: 1.0, 4: 0.2}, (3, ""): {1: 1.0}, (9, ""): {1: 1.0}}


def test_a_restored_policy_decides_like_the_one_that_lived():
    lived, restored = policy(), policy()
    for trial, (control, rows) in HISTORY.items():
        for one in rows:
            lived.on_epoch(trial, one, control)
        restored.restore(trial, control, rows)
    assert repr(lived.rungs) == repr(restored.rungs)
    assert lived.on_epoch(7, row(1, 0.5)) == restored.on_epoch(7, row(1, 0.5))
