"""What can be replayed: the live policy itself, two baselines, and their settings."""

import math

import numpy as np
import pytest

from analysis.replay import synthetic
from analysis.replay.curves import Curves
from analysis.replay.policies import Live, Spec, parse
from analysis.replay.simulate import simulate
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.schedulers.stopping import StoppingPolicy
from tests.analysis.replay.conftest import SCORE, curves_of
from trainables.health import HealthConfig, is_control, judge

SEED = 5


def plainly(policy: str, curves: Curves, order: list[int], health: HealthConfig) -> dict[int, tuple[int, str, str]]:
    """One worker, told as plainly as possible: every epoch judged, every row a dictionary, no simulation."""
    stopping = StoppingPolicy(policy, curves.epochs, curves.metric, curves.mode, health.grace_share)
    ends = {}
    for trial in order:
        rows, number = curves.rows(trial), trial + 1
        control = is_control(SEED, number, health)
        for epoch, row in enumerate(rows, start=1):
            verdict = judge(rows[:epoch], curves.epochs, health)
            ends[trial] = (epoch, "", "")
            if epoch < len(rows):
                told = row | {"verdict": verdict.verdict.value, "verdict_detail": verdict.detail}
                decision = stopping.on_epoch(number, told, control)
                if decision.stop:
                    ends[trial] = (epoch, decision.reason, decision.detail)
                    break
            elif policy == "health-asha" and verdict.verdict.condemned and not control:
                ends[trial] = (epoch, verdict.verdict.value, verdict.detail)
    return ends


@pytest.mark.parametrize(
    ("text", "health"),
    [
        ("none", HealthConfig()),
        ("asha", HealthConfig()),
        ("asha:grace=0.2", HealthConfig(grace_share=0.2)),
        ("health-asha", HealthConfig()),
        (
            "health-asha:grace=0.2,patience=3,control=0.5",
            HealthConfig(grace_share=0.2, consecutive=3, control_share=0.5),
        ),
    ],
)
def test_the_policy_of_sweeps_decides(text, health):
    curves = synthetic.generate(120, 20, seed=3)
    order = np.random.default_rng(SEED).permutation(len(curves)).tolist()
    spec = parse(text)
    ends = simulate(curves, spec.factory(curves)(SEED), order, workers=1)
    expected = plainly(spec.name, curves, order, health)
    assert {end.trial: (end.epoch, end.reason, end.detail) for end in ends} == expected
    assert [end.trial for end in ends] == order


def test_health_asha_stops_for_every_kind_of_reason_there():
    curves = synthetic.generate(400, 20, seed=3)
    ends = simulate(curves, parse("health-asha").factory(curves)(SEED), range(400), workers=4)
    assert {end.reason for end in ends} >= {"", "RUNG", "COLLAPSED", "NUMERIC"}


@pytest.mark.parametrize(("eta", "epochs"), [(2, [12, 1, 1, 2]), (3, [12, 12, 1, 1])])
def test_eta_is_that_of_the_rungs(scored, eta, epochs):
    curves = scored(*[[score] * 12 for score in (4.0, 1.0, 0.0, 3.0)])
    ends = simulate(curves, parse(f"asha:eta={eta}").factory(curves)(0), range(4), 1)
    assert [end.epoch for end in ends] == epochs


def test_the_grace_moves_the_first_rung(scored):
    curves = scored([3.0] * 20, [2.0] * 20, [1.0] * 20)
    stopped = {
        grace: simulate(curves, parse(f"asha:grace={grace}").factory(curves)(0), range(3), 1)[-1].epoch
        for grace in (0, 0.05, 0.25, 0.9)
    }
    assert stopped == {0: 1, 0.05: 1, 0.25: 5, 0.9: 18}


def test_controls_are_drawn_by_seed_and_number():
    curves = synthetic.generate(80, 20, seed=3)
    spec = parse("health-asha:control=0.5")
    health = spec.health(curves.health)
    scheduler = Live(spec, curves, JudgedVerdicts(curves, health), SEED)
    stopped = {end.trial for end in simulate(curves, scheduler, range(80), 1) if end.reason == "COLLAPSED"}
    assert stopped
    assert not any(is_control(SEED, trial + 1, health) for trial in stopped)
    without = simulate(curves, parse("health-asha:control=0").factory(curves)(SEED), range(80), 1)
    assert stopped < {end.trial for end in without if end.reason == "COLLAPSED"}


def test_a_trial_condemned_in_its_last_epoch_is_stopped_in_name():
    sick = {"verdict": "COLLAPSED", "verdict_detail": "at last"}
    curves = curves_of([[{SCORE: 1.0}, {SCORE: 1.0} | sick]] * 2)
    ends = simulate(curves, parse("health-asha:control=0").factory(curves)(0), [0, 1], 1)
    assert [(end.epoch, end.reason, end.detail) for end in ends] == [(2, "COLLAPSED", "at last")] * 2
    for policy in ("asha", "none", "health-asha:control=1"):
        assert [end.reason for end in simulate(curves, parse(policy).factory(curves)(0), [0, 1], 1)] == ["", ""]


def test_median_hears_of_completed_trials_only(scored):
    curves = scored([2.0, 4.0, 9.0], [3.0, 3.0, 4.9], [1.0, 9.0, 9.0], [3.0, 3.0, 5.0])
    ends = simulate(curves, parse("median:grace=0").factory(curves)(0), range(4), 1)
    # running means of trial 0: 2, 3, 5; trial 1 is below 5 at its end only, and completes: 3, 3, 3.6
    assert [(end.trial, end.epoch) for end in ends] == [(0, 3), (1, 3), (2, 1), (3, 3)]
    assert [end.reason for end in ends] == ["", "", "RUNG", ""]


def test_median_drops_what_is_not_finite(scored):
    curves = scored([1.0, 1.0], [math.nan, 1.0], [1.0, math.nan], [0.5, 0.5])
    ends = simulate(curves, parse("median:grace=0").factory(curves)(0), range(4), 1)
    assert [(end.trial, end.epoch, end.reason) for end in ends] == [
        (0, 2, ""), (1, 1, "RUNG"), (2, 2, ""), (3, 1, "RUNG"),
    ]  # fmt: skip


def test_hyperband_by_hand(scored):
    # R = 3, η = 3: three trials to epoch 1, the best of them to 3; then two trials to 3
    curves = scored(*[[score] * 3 for score in (1.0, 3.0, 2.0, 0.0, 5.0)])
    ends = simulate(curves, parse("hyperband").factory(curves)(0), range(5), 1)
    assert [(end.trial, end.epoch, end.reason, end.spent) for end in ends] == [
        (0, 1, "RUNG", 1), (2, 1, "RUNG", 3), (1, 3, "", 5), (3, 3, "", 8), (4, 3, "", 11),
    ]  # fmt: skip
    less = scored(*[[-score] * 3 for score in (1.0, 3.0, 2.0, 0.0, 5.0)], mode="min")
    assert simulate(less, parse("hyperband").factory(less)(0), range(5), 1) == ends


def test_hyperband_with_many_workers_ends_every_trial_once():
    curves = synthetic.generate(100, 27, seed=4)
    ends = simulate(curves, parse("hyperband").factory(curves)(0), range(100), 16)
    assert sorted(end.trial for end in ends) == list(range(100))
    assert {end.epoch for end in ends} == {1, 3, 9, 27}
    assert ends[-1].spent == sum(end.epoch for end in ends)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Spec("none", "none")),
        ("asha:", Spec("asha:", "asha")),
        ("hyperband:eta=4", Spec("hyperband:eta=4", "hyperband", {"eta": 4})),
        (
            "health-asha:grace=0.1,patience=3,control=0",
            Spec("health-asha:grace=0.1,patience=3,control=0", "health-asha",
                 {"grace": 0.1, "patience": 3, "control": 0.0}),
        ),
    ],
)  # fmt: skip
def test_parse(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pbt", "unknown scheduler 'pbt'; expected one of none, asha, median, hyperband, health-asha"),
        ("none:eta=3", "none has no settings"),
        ("asha:patience=3", "asha has no setting 'patience', only grace, eta"),
        ("asha:eta=1", "eta=1: expected a whole number from 2"),
        ("asha:eta=2.5", "eta=2.5: expected a whole number from 2"),
        ("asha:eta", "eta=: expected a whole number from 2"),
        ("median:grace=1", "grace=1: expected a share of the budget, from 0 to below 1"),
        ("median:grace=nan", "grace=nan: expected a share of the budget"),
        (
            "health-asha:patience=0,control=2",
            "patience=0: expected a whole number from 1; control=2: expected a share",
        ),
    ],
)
def test_parse_names_what_is_wrong(text, problem):
    with pytest.raises(ValueError, match=r"^--scheduler ") as error:
        parse(text)
    assert f"--scheduler {text}: {problem}" in str(error.value)


def test_thresholds_not_given_are_as_recorded():
    recorded = HealthConfig(grace_share=0.2, consecutive=4, kl_floor=0.1)
    assert parse("health-asha:patience=1").health(recorded) == HealthConfig(
        grace_share=0.2, consecutive=1, kl_floor=0.1
    )
