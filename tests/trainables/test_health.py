"""The health verdict, by numbers."""

import math

import numpy as np
import pytest

import search_spaces
from trainables.health import JUDGED, HealthConfig, Verdict, grace_end, in_kl_grace, is_control, judge, looks_sick

HEALTHY = {
    "health/au": 5.0,
    "health/au_frac": 0.625,
    "health/dims": 8.0,
    "health/kl_raw": 9.0,
    "health/mi": 3.0,
    "health/z_gain": 0.5,
    "val/mse": 0.4,
    "val/mse_constant": 1.0,
    "schedule/kl_weight": 1e-3,
    "schedule/kl_weight_final": 1e-3,
}
DEAD = {
    "health/au": 0.0,
    "health/au_frac": 0.0,
    "health/kl_raw": 0.01,
    "health/mi": 0.001,
    "health/z_gain": 0.0005,
}


def rows(*changes, first=1):
    """Consecutive epochs: HEALTHY with each of `changes`."""
    return [HEALTHY | {"epoch": epoch} | change for epoch, change in enumerate(changes, first)]


def verdicts(history, epochs=100, config=None):
    return [judge(history[:end], epochs, config).verdict.value for end in range(1, len(history) + 1)]


def test_a_healthy_trial_has_no_detail():
    health = judge(rows({}, {}), 10)
    assert health.verdict is Verdict.HEALTHY
    assert health.detail == ""
    assert not health.verdict.condemned


def test_collapse_is_condemned_on_two_evaluations_after_the_grace_with_its_numbers():
    history = rows(*[DEAD] * 4)
    assert verdicts(history, 20) == ["GRACE", "GRACE", "COLLAPSED", "COLLAPSED"]  # grace: 5 % of 20 = epoch 1
    detail = judge(history[:3], 20).detail
    assert detail == (
        "0 of 8 units active, raw KL 0.01 nats (< 0.1), z gain 0.0005 (< 0.01), mutual information 0.001 nats "
        "at epoch 3, hardly any unit and no use of z since epoch 2"
    )
    assert judge(history[:2], 20).detail.endswith("at epoch 2; not yet judged or confirmed")


@pytest.mark.parametrize(
    "alive",
    [
        {"health/au": 1.0, "health/au_frac": 0.125, "health/z_gain": 0.01},
        {"health/kl_raw": 0.1, "health/z_gain": 0.01},
    ],
)
def test_an_active_unit_or_both_kl_and_z_gain_save(alive):
    assert verdicts(rows(*[DEAD | alive] * 5)) == ["HEALTHY"] * 5


@pytest.mark.parametrize("name", ["imc_vae", "conv_vae", "vae_dg", "vae3d", "dip_vae_sbd", "tc_vae_sbd"])
@pytest.mark.parametrize("kl", [1.19, 2.1, 6.0])
def test_kl_below_its_free_bits_saves_nobody(name, kl):
    """As audited: no active unit for 85 epochs, 1.2 to 2.1 nats in 128 dimensions under a floor of 6.4, a
    template."""
    audited = DEAD | {"health/kl_raw": kl, "health/kl_constrained": 6.4, "health/z_gain": 0.002}
    config = HealthConfig(**search_spaces.load(name).thresholds)
    assert verdicts(rows(*[audited] * 6), 20, config)[-1] == "COLLAPSED"


def test_units_that_come_and_go_while_z_is_of_no_use_save_nobody():
    flicker = DEAD | {"health/kl_raw": 8.0, "health/au": 1.0, "health/au_frac": 0.125}
    assert verdicts(rows({}, flicker, flicker, DEAD | {"health/kl_raw": 8.0}), 20)[-2:] == ["IGNORES_Z", "COLLAPSED"]
    several = flicker | {"health/au": 4.0, "health/au_frac": 0.5}
    assert verdicts(rows({}, several, several, DEAD | {"health/kl_raw": 8.0}), 20)[-1] == "IGNORES_Z"
    used = {"health/au": 0.0, "health/au_frac": 0.0}  # no unit active for once, z of use before
    assert verdicts(rows({}, {}, {}, DEAD | used), 20)[-1] == "GRACE"


def test_a_decoder_that_ignores_z_is_reported_and_not_stopped():
    history = rows({}, *[{"health/z_gain": 0.004}] * 3, {})
    assert verdicts(history, 20) == ["HEALTHY", "GRACE", "IGNORES_Z", "IGNORES_Z", "HEALTHY"]
    health = judge(history[:4], 20)
    assert health.detail == "the decoder ignores z: z gain 0.004 (< 0.01) at epoch 4, the same since epoch 3"
    assert not health.verdict.condemned


def test_a_log_without_z_gain_is_judged_by_kl_and_for_want_of_it_by_units_that_stay_inactive():
    old = {name: value for name, value in (HEALTHY | DEAD).items() if name != "health/z_gain"}
    assert verdicts([old | {"epoch": epoch} for epoch in range(1, 5)], 20)[-1] == "COLLAPSED"
    silent = [old | {"epoch": epoch, "health/kl_raw": 2.0} for epoch in range(1, 8)]
    assert verdicts(silent, 20) == ["GRACE"] * 6 + ["COLLAPSED"]


@pytest.mark.parametrize(
    "history", [rows(*[DEAD] * 4), rows({}, *[{"health/z_gain": 0.0}] * 3), rows({}, {"val/mse": 2.5})]
)
def test_what_is_not_plainly_healthy_looks_sick(history):
    """The replay asks many epochs at once, by the same predicates."""
    columns = {name: np.array([row[name] for row in history]) for name in history[0]}
    sick = looks_sick(lambda name: columns.get(name, np.nan), HealthConfig())
    assert all(sick[end] for end in range(len(history)) if judge(history[: end + 1], 20).verdict != "HEALTHY")
    assert not looks_sick(lambda name: HEALTHY.get(name, math.nan), HealthConfig())


def test_a_recovery_in_between_starts_the_count_again():
    history = rows(DEAD, DEAD, {}, DEAD, {}, DEAD, DEAD)
    assert verdicts(history, 20) == ["GRACE", "GRACE", "HEALTHY", "GRACE", "HEALTHY", "GRACE", "COLLAPSED"]


def test_a_collapse_has_to_last_for_a_tenth_of_the_budget_after_the_grace():
    """Under a warm-up or free bits many wake up late: see the recorded sweeps."""
    alive = {"health/kl_raw": 8.0}  # so that nothing but the collapse is judged
    history = rows(*[DEAD | alive | {"health/z_gain": 0.0}] * 30)
    assert verdicts(history, 200)[-2:] == ["IGNORES_Z", "COLLAPSED"]  # grace 10 epochs, then 20
    assert verdicts(history, 200, HealthConfig(collapse_share=0.05)).index("COLLAPSED") == 19
    woken = [*history[:15], history[15] | HEALTHY, *history[16:]]
    assert "COLLAPSED" not in verdicts(woken, 200)


def test_the_grace_is_a_share_of_the_budget():
    config = HealthConfig(collapse_share=0.0)
    assert verdicts(rows(*[DEAD] * 12), 200, config).index("COLLAPSED") == 11
    config = HealthConfig(collapse_share=0.0, grace_share=0.0)
    assert verdicts(rows(*[DEAD] * 3), 200, config).index("COLLAPSED") == 2


def test_the_grace_lasts_until_the_kl_weight_is_at_half():
    ramp = [{"schedule/kl_weight": 1e-4 * epoch} for epoch in range(1, 11)]
    history = rows(*[DEAD | step for step in ramp])
    assert [grace_end(history[:end], 10, HealthConfig()) for end in (4, 5, 9)] == [math.inf, 5, 5]
    assert verdicts(history, 10) == ["GRACE"] * 6 + ["COLLAPSED"] * 4
    assert [in_kl_grace(row) for row in history[3:6]] == [True, False, False]


def test_a_slow_warm_up_that_ends_healthy_is_never_condemned():
    sick = [DEAD | {"schedule/kl_weight": 1e-5 * epoch} for epoch in range(1, 51)]
    history = rows(*sick, *[{"schedule/kl_weight": 1e-3}] * 10)
    assert set(verdicts(history, 60)) == {"GRACE", "HEALTHY"}


def test_a_kl_weight_of_zero_is_never_judged():
    off = DEAD | {"schedule/kl_weight": 0.0, "schedule/kl_weight_final": 0.0}
    assert set(verdicts(rows(*[off] * 20), 20)) == {"GRACE", "IGNORES_Z"}  # never as collapsed
    assert set(verdicts(rows(*[off | {"health/z_gain": 0.5}] * 20), 20)) == {"GRACE"}


def test_a_cyclical_schedule_is_judged_at_the_ends_of_its_cycles():
    history = rows(*[DEAD | {"schedule/cycle_end": float(epoch % 4 == 0)} for epoch in range(1, 13)])
    assert verdicts(history, 20) == ["GRACE"] * 7 + ["COLLAPSED"] + ["GRACE"] * 3 + ["COLLAPSED"]
    assert judge(history[:8], 20).detail.endswith("at epoch 8, hardly any unit and no use of z since epoch 4")
    awake = rows(*[(HEALTHY if epoch % 4 == 0 else DEAD) | {"schedule/cycle_end": float(epoch % 4 == 0)}
                   for epoch in range(1, 13)])  # fmt: skip
    assert set(verdicts(awake, 20)) == {"GRACE", "HEALTHY"}


def test_a_share_of_active_units_may_be_asked_for():
    few = DEAD | {"health/au": 1.0, "health/au_frac": 0.125}
    assert verdicts(rows(*[few] * 4), 20, HealthConfig(au_frac_floor=0.2))[-1] == "COLLAPSED"
    assert verdicts(rows(*[few] * 4), 20, HealthConfig(au_frac_floor=0.1))[-1] == "IGNORES_Z"


def test_the_number_of_evaluations_is_configurable():
    assert verdicts(rows(*[DEAD] * 5), 20, HealthConfig(consecutive=4)) == ["GRACE"] * 4 + ["COLLAPSED"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_condemns_at_once(value):
    health = judge(rows({"train/loss": value}), 100)
    assert health.verdict is Verdict.NUMERIC
    assert health.detail == f"train/loss is {value} at epoch 1"


def test_a_side_measure_that_is_no_number_is_reported_and_no_disease():
    bad = {f"val/{name}": math.nan for name in "abcde"}
    health = judge(rows(bad), 100)
    assert health.verdict is Verdict.HEALTHY
    assert health.detail == "val/a is nan, val/b is nan, val/c is nan and 2 more at epoch 1; not judged"
    assert judge(rows({"val/psnr": math.inf}), 100).verdict is Verdict.HEALTHY  # an exact reconstruction


@pytest.mark.parametrize("name", JUDGED)
def test_loss_score_and_kl_must_be_finite(name):
    assert judge(rows({name: math.nan}), 100).verdict is Verdict.NUMERIC


def test_kl_beyond_any_sense_condemns_at_once():
    assert judge(rows({"health/kl_raw": 9.9e5}), 100).verdict is Verdict.HEALTHY
    health = judge(rows({"health/kl_raw": 4_146_366.0}), 100)
    assert health.verdict is Verdict.NUMERIC
    assert health.detail == "health/kl_raw 4.15e+06 nats, beyond 1e+06, at epoch 1"


def test_an_explosion_in_training_is_numeric_though_the_validation_recovered():
    health = judge([{"epoch": 1, "health/kl_raw": 5.0, "train/kl_peak": 3e14}], 10)
    assert health.verdict is Verdict.NUMERIC
    assert health.detail == "train/kl_peak 3e+14 nats, beyond 1e+06, at epoch 1"


def test_only_the_last_epoch_is_judged_for_finiteness():
    assert judge(rows({"train/loss": math.nan}, {}), 100).verdict is Verdict.HEALTHY


def test_divergence_is_an_error_beyond_the_mean_predictor_and_the_own_best():
    history = rows({}, {}, {"val/mse": 2.1}, {"val/mse": 2.5})
    assert verdicts(history, 20) == ["HEALTHY", "HEALTHY", "GRACE", "DIVERGED"]
    assert judge(history, 20).detail == (
        "held-out error 2.5, over 2 times that of the best constant (1) and that of its own best epoch, at epoch 4, "
        "the same since epoch 3"
    )
    assert verdicts(rows({}, *[{"val/mse": 1.9}] * 4), 20) == ["HEALTHY"] * 5


def test_a_decoder_that_is_at_home_only_among_samples_has_not_diverged():
    assert verdicts(rows({}, *[{"health/recon_mu": 50.0}] * 4), 20) == ["HEALTHY"] * 5


def test_a_start_far_from_the_data_that_improves_is_not_divergence():
    falling = [{"val/mse": 100.0 / epoch} for epoch in range(1, 8)]
    assert set(verdicts(rows(*falling), 20)) == {"HEALTHY"}


def test_a_sick_latent_not_yet_judged_does_not_hide_a_divergence():
    off = DEAD | {"schedule/kl_weight": 0.0, "schedule/kl_weight_final": 0.0}
    history = rows(off, *[off | {"val/mse": 50.0}] * 4)
    assert verdicts(history, 20)[-1] == "DIVERGED"


def test_a_codebook_is_judged_once_it_is_ready():
    poor = {"epoch": 0, "health/codebook_usage": 0.01}
    early = [poor | {"epoch": epoch, "schedule/codebook_ready": float(epoch > 3)} for epoch in range(1, 7)]
    assert verdicts(early, 20) == ["GRACE"] * 4 + ["CODEBOOK_COLLAPSED"] * 2
    assert judge(early, 20).detail == ("1.0% of the codes in use (< 2.0%) at epoch 6, the same since epoch 5")
    rich = [row | {"health/codebook_usage": 0.02} for row in early]
    assert set(verdicts(rich, 20)) == {"HEALTHY"}


def test_metrics_a_model_does_not_have_are_not_judged():
    assert verdicts([{"epoch": 1, "train/loss": 3.0}, {"epoch": 2, "train/loss": 2.0}]) == ["HEALTHY"] * 2


def test_controls_are_a_fixed_share():
    chosen = [trial for trial in range(1, 4001) if is_control(7, trial)]
    assert len(chosen) / 4000 == pytest.approx(0.05, abs=0.012)
    assert chosen == [trial for trial in range(1, 4001) if is_control(7, trial)]
    assert chosen != [trial for trial in range(1, 4001) if is_control(8, trial)]
    assert not any(is_control(7, trial, HealthConfig(control_share=0.0)) for trial in range(1, 200))
    assert all(is_control(7, trial, HealthConfig(control_share=1.0)) for trial in range(1, 200))
