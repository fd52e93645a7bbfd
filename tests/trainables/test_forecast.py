"""The forecast of collapse against the linear case."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from sweeps.forecast import Forecaster, from_spectrum

from trainables import models
from trainables.data.normalise import grid_statistics
from trainables.forms import QuadraticForm

SPECTRUM = np.array([8.0, 4.0, 1.0, 0.5])


def test_the_linear_case():
    forecast = from_spectrum(SPECTRUM, 2.0)
    assert forecast.au == 2
    assert forecast.kl == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(2))
    assert not forecast.collapsed
    assert forecast.to_dict() == {"sigma2": 2.0, "au": 2, "kl": forecast.kl, "collapsed": False}


def test_units_are_active_where_the_eigenvalue_exceeds_sigma2():
    for sigma2, active in ((0.4, 4), (0.7, 3), (2.0, 2), (5.0, 1), (9.0, 0)):
        forecast = from_spectrum(SPECTRUM, sigma2)
        assert (forecast.au, forecast.collapsed) == (active, active == 0)
    assert from_spectrum(SPECTRUM, 9.0).kl == 0.0


def test_the_threshold_is_that_of_active_units():
    """The variance of mu is 1 − σ²/λ: 0.009 below and 0.011 above the limit of 0.01."""
    assert from_spectrum(np.array([1.0]), 0.991).au == 0
    assert from_spectrum(np.array([1.0]), 0.989).au == 1


def test_free_bits_keep_every_direction_with_variance():
    forecast = from_spectrum(np.array([8.0, 4.0, 1e-12]), 6.0, free_bits=0.5)
    assert forecast.au == 2
    assert forecast.kl == pytest.approx(0.5 + 0.5)  # ½ ln(8/6) = 0.14
    assert from_spectrum(SPECTRUM, 100.0, free_bits=0.004).collapsed  # 1 − e^(−0.008) < 0.01
    assert not from_spectrum(SPECTRUM, 100.0, free_bits=0.006).collapsed


def test_without_kl_weight_everything_with_variance_is_active():
    forecast = from_spectrum(np.array([8.0, 4.0, 0.0]), 0.0)
    assert (forecast.au, forecast.collapsed) == (2, False)
    assert math.isfinite(forecast.kl)


def test_constant_data_collapse():
    assert from_spectrum(np.zeros(5), 1.0, free_bits=2.0).collapsed


EIGENVALUES = np.array([6.0, 3.0, 1.5, 0.75, 0.3])
COUNT = 200


def linear_gaussian() -> np.ndarray:
    """(N, 5) whose sample covariance has EIGENVALUES exactly, in a rotated basis, with a mean."""
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((COUNT, 5))
    left, _, right = np.linalg.svd(raw - raw.mean(axis=0), full_matrices=False)
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    return (left @ right * math.sqrt(COUNT) * np.sqrt(EIGENVALUES)) @ rotation + 7.0


def definition(kl_weight, weights=(0.5,), latent_dim=5, free_bits=0.0, calls=None):
    """σ² = kl_weight at unit weight ½."""

    def quadratic_form(config, x, statistics):
        def features():
            if calls is not None:
                calls.append(1)
            return x

        return QuadraticForm("x", tuple((w, features) for w in weights), 0.5, kl_weight, free_bits, latent_dim)

    return SimpleNamespace(quadratic_form=quadratic_form)


@pytest.mark.parametrize("sigma2", [0.1, 0.5, 2.0, 5.0, 7.0])
def test_forecaster_on_data_of_known_covariance(sigma2):
    forecast = Forecaster(definition(sigma2), linear_gaussian(), {}).forecast({})
    active = EIGENVALUES[sigma2 < EIGENVALUES]
    assert forecast.sigma2 == pytest.approx(sigma2)
    assert forecast.au == len(active)
    assert forecast.kl == pytest.approx(0.5 * np.log(active / sigma2).sum(), abs=1e-9)


def test_a_small_latent_keeps_the_largest_directions():
    forecast = Forecaster(definition(0.1, latent_dim=2), linear_gaussian(), {}).forecast({})
    assert forecast.au == 2
    assert forecast.kl == pytest.approx(0.5 * math.log(60) + 0.5 * math.log(30))


def test_a_heavier_reconstruction_stretches_the_spectrum():
    stretched = Forecaster(definition(2.0, weights=(0.5, 0.5)), linear_gaussian(), {}).forecast({})
    assert stretched.kl == pytest.approx(from_spectrum(2 * EIGENVALUES, 2.0).kl)
    ignored = Forecaster(definition(2.0, weights=(0.5, 0.0)), linear_gaussian(), {}).forecast({})
    assert ignored.kl == pytest.approx(from_spectrum(EIGENVALUES, 2.0).kl)


def test_features_are_computed_once():
    calls = []
    forecaster = Forecaster(definition(1.0, calls=calls), linear_gaussian(), {})
    assert forecaster.forecast({}) == forecaster.forecast({})
    assert len(calls) == 1


@pytest.fixture(scope="module")
def imc():
    """Grids of one strong direction (eigenvalue about 96 of 96 values) in the fixed space."""
    rng = np.random.default_rng(0)
    pattern = rng.standard_normal((4, 4, 6))
    x = rng.choice([-1.0, 1.0], (120, 1, 1, 1)) * pattern + 0.05 * rng.standard_normal((120, 4, 4, 6))
    x = x.astype(np.float32)
    return Forecaster(models.load("imc_vae"), x, grid_statistics(x, np.arange(120)))


def imc_config(**changes):
    plain: dict = {
        "cosine_loss_weight": 0.0,
        "gradient_loss_weight": 0.0,
        "kld_free_bits": 0.0,
        "two_stage": False,
        "perm_loss_scale": 0.8,
    }
    return {"normalize": "channel_wise", "latent_dim": 8, "kl_warmup": 0.0, "kld_loss_scale": 1e-3} | plain | changes


def test_imc_vae_keeps_the_planted_direction(imc):
    forecast = imc.forecast(imc_config(kld_loss_scale=0.2))  # σ² = 0.2 · 96 / 2 = 9.6
    assert forecast.sigma2 == pytest.approx(9.6)
    assert forecast.au == 1
    assert forecast.kl == pytest.approx(0.5 * math.log(96 / 9.6), abs=0.02)


def test_imc_vae_planted_collapse(imc):
    assert imc.forecast(imc_config(kld_loss_scale=2.1)).collapsed  # σ² = 100.8 > 96
    assert not imc.forecast(imc_config(kld_loss_scale=1.9)).collapsed  # σ² = 91.2
    assert not imc.forecast(imc_config(kld_loss_scale=2.1, cosine_loss_weight=1.0)).collapsed
    assert not imc.forecast(imc_config(kld_loss_scale=2.1, gradient_loss_weight=1.0)).collapsed
    assert not imc.forecast(imc_config(kld_loss_scale=2.1, kld_free_bits=0.5)).collapsed


def test_normalisations_are_not_confused(imc):
    raw = imc.forecast(imc_config(normalize="none", kld_loss_scale=0.2))
    again = imc.forecast(imc_config(kld_loss_scale=0.2))
    assert raw.kl != pytest.approx(again.kl, abs=1e-3)
    assert again == imc.forecast(imc_config(kld_loss_scale=0.2))
