"""Measured forms against derived ones, and that each loss is measured once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import constant, measured
from trainables.forecast import Forecaster
from trainables.losses.kl import free_bits, kl_per_dim
from trainables.measured import Measured
from trainables.schedules import Progress
from trainables.vae import Vae, VqVae

COUNT, VALUES = 48, 6
X = (np.random.default_rng(0).standard_normal((COUNT, VALUES)) * np.arange(1, VALUES + 1)).astype(np.float32)
BITS = (np.random.default_rng(1).random((COUNT, VALUES)) < 0.3).astype(np.float32)


class Linear(Vae):
    """Sums of squared errors over values."""

    def __init__(
        self, config: Mapping[str, Any], shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]
    ) -> None:
        super().__init__(config, shape, statistics)
        self.into, self.out = nn.Linear(VALUES, 2 * config["latent_dim"]), nn.Linear(config["latent_dim"], VALUES)

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.into(x).chunk(2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        return self.out(z)


class Bits(Linear):
    def reconstruction(self, prediction: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(prediction, target, reduction="none").sum(dim=1)


class Means(Linear):
    """Means over values and latent dimensions, and a floor under the KL."""

    def terms(self, outputs: Any) -> dict[str, Tensor]:
        kl = free_bits(kl_per_dim(outputs.mu, outputs.logvar), 0.5) / outputs.mu.shape[1]
        return {"reconstruction": F.mse_loss(outputs.prediction, outputs.target), "kl": kl}


class Power(Linear):
    def terms(self, outputs: Any) -> dict[str, Tensor]:
        error = (outputs.prediction - outputs.target).abs().pow(self.config["power"])
        return super().terms(outputs) | {"reconstruction": error.sum(dim=1).mean()}


class Codes(VqVae):
    codes = 4

    def quantise(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, torch.zeros(len(x), 1, dtype=torch.long), x.new_zeros(())

    def decode(self, z: Tensor) -> Tensor:
        return z


def weights(config: Mapping[str, Any], at: Progress) -> dict[str, float]:
    return {"reconstruction": config.get("weight", 1.0), "kl": config["beta"]}


def form(model: type[Vae], x: np.ndarray, **config: Any) -> Any:
    return Measured(model, weights)({"latent_dim": 3, "beta": 2.0} | config, x, {})


def gram(features: np.ndarray) -> np.ndarray:
    centred = features - features.mean(axis=0)
    return centred @ centred.T


def test_a_squared_error_is_the_data_itself() -> None:
    found = form(Linear, X)
    ((weight, feature),) = found.features
    np.testing.assert_allclose(weight * gram(feature()), gram(X), rtol=1e-4, atol=1e-3)
    assert found.effective_variance == pytest.approx(1.0)  # beta / 2
    assert found.latent_dim == 3


def test_bits_are_whitened() -> None:
    ((_, feature),) = form(Bits, BITS).features
    share = BITS.mean(axis=0)
    np.testing.assert_allclose(gram(feature()), gram(BITS / np.sqrt(2 * share * (1 - share))), rtol=1e-4, atol=1e-4)


def test_means_over_dimensions_are_seen_in_the_variance_and_a_floor_is_not() -> None:
    """σ² = (β / K) · values / 2, as the derivation has it."""
    found = form(Means, X, latent_dim=4)
    ((weight, feature),) = found.features
    scale = weight / found.unit_weight * gram(feature())[0, 0] / gram(X)[0, 0]  # of the eigenvalues, against σ²
    assert found.effective_variance / scale == pytest.approx(2.0 / 4 * VALUES / 2, rel=1e-4)


def test_a_weight_of_the_whole_reconstruction_scales_the_variance_alone() -> None:
    once, thrice = form(Linear, X), form(Linear, X, weight=3.0)
    assert thrice.key == once.key
    assert thrice.effective_variance == pytest.approx(once.effective_variance / 3)


def test_every_loss_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []

    def counted(*arguments: Any) -> constant.BestConstant:
        fits.append(1)
        return constant.best_constant(*arguments)

    monkeypatch.setattr(measured, "best_constant", counted)
    whole = Measured(Power, weights)
    for latent_dim, power, beta in [(2, 2.0, 1.0), (5, 2.0, 3.0), (2, 4.0, 1.0), (3, 4.0, 1.0), (4, 2.0, 0.1)]:
        assert whole({"latent_dim": latent_dim, "power": power, "beta": beta}, X, {}) is not None
    assert len(fits) == 2


def test_constant_values_have_nothing_to_tell() -> None:
    bits = BITS.copy()
    bits[:, 0] = 0.0
    ((_, feature),) = form(Bits, bits).features
    assert np.isfinite(feature()).all()
    assert np.ptp(feature()[:, 0]) == pytest.approx(0.0, abs=1e-3)


def test_a_codebook_has_no_form() -> None:
    assert Measured(Codes, weights)({"beta": 1.0}, X, {}) is None


def test_a_model_that_reads_fields_has_no_form() -> None:
    class Conditional(Linear):
        def decode(self, z: Tensor, batch: Tensor) -> Tensor:
            return super().decode(z) + batch[:, None]

    assert Measured(Conditional, weights)({"beta": 1.0, "latent_dim": 2}, X, {}) is None


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    form(Linear, X)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_forecast_says_which_units_pay() -> None:
    class Definition:
        quadratic_form = staticmethod(Measured(Linear, weights))
        term_weights = staticmethod(weights)

    forecaster = Forecaster(Definition(), X, {})
    variance = X.var(axis=0)
    config = {"latent_dim": VALUES, "learning_rate": 1e-3, "batch_size": 16}
    few = forecaster.forecast(config | {"beta": 2.0 * float(np.sort(variance)[3])})  # σ² = β / 2
    none = forecaster.forecast(config | {"beta": 2.0 * float(variance.max()) * 2})
    assert few is not None
    assert none is not None
    assert 1 <= few.au <= 3
    assert none.au == 0
    assert none.collapsed
