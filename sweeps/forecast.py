"""Collapse before the first step: what the PCA spectrum of the data says about a configuration.

In the linear case (Lucas et al. 2019, "Don't Blame the ELBO!") a VAE with decoder variance σ² keeps unit i active
iff the i-th eigenvalue λ_i of the data covariance exceeds σ², with KL_i = ½ ln(λ_i / σ²). A reconstruction loss
Σ_t w_t ‖A_t e‖² is a plain squared error in the coordinates √(w_t / w) A_t x, so the spectrum is taken there.
Free bits make the first `free_bits` nats of a unit free: then every direction with variance is kept, at no less
than that KL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainables.health import ACTIVE_VARIANCE

SAMPLES = 256  # of the training set, for the spectrum
VALUES = 2**27  # at most, half a GiB: fewer samples where they are large
NO_VARIANCE = 1e-9  # of the largest eigenvalue


@dataclass(frozen=True)
class Forecast:
    """What to expect of a configuration once trained: σ² effective, active units, raw KL (nats), total collapse."""

    sigma2: float
    au: int
    kl: float
    collapsed: bool

    def to_dict(self) -> dict[str, Any]:
        """The `forecast` of the journal."""
        return asdict(self)


def from_spectrum(
    eigenvalues: np.ndarray, sigma2: float, free_bits: float = 0.0, latent_dim: int | None = None
) -> Forecast:
    """The forecast from the eigenvalues (largest first, at most one per latent dimension) of the covariance.

    `latent_dim` units share the free bits where there are more units than eigenvalues; they all stay active, for
    a second copy of a direction costs nothing below the floor.
    """
    with_variance = eigenvalues[eigenvalues > NO_VARIANCE * max(eigenvalues[0], 0.0)]
    if sigma2 > 0:
        kl = np.maximum(0.5 * np.log(np.maximum(with_variance / sigma2, 1.0)), free_bits)
    else:
        kl = np.full(len(with_variance), math.inf)
    au = int(np.sum(_explained(kl) > ACTIVE_VARIANCE))
    if au and latent_dim and _explained(free_bits) > ACTIVE_VARIANCE:
        au = latent_dim
    return Forecast(sigma2, au, float(kl.sum()) if sigma2 > 0 else 0.0, au == 0)


def _explained(kl: np.ndarray | float) -> np.ndarray | float:
    """Variance of the posterior mean of a unit with that KL (nats) whose aggregate is standard normal."""
    return 1.0 - np.exp(-2.0 * np.asarray(kl))


class Forecaster:
    """Forecasts configurations on one data set; what they share is computed once."""

    def __init__(self, definition: Any, x: np.ndarray, statistics: Mapping[str, np.ndarray]) -> None:
        self.definition, self.x, self.statistics = definition, x, statistics
        self._grams: dict[tuple[str, int], np.ndarray] = {}

    @classmethod
    def of(cls, definition: Any, dataset: Any) -> Forecaster:
        """On a sample of the training set of `dataset` (see `trainables.data.store.Dataset`)."""
        count = min(SAMPLES, max(2, VALUES // math.prod(dataset.shape)))
        return cls(definition, dataset.read(np.sort(dataset.train[:count])), dataset.statistics)

    def forecast(self, config: Mapping[str, Any]) -> Forecast | None:
        """The forecast of one configuration; None where the model's loss has no KL (a codebook).

        See `trainables.models` for `quadratic_form`.
        """
        form = self.definition.quadratic_form(config, self.x, self.statistics)
        if form is None:
            return None
        gram_NN = sum(
            weight / form.unit_weight * self._gram((form.key, t), features)
            for t, (weight, features) in enumerate(form.features)
            if weight
        )
        eigenvalues = np.linalg.eigvalsh(gram_NN)[::-1][: min(form.latent_dim, len(gram_NN) - 1)] / len(gram_NN)
        return from_spectrum(eigenvalues, form.effective_variance, form.free_bits, form.latent_dim)

    def _gram(self, key: tuple[str, int], features: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._grams:
            flat = features().reshape(len(self.x), -1)
            centred = flat - flat.mean(axis=0)
            self._grams[key] = (centred @ centred.T).astype(np.float64)
        return self._grams[key]
