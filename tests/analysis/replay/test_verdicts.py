"""Verdicts judged again: never another than `trainables.health.judge` gives."""

from dataclasses import replace

import numpy as np
import pytest

from analysis.replay import synthetic
from analysis.replay.verdicts import JudgedVerdicts
from tests.analysis.replay.conftest import curves_of
from trainables.health import HealthConfig, Verdict, judge

EPOCHS = 20
WELL = {"health/au": 4.0, "health/au_frac": 0.5, "health/dims": 8.0, "health/kl_raw": 5.0, "health/mi": 1.0}
SICK = WELL | {"health/au": 0.0, "health/au_frac": 0.0, "health/kl_raw": 0.01, "health/mi": 0.01}
CURVES_OF_EVERY_VERDICT = [
    [WELL] * EPOCHS,
    [SICK] * EPOCHS,
    [WELL] * 5 + [WELL | {"val/mse": float("nan")}] * (EPOCHS - 5),
    [WELL] * 5 + [WELL | {"val/mse": float("inf")}] + [WELL] * (EPOCHS - 6),
    [WELL] * 5 + [WELL | {"health/kl_raw": 1e7}] * (EPOCHS - 5),
    [{"health/codebook_usage": 0.01, "schedule/codebook_ready": float(epoch > 4)} for epoch in range(EPOCHS)],
    [WELL | {"val/mse": 0.1 * epoch**2, "val/mse_constant": 1.0} for epoch in range(EPOCHS)],
    [WELL | {"health/z_gain": 0.5 if epoch < 4 else 0.001} for epoch in range(EPOCHS)],
    [WELL | {"health/au_frac": 0.02, "health/kl_raw": 0.01, "health/mi": 0.0}] * EPOCHS,
]
CONFIGS = [
    HealthConfig(),
    HealthConfig(grace_share=0.4, consecutive=4),
    HealthConfig(grace_share=0.0, consecutive=1),
    HealthConfig(au_frac_floor=0.1, codebook_usage_floor=0.005, divergence_ratio=1.2, kl_ceiling=3.0),
]


def judged(curves, config):
    return [
        judge(rows[:epoch], curves.epochs, config)
        for rows in map(curves.rows, range(len(curves)))
        for epoch in range(1, len(rows) + 1)
    ]


@pytest.mark.parametrize("config", CONFIGS)
def test_other_thresholds_give_what_the_judge_gives(config):
    curves = curves_of(CURVES_OF_EVERY_VERDICT)
    curves = replace(curves, health=replace(config, kl_floor=1.0))  # recorded under others: all is judged again
    verdicts = JudgedVerdicts(curves, config)
    assert [verdicts[at] for at in range(curves.table.num_rows)] == judged(curves, config)


def test_every_verdict_is_among_those_compared():
    curves = curves_of(CURVES_OF_EVERY_VERDICT)
    assert {health.verdict for config in CONFIGS for health in judged(curves, config)} == set(Verdict) - {
        Verdict.OTHER
    }


@pytest.mark.parametrize("config", CONFIGS[:2])
def test_made_up_curves_have_no_recorded_verdict_and_are_judged(config):
    curves = synthetic.generate(60, EPOCHS, seed=1)
    verdicts = JudgedVerdicts(curves, config)
    assert [verdicts[at] for at in range(curves.table.num_rows)] == judged(curves, config)


def test_recorded_verdicts_are_taken_as_they_are():
    rows = [{"verdict": "HEALTHY"}, {"verdict": "COLLAPSED", "verdict_detail": "as recorded"}]
    curves = curves_of([rows])
    verdicts = JudgedVerdicts(curves, replace(curves.health, control_share=0.5))
    assert [verdicts[at].verdict for at in (0, 1)] == [Verdict.HEALTHY, Verdict.COLLAPSED]
    assert verdicts[1].detail == "as recorded"
    assert JudgedVerdicts(curves, replace(curves.health, consecutive=3))[1].verdict is Verdict.HEALTHY


def test_an_epoch_without_a_recorded_verdict_is_judged():
    curves = curves_of([[SICK, SICK | {"verdict": None, "verdict_detail": None}, SICK]])
    assert JudgedVerdicts(curves, curves.health)[1].verdict is Verdict.GRACE


def test_the_order_of_asking_does_not_matter():
    curves = synthetic.generate(40, EPOCHS, seed=2)
    rows = np.random.default_rng(0).permutation(curves.table.num_rows).tolist()
    shuffled, ordered = (JudgedVerdicts(curves, HealthConfig()) for _ in range(2))
    found = {at: shuffled[at] for at in rows}
    assert [found[at] for at in sorted(rows)] == [ordered[at] for at in sorted(rows)]
