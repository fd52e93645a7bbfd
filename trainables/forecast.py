"""Collapse before the first step: what the spectrum of the data says about a configuration. Pure numpy and scipy.

In the linear case (Lucas et al. 2019, "Don't Blame the ELBO!") a VAE with decoder variance σ² keeps unit i active
iff the i-th eigenvalue λ_i of the data covariance exceeds σ², with KL_i = ½ ln(λ_i / σ²). A reconstruction loss
Σ_t w_t ‖A_t e‖² is a plain squared error in the coordinates √(w_t / w) A_t x, so the spectrum is taken there, as
it would be found in new samples (`trainables.spectrum`).

Free bits pay for nothing and charge for nothing: below their floor the KL has no gradient, so a unit that the data
do not pay for may rest anywhere between 0 and the floor, and trained models do rest at either end. So they widen the
interval of the KL, and the active units that are counted here are those that the data pay for.

Penalties on the posterior (DIP, total correlation) raise the price of activity. Let the first a units carry the
variance m_i = 1 − s / λ_i each: without a penalty all units and s = σ² are the optimum; a price that is the same for
all units makes s larger, and one that grows with their number makes a smaller. The forecast takes the pair that makes
the loss least.

This is the optimum. Whether training finds it is another question: see `trainables.collapse`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from trainables.collapse import FEATURES, CollapseModel, features
from trainables.forms import Penalty, QuadraticForm
from trainables.health import ACTIVE_VARIANCE
from trainables.spectrum import LEAST_SAMPLES, Spectrum, cross_validated, told_apart

SAMPLES = 256  # of the training set, for the spectrum
VALUES = 2**27  # at most, half a GiB: fewer samples where they are large
THEORY = "theory"
BELOW_ONE = 1.0 - 1e-15
CHEAPEST = 1e-6  # of λ₁: s is no less where there is a penalty
PRICE_TOLERANCE = 0.02  # of ln s


@dataclass(frozen=True)
class Forecast:
    """What to expect of a configuration once trained.

    `sigma2`: effective decoder variance; `lambda1`: the largest eigenvalue of the data, in the same units; `au`:
    active units; `kl_low`, `kl_high`: raw KL in nats, infinite where nothing charges for it; `collapsed`: no unit is
    active at the optimum. `collapse_probability`: that training ends with a decoder that ignores z, whatever the
    optimum; None where nothing is known of it; `basis`: what it rests on, theory (alone), recorded, or own sweeps;
    `features`: those of `trainables.collapse.FEATURES`, where the budget is known.
    """

    sigma2: float
    lambda1: float
    au: int
    kl_low: float
    kl_high: float
    collapsed: bool
    collapse_probability: float | None = None
    basis: str = THEORY
    features: tuple[float, ...] = ()

    @property
    def expects_collapse(self) -> bool:
        """Whether trials like it mostly ended with z ignored; theory alone is too often wrong to say so."""
        return self.collapse_probability is not None and self.collapse_probability >= 0.5

    def to_dict(self) -> dict[str, Any]:
        """The `forecast` of the journal; JSON has no infinity: None."""
        told = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        }
        return told | {"features": dict(zip(FEATURES, self.features, strict=False))}


class Reading(StrEnum):
    """What the two parts of a forecast say together."""

    HEALTHY = "healthy"
    AT_RISK = "at risk"
    MAY_HOLD = "may hold"
    COLLAPSES = "collapses"


MEANING = {
    Reading.AT_RISK: "the data pay for active units, but most trials like these ended with z ignored: training "
    "misses the optimum. Warm the KL up longer or start its weight lower; the data do not ask for a smaller final "
    "weight.",
    Reading.MAY_HOLD: "the data pay for no unit at this KL weight, but most trials like these ended with z in use: "
    "free bits that cost nothing, a schedule or budget that ends before the KL has had its way, or a decoder "
    "that finds more in the data than the linear theory. Watch health/z_gain: z may carry little.",
}


def reading(forecast: Mapping[str, Any]) -> Reading | None:
    """The two parts of a forecast, as the journal has it, put together; None where it lacks the theory's."""
    collapsed, probability = forecast.get("collapsed"), forecast.get("collapse_probability")
    if collapsed is None:
        return None
    if probability is None or (probability >= 0.5) == collapsed:
        return Reading.COLLAPSES if collapsed else Reading.HEALTHY
    return Reading.MAY_HOLD if collapsed else Reading.AT_RISK


def from_spectrum(
    eigenvalues: np.ndarray,
    sigma2: float,
    free_bits: float = 0.0,
    latent_dim: int | None = None,
    penalty: Penalty | None = None,
) -> Forecast:
    """The forecast from the eigenvalues of the covariance, largest first.

    Args:
        eigenvalues: at most one per latent dimension is used.
        free_bits: nats per dimension.
        latent_dim: K; as many as eigenvalues unless given.
        penalty: as that of `QuadraticForm`, in units of one squared error.
    """
    units = latent_dim or len(eigenvalues)
    lambda_K = eigenvalues[:units]  # further units have nothing to tell
    carried_K = _carried(lambda_K, sigma2) if penalty is None else _worth_it(lambda_K, sigma2, penalty)
    kl_K = np.where(carried_K < 1.0, -0.5 * np.log1p(-np.minimum(carried_K, BELOW_ONE)), math.inf)
    au = int(np.sum(carried_K > ACTIVE_VARIANCE))
    low, high = float(kl_K.sum()), float(np.maximum(kl_K, free_bits).sum() + free_bits * (units - len(lambda_K)))
    return Forecast(float(sigma2), float(lambda_K[0]), au, low, high, au == 0)


def _carried(lambda_K: np.ndarray, price: float) -> np.ndarray:
    """The variance of every unit's means where units are worth `price`."""
    return np.where(lambda_K > price, 1.0 - price / np.maximum(lambda_K, np.finfo(float).tiny), 0.0)


def _worth_it(lambda_K: np.ndarray, sigma2: float, penalty: Penalty) -> np.ndarray:
    """The variances of the units' means that make the loss least, of the first a units at the price s.

    a is a power of two, or all units that s = σ² leaves active.
    """
    low, high = max(sigma2, CHEAPEST * lambda_K[0]), lambda_K[0]
    if low >= high:
        return np.zeros_like(lambda_K)
    places = np.arange(len(lambda_K))

    def carried(units: int, log_price: float) -> np.ndarray:
        return np.where(places < units, _carried(lambda_K, math.exp(log_price)), 0.0)

    def loss(carried_K: np.ndarray) -> float:
        return float(-(lambda_K * carried_K).sum() - sigma2 * np.log1p(-carried_K).sum() + penalty(carried_K))

    def best(units: int) -> np.ndarray:
        bounds = math.log(low), math.log(high)
        options = {"xatol": PRICE_TOLERANCE}
        found = minimize_scalar(lambda at: loss(carried(units, at)), bounds=bounds, method="bounded", options=options)
        return carried(units, float(found.x))

    able = int((lambda_K > low).sum())
    counts = sorted({min(2**power, able) for power in range(able.bit_length() + 1)})
    return min((np.zeros_like(lambda_K), *map(best, counts)), key=loss)


@dataclass(frozen=True)
class Budget:
    """How long a trial trains. `samples`: of the training set, those of an environment held out included."""

    samples: int
    epochs: int

    def steps(self, config: Mapping[str, Any]) -> int:
        """Training steps of a configuration."""
        return self.epochs * math.ceil(self.samples / config["batch_size"])


class Forecaster:
    """Forecasts configurations on one data set; what they share is computed once.

    Args:
        definition: the model, see `trainables.models`.
        x: samples of the training set, (N, …).
        statistics: those of the data set.
        budget: of a trial; needed for the probability of collapse.
        collapse: where the probability comes from; None: theory alone.
    """

    def __init__(
        self,
        definition: Any,
        x: np.ndarray,
        statistics: Mapping[str, np.ndarray],
        budget: Budget | None = None,
        collapse: CollapseModel | None = None,
    ) -> None:
        self.definition, self.x, self.statistics = definition, x, statistics
        self.budget, self.collapse = budget, collapse
        self._grams: dict[tuple[str, int], np.ndarray] = {}
        self._spectra: dict[tuple[Any, ...], Spectrum] = {}

    @classmethod
    def of(
        cls, definition: Any, dataset: Any, budget: Budget | None = None, collapse: CollapseModel | None = None
    ) -> Forecaster:
        """On a sample of the training set of `dataset` (see `trainables.data.store.Dataset`)."""
        count = min(SAMPLES, max(LEAST_SAMPLES, VALUES // math.prod(dataset.shape)))
        x = dataset.read(np.sort(dataset.train[:count]))
        return cls(definition, x, dataset.statistics, budget, collapse)

    def forecast(self, config: Mapping[str, Any]) -> Forecast | None:
        """The forecast of one configuration; None where the model's loss has no KL (a codebook), or where there are
        fewer than four samples.

        See `trainables.models` for `quadratic_form`.
        """
        form = self.definition.quadratic_form(config, self.x, self.statistics)
        if form is None or len(self.x) < LEAST_SAMPLES:
            return None
        spectrum = self._spectrum(form)
        unit = form.unit_weight
        penalty = (lambda carried_K: form.penalty(carried_K) / unit) if form.penalty else None
        theory = from_spectrum(
            spectrum.eigenvalues, form.effective_variance, form.free_bits, form.latent_dim, penalty
        )
        if self.budget is None:
            return theory
        steps = self.budget.steps(config)
        seen = features(self.definition.term_weights, config, steps, form, spectrum)
        theory = replace(theory, features=tuple(seen.tolist()))
        if self.collapse is None:
            return theory
        return replace(theory, collapse_probability=self.collapse.probability(seen), basis=self.collapse.basis)

    def units(self, config: Mapping[str, Any]) -> int:
        """How many units of a configuration the samples can tell apart, of a model that has a forecast."""
        form = self.definition.quadratic_form(config, self.x, self.statistics)
        return min(form.latent_dim, told_apart(len(self.x)))

    def _spectrum(self, form: QuadraticForm) -> Spectrum:
        weights = tuple(weight / form.unit_weight for weight, _ in form.features)
        key = (form.key, form.latent_dim, weights)
        if key not in self._spectra:
            parts = (
                weight * self._gram((form.key, t), feature)
                for t, (weight, (_, feature)) in enumerate(zip(weights, form.features, strict=True))
                if weight
            )
            gram_NN = sum(parts, np.zeros(2 * (len(self.x),)))
            self._spectra[key] = cross_validated(gram_NN, math.prod(self.x.shape[1:]), form.latent_dim)
        return self._spectra[key]

    def _gram(self, key: tuple[str, int], feature: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._grams:
            flat = feature().reshape(len(self.x), -1)
            centred = flat - flat.mean(axis=0)
            self._grams[key] = (centred @ centred.T).astype(np.float64)
        return self._grams[key]
