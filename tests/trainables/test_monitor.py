"""The monitor against what the program's own loop measures, and what it makes of loops it does not know."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.epoch_log import read_trial, write
from trainables.health import HealthConfig, Verdict
from trainables.monitor import UNWEIGHED, Monitor, MonitorError

SAMPLES, DIMS, VALUES = 80, 4, 6


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def linear() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Posterior and target of a linear model whose z is informative: mu, logvar, weights (K, L), target (N, L)."""
    mu, weight = normal(SAMPLES, DIMS), normal(DIMS, VALUES, seed=1)
    return mu, torch.full_like(mu, math.log(0.01)), weight, mu @ weight


def collapsed(monitor: Monitor, **more) -> dict:
    mu = 1e-4 * normal(SAMPLES, DIMS)
    return monitor.epoch(mu, torch.zeros_like(mu), **more)


def test_the_row_is_that_of_the_loop(trainer):
    """The same posterior gives the same latent measures, whoever trains."""
    one = trainer()
    expected = one.run_epoch()
    latent = one.evaluate()[1]
    row = Monitor(epochs=4).epoch(latent.mu, latent.logvar)
    for name in ("health/au", "health/au_frac", "health/dims", "health/kl_raw", "health/mu_var_mean", "latent/kl"):
        assert row[name] == expected[name], name
    assert row["health/mi"] == pytest.approx(expected["health/mi"], abs=0.1)  # other draws


def test_z_gain_is_one_minus_own_over_swapped_errors(linear):
    mu, logvar, weight, target = linear
    row = Monitor(epochs=10).epoch(mu, logvar, decode=lambda z: z @ weight, target=target)
    noise = 0.01 * float(weight.square().sum())  # Var(z | x) carried through the weights
    swapped = 2 * float(target.var(dim=0, correction=1).sum()) + noise
    assert row["val/mse"] * VALUES == pytest.approx(noise, rel=0.25)  # nothing but the noise of 128 decodes
    assert row["health/z_gain"] == pytest.approx(1 - noise / swapped, abs=1e-3)
    assert row["verdict"] == "HEALTHY"


def test_a_collapse_is_condemned_after_two_evaluations_beyond_the_grace(linear):
    _, _, weight, target = linear
    monitor = Monitor(epochs=20)
    for epoch in range(1, 4):
        row = collapsed(monitor, decode=lambda z: 0 * (z @ weight), target=target)
        assert row["epoch"] == epoch
        assert monitor.condemned == (epoch == 3)  # the first epoch is grace
    assert monitor.stopping_reason is Verdict.COLLAPSED
    assert "0 of 4 units active" in monitor.stopping_reason_message
    assert monitor.tags == {
        "stop.reason": "COLLAPSED", "stop.detail": monitor.stopping_reason_message, "stop.epoch": "3",
    }  # fmt: skip


def test_a_decoder_that_is_never_seen_costs_patience_and_is_said():
    monitor = Monitor(epochs=20)
    heard = []
    for _ in range(7):
        mu = 1e-4 * normal(SAMPLES, DIMS)
        monitor.epoch(mu, torch.full_like(mu, -1.0))  # KL 0.74 nats: no floor is crossed
        heard.append(monitor.condemned)
    assert heard == [False] * 6 + [True]
    assert "whether the decoder uses z was never measured" in monitor.stopping_reason_message


def test_a_warm_up_is_waited_for():
    monitor = Monitor(epochs=20)
    for epoch in range(10):
        collapsed(monitor, kl_weight=0.04 * epoch, kl_weight_final=1.0)
        assert monitor.stopping_reason is Verdict.GRACE
    assert not monitor.tags


def test_a_constant_weight_is_final_and_a_rising_one_is_waited_for():
    """A β of 0.1 for ever is no warm-up: what it collapses is condemned like any other collapse."""
    constant, rising = Monitor(20), Monitor(20)
    for epoch in range(1, 11):
        collapsed(constant, kl_weight=0.1)
        collapsed(rising, kl_weight=0.04 * epoch)
    assert constant.condemned
    assert not rising.condemned


def test_a_collapse_says_that_no_kl_weight_was_given():
    silent, told = Monitor(epochs=20), Monitor(epochs=20)
    for _ in range(7):
        row = collapsed(silent)
        assert ("no kl_weight was given" in row["verdict_detail"]) == (row["verdict"] == "COLLAPSED")
        collapsed(told, kl_weight=1.0)
    assert silent.stopping_reason is told.stopping_reason is Verdict.COLLAPSED
    assert silent.tags["stop.detail"] == f"{told.tags['stop.detail']}; {UNWEIGHED}"
    assert Monitor(epochs=20).epoch(normal(SAMPLES, DIMS), normal(SAMPLES, DIMS) - 3)["verdict_detail"] == ""
    codes = Monitor(epochs=20)
    for _ in range(3):
        codes.epoch(codes=torch.zeros(8, 8, dtype=torch.long), codebook_size=128)
    assert (codes.stopping_reason, "kl_weight" in codes.stopping_reason_message) == (
        Verdict.CODEBOOK_COLLAPSED,
        False,
    )


def test_codes_are_judged_by_their_use():
    monitor = Monitor(epochs=20)
    used = torch.arange(64).reshape(8, 8)
    assert monitor.epoch(codes=used, codebook_size=128)["health/codebook_usage"] == 0.5
    for _ in range(2):
        row = monitor.epoch(codes=torch.zeros(8, 8, dtype=torch.long), codebook_size=128)
    assert (row["health/perplexity"], monitor.stopping_reason) == (1.0, Verdict.CODEBOOK_COLLAPSED)


def test_further_numbers_get_the_names_of_the_epoch_log(linear, tmp_path):
    mu, logvar, *_ = linear
    monitor = Monitor(epochs=3)
    row = monitor.epoch(mu, logvar, nelbo=1.5, **{"train/loss": 2.0, "health/kl_raw": 3.0})
    assert (row["val/nelbo"], row["train/loss"], row["health/kl_raw"]) == (1.5, 2.0, 3.0)
    write(tmp_path, 1, {"beta": 1.0}, monitor.rows)
    (logged,) = read_trial(tmp_path, 1)
    assert (logged["val/nelbo"], logged["config/beta"], logged["verdict"]) == (1.5, 1.0, "HEALTHY")
    assert logged["latent/kl"] == pytest.approx(row["latent/kl"])


def test_a_loss_that_is_not_finite_is_numeric(linear):
    mu, logvar, *_ = linear
    monitor = Monitor(epochs=3)
    monitor.epoch(mu, logvar, **{"train/loss": math.nan})
    assert monitor.stopping_reason is Verdict.NUMERIC


def test_draws_are_the_monitors_own_and_the_same_at_every_call(linear):
    mu, logvar, weight, target = linear
    seen: list[Tensor] = []
    monitor = Monitor(epochs=3, seed=5)
    for _ in range(2):
        state = torch.random.get_rng_state()
        monitor.epoch(mu, logvar, decode=lambda z: seen.append(z) or z @ weight, target=target)
        assert torch.random.get_rng_state().equal(state)
    half = len(seen) // 2
    assert all(first.equal(second) for first, second in zip(seen[:half], seen[half:], strict=True))
    assert sum(map(len, seen[:half])) >= 128


def test_what_is_saved_goes_with_the_next_epoch_as_plain_values(linear):
    mu, logvar, *_ = linear
    monitor = Monitor(epochs=3)
    model = torch.nn.Linear(2, 2)
    monitor.save({"model": model.state_dict(), "rate": np.float64(0.5), "steps": (1, 2)})
    assert monitor.saved is None
    monitor.epoch(mu, logvar)
    assert monitor.saved is not None
    torch.save(monitor.saved, buffer := io.BytesIO())
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=True)
    assert loaded["model"]["weight"].equal(model.weight)
    assert (loaded["rate"], loaded["steps"]) == (0.5, [1, 2])
    monitor.epoch(mu, logvar)
    assert monitor.saved is None


def test_a_state_that_no_checkpoint_can_hold_is_refused_by_its_place():
    with pytest.raises(MonitorError, match=r"state\['a'\]\[1\] is a object; .*state\['b'\] is a function"):
        Monitor(epochs=3).save({"a": [1, object()], "b": lambda: 0})


def test_who_runs_under_a_sweep_is_judged_but_not_told_to_stop(linear):
    _, _, weight, target = linear
    monitor = Monitor(epochs=20, stops=False)
    for _ in range(3):
        row = collapsed(monitor, decode=lambda z: 0 * (z @ weight), target=target)
    assert (row["verdict"], monitor.condemned, monitor.tags) == ("COLLAPSED", False, {})


def test_thresholds_may_be_the_users():
    monitor = Monitor(
        epochs=20, health=HealthConfig(consecutive=1, collapse_share=0.0, grace_share=0.0, kl_floor=1.0)
    )
    mu = 1e-4 * normal(SAMPLES, DIMS)
    for _ in range(2):  # the KL weight is final at the end of the first
        monitor.epoch(mu, torch.full_like(mu, -1.0))
    assert monitor.condemned


@pytest.mark.parametrize(
    ("handed", "message"),
    [
        ({}, "neither mu and logvar nor codes"),
        ({"mu": normal(8, 2)}, "one was given without the other"),
        ({"mu": normal(8, 2, 2), "logvar": normal(8, 2, 2)}, r"mu has shape \(8, 2, 2\)"),
        ({"mu": normal(8, 2), "logvar": normal(8, 3)}, r"expected both \(N, K\)"),
        ({"mu": normal(1, 2), "logvar": normal(1, 2)}, "expected 2 or more, better 64"),
        ({"mu": normal(8, 2), "logvar": normal(8, 2), "decode": torch.clone}, "without target"),
        ({"mu": normal(8, 2), "logvar": normal(8, 2), "target": normal(9, 2)}, "target has 9 samples, mu 8"),
        (
            {"mu": normal(8, 2), "logvar": normal(8, 2), "decode": torch.clone, "target": normal(8, 3)},
            "returned 2 values a sample; target has 3",
        ),
        ({"codes": torch.zeros(4, 4, dtype=torch.long)}, "codes and codebook_size"),
        ({"codes": torch.zeros(4, 4), "codebook_size": 8}, "expected integers"),
    ],
)
def test_what_cannot_be_a_posterior_is_refused_with_what_was_expected(handed, message):
    monitor = Monitor(epochs=3)
    with pytest.raises(MonitorError, match=message):
        monitor.epoch(**handed)
    assert monitor.rows == []
