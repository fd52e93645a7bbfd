"""The forecast against the linear case: closed forms, a linear VAE trained to convergence, and brute force."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from trainables.collapse import FEATURES, fit
from trainables.data.cache import prepare
from trainables.data.normalise import grid_statistics
from trainables.definition import load
from trainables.forecast import MEANING, Budget, Forecast, Forecaster, Reading, from_spectrum, reading
from trainables.forms import QuadraticForm

SPECTRUM = np.array([8.0, 4.0, 1.0, 0.5])


def test_the_linear_case():
    forecast = from_spectrum(SPECTRUM, 2.0)
    assert forecast.au == 2
    assert forecast.kl_low == forecast.kl_high == pytest.approx(0.5 * math.log(4) + 0.5 * math.log(2))
    assert (forecast.sigma2, forecast.lambda1, forecast.collapsed) == (2.0, 8.0, False)


def test_units_are_active_where_the_eigenvalue_exceeds_sigma2():
    for sigma2, active in ((0.4, 4), (0.7, 3), (2.0, 2), (5.0, 1), (9.0, 0)):
        forecast = from_spectrum(SPECTRUM, sigma2)
        assert (forecast.au, forecast.collapsed) == (active, active == 0)
    assert from_spectrum(SPECTRUM, 9.0).kl_low == 0.0


def test_the_threshold_is_that_of_active_units():
    """The variance of mu is 1 − σ²/λ: 0.009 below and 0.011 above the limit of 0.01."""
    assert from_spectrum(np.array([1.0]), 0.991).au == 0
    assert from_spectrum(np.array([1.0]), 0.989).au == 1


def test_free_bits_widen_the_interval_and_activate_nothing():
    forecast = from_spectrum(SPECTRUM, 3.9, free_bits=0.3, latent_dim=10)
    paid = 0.5 * math.log(8 / 3.9), 0.5 * math.log(4 / 3.9)  # 0.36 and 0.013 nats
    assert forecast.au == 2
    assert forecast.kl_low == pytest.approx(sum(paid))
    assert forecast.kl_high == pytest.approx(paid[0] + 9 * 0.3)
    for floor in (0.0, 0.006, 2.0):
        assert from_spectrum(SPECTRUM, 100.0, free_bits=floor).collapsed


def test_a_plain_autoencoder_has_no_bound_on_its_rate():
    forecast = from_spectrum(np.array([8.0, 4.0, 0.0]), 0.0, free_bits=0.1)
    assert (forecast.au, forecast.collapsed) == (2, False)
    assert (forecast.kl_low, forecast.kl_high) == (math.inf, math.inf)
    told = json.loads(json.dumps(forecast.to_dict(), allow_nan=False))
    assert (told["kl_low"], told["kl_high"], told["au"]) == (None, None, 2)


def test_constant_data_collapse():
    assert from_spectrum(np.zeros(5), 1.0, free_bits=2.0).collapsed
    assert from_spectrum(np.zeros(5), 0.0).collapsed


# ---- a linear VAE, trained


EIGENVALUES = np.array([6.0, 3.0, 1.5, 0.75, 0.3, 0.05])
ROTATION = np.linalg.qr(np.random.default_rng(5).standard_normal((6, 6)))[0]


def gaussian(samples: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((samples, 6)) * np.sqrt(EIGENVALUES)) @ ROTATION + 7.0


def trained_linear_vae(sigma2: float, units: int) -> tuple[int, float]:
    """AU and raw KL (nats) of x̂ = W z + b, mu = V (x − mean), diagonal posterior, on the population, at convergence.

    The loss is ‖x̂ − x‖² / (2 σ²) + KL, expected over data and posterior in closed form.
    """
    root = torch.from_numpy((np.sqrt(EIGENVALUES)[:, None] * ROTATION).T)  # covariance = root rootᵀ
    torch.manual_seed(0)
    encode, decode = (torch.randn(shape, dtype=torch.float64) * 0.3 for shape in ((units, 6), (6, units)))
    logvar = torch.zeros(units, dtype=torch.float64)
    parts = [part.requires_grad_() for part in (encode, decode, logvar)]
    optimiser = torch.optim.LBFGS(parts, max_iter=2000, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def kl() -> torch.Tensor:
        variance = (encode @ root).square().sum(dim=1)
        return 0.5 * (variance + logvar.exp() - 1.0 - logvar)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        missed = (torch.eye(6, dtype=torch.float64) - decode @ encode) @ root
        error = missed.square().sum() + (decode.square() * logvar.exp()).sum()
        value = error / (2 * sigma2) + kl().sum()
        value.backward()
        return value

    for _ in range(5):
        optimiser.step(loss)
    with torch.no_grad():
        return int(((encode @ root).square().sum(dim=1) > 0.01).sum()), float(kl().sum())


@pytest.mark.parametrize("sigma2", [0.1, 0.5, 1.0, 2.0, 5.0, 7.0])
def test_a_linear_vae_trained_to_convergence_is_what_was_forecast(sigma2):
    au, kl = trained_linear_vae(sigma2, units=6)
    exact = from_spectrum(EIGENVALUES, sigma2)
    assert (exact.au, exact.kl_low) == (au, pytest.approx(kl, abs=1e-3))
    estimated = Forecaster(definition(sigma2, latent_dim=6), gaussian(256), {}).forecast({})
    assert estimated.sigma2 == pytest.approx(sigma2)
    assert estimated.au == au
    assert estimated.kl_low == pytest.approx(kl, abs=0.25)


def definition(kl_weight, weights=(0.5,), latent_dim=5, free_bits=0.0, calls=None, penalty=None):
    """σ² = kl_weight at unit weight ½."""

    def quadratic_form(config, x, statistics):
        def features():
            if calls is not None:
                calls.append(1)
            return x

        heavy = tuple((w, features) for w in weights)
        return QuadraticForm("x", heavy, 0.5, kl_weight, free_bits, latent_dim, penalty)

    return SimpleNamespace(
        quadratic_form=quadratic_form, term_weights=lambda config, at: {"kl": kl_weight * at.share}
    )


def test_a_small_latent_keeps_the_largest_directions():
    forecast = Forecaster(definition(0.1, latent_dim=2), gaussian(256), {}).forecast({})
    assert forecast.au == 2
    assert forecast.kl_low == pytest.approx(0.5 * math.log(60) + 0.5 * math.log(30), abs=0.2)


def test_a_heavier_reconstruction_stretches_the_spectrum():
    x = gaussian(256)
    stretched = Forecaster(definition(2.0, weights=(0.5, 0.5)), x, {}).forecast({})
    plain = Forecaster(definition(1.0), x, {}).forecast({})
    ignored = Forecaster(definition(1.0, weights=(0.5, 0.0)), x, {}).forecast({})
    assert stretched.kl_low == pytest.approx(plain.kl_low) == pytest.approx(ignored.kl_low)
    assert stretched.lambda1 == pytest.approx(2 * plain.lambda1)


def test_features_are_computed_once():
    calls = []
    forecaster = Forecaster(definition(1.0, calls=calls), gaussian(64), {})
    assert forecaster.forecast({}) == forecaster.forecast({})
    assert len(calls) == 1


def test_three_samples_foretell_nothing():
    assert Forecaster(definition(1.0), gaussian(3), {}).forecast({}) is None


# ---- penalties


@pytest.mark.parametrize("price", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("sigma2", [0.2, 1.0, 7.0])
def test_a_penalty_is_weighed_against_what_a_unit_brings(sigma2, price):
    """Off-diagonal penalty of chance covariances, price · ((Σ m)² − Σ m²), against brute force over all m."""

    def penalty(carried):
        return price * float(np.sum(carried) ** 2 - np.sum(np.square(carried)))

    def loss(carried):
        return -(EIGENVALUES * carried).sum() - sigma2 * np.log1p(-carried).sum() + penalty(carried)

    starts = (np.full(6, 0.01), np.full(6, 0.5), np.linspace(0.9, 0.0, 6))
    found = min(
        (minimize(loss, start, bounds=[(0.0, 1 - 1e-9)] * 6, method="L-BFGS-B") for start in starts),
        key=lambda result: result.fun,
    )
    forecast = from_spectrum(EIGENVALUES, sigma2, penalty=penalty)
    best = -0.5 * np.log1p(-found.x).sum()
    assert forecast.collapsed == (not (found.x > 0.01).any())
    assert abs(forecast.au - int((found.x > 0.01).sum())) <= 1
    assert forecast.kl_low == pytest.approx(best, rel=0.25, abs=0.02)
    assert forecast.au <= from_spectrum(EIGENVALUES, sigma2).au


def test_the_penalty_of_a_form_counts_in_units_of_a_squared_error():
    free, dear = (
        Forecaster(definition(1.0, penalty=penalty), gaussian(128), {})
        for penalty in (None, lambda m: 50.0 * float(np.sum(m) ** 2))
    )
    assert dear.forecast({}).kl_low < 0.1 * free.forecast({}).kl_low


# ---- the data of imc_vae


@pytest.mark.parametrize("normalize", ["channel_wise", "learned"])
def test_twice_the_samples_are_no_more_information(tmp_path, normalize):
    """It was (256 − 1) × the free bits with 256 samples, and half of it with 128."""
    import search_spaces

    model = load("imc_vae")
    config = search_spaces.load("imc_vae").on_embedded().documented() | {"normalize": normalize}
    data = prepare(model.reader, None, tmp_path, {"subset": None, "strict": False})
    half, whole = (
        Forecaster(model, data.read(np.sort(data.train[:count])), data.statistics).forecast(config)
        for count in (128, 256)
    )
    assert whole.kl_low == pytest.approx(half.kl_low, rel=0.1)
    assert whole.kl_high == pytest.approx(half.kl_high, rel=0.1)
    assert whole.lambda1 == pytest.approx(half.lambda1, rel=0.2)  # its own error is √(2 / N)


@pytest.fixture(scope="module")
def imc():
    """Grids of one strong direction (eigenvalue about 96 of 96 values) in the fixed space."""
    rng = np.random.default_rng(0)
    pattern = rng.standard_normal((4, 4, 6))
    x = rng.choice([-1.0, 1.0], (120, 1, 1, 1)) * pattern + 0.05 * rng.standard_normal((120, 4, 4, 6))
    x = x.astype(np.float32)
    return Forecaster(load("imc_vae"), x, grid_statistics(x, np.arange(120)))


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
    assert forecast.kl_low == pytest.approx(0.5 * math.log(96 / 9.6), abs=0.02)


def test_imc_vae_planted_collapse(imc):
    assert imc.forecast(imc_config(kld_loss_scale=2.1)).collapsed  # σ² = 100.8 > 96
    assert not imc.forecast(imc_config(kld_loss_scale=1.9)).collapsed  # σ² = 91.2
    assert not imc.forecast(imc_config(kld_loss_scale=2.1, cosine_loss_weight=1.0)).collapsed
    assert not imc.forecast(imc_config(kld_loss_scale=2.1, gradient_loss_weight=1.0)).collapsed
    assert imc.forecast(imc_config(kld_loss_scale=2.1, kld_free_bits=0.5)).collapsed


def test_normalisations_are_not_confused(imc):
    raw = imc.forecast(imc_config(normalize="none", kld_loss_scale=0.2))
    again = imc.forecast(imc_config(kld_loss_scale=0.2))
    assert raw.kl_low != pytest.approx(again.kl_low, abs=1e-3)
    assert again == imc.forecast(imc_config(kld_loss_scale=0.2))


# ---- the two parts together


def test_the_probability_stands_beside_the_theory():
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((200, len(FEATURES)))
    learnt = fit(seen, (seen[:, 0] > 0).astype(float), ("imc_vae",))
    config = {"learning_rate": 1e-3, "batch_size": 8}
    theory = Forecaster(definition(2.0), gaussian(64), {}, Budget(64, 10)).forecast(config)
    both = Forecaster(definition(2.0), gaussian(64), {}, Budget(64, 10), learnt).forecast(config)
    assert (theory.collapse_probability, theory.basis) == (None, "theory")
    assert both.basis == "recorded"
    assert both.collapse_probability == learnt.probability(np.array(theory.features))
    told = both.to_dict()
    assert set(told["features"]) == set(FEATURES)
    assert told["features"]["mean share of the KL weight"] == pytest.approx(0.5)
    assert told["features"]["ln(learning rate · steps)"] == pytest.approx(math.log(1e-3 * 80))


@pytest.mark.parametrize(
    ("collapsed", "probability", "expected"),
    [
        (False, None, Reading.HEALTHY),
        (True, None, Reading.COLLAPSES),
        (False, 0.2, Reading.HEALTHY),
        (False, 0.8, Reading.AT_RISK),
        (True, 0.2, Reading.MAY_HOLD),
        (True, 0.8, Reading.COLLAPSES),
        (None, 0.8, None),
    ],
)
def test_where_theory_and_training_part(collapsed, probability, expected):
    assert reading({"collapsed": collapsed, "collapse_probability": probability}) is expected
    assert (expected in MEANING) == (expected in (Reading.AT_RISK, Reading.MAY_HOLD))


def test_an_old_forecast_has_theory_alone():
    assert reading({"sigma2": 1.0, "au": 0, "kl": 0.0, "collapsed": True}) is Reading.COLLAPSES


@pytest.mark.parametrize(("probability", "expected"), [(None, False), (0.49, False), (0.5, True), (1.0, True)])
def test_a_collapse_is_expected_from_experience_alone(probability, expected):
    assert Forecast(1.0, 1.0, 0, 0.0, 0.0, True, probability).expects_collapse is expected
