"""The reconstruction loss of a model as a quadratic form, from which its collapse is forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Penalty = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class QuadraticForm:
    """loss ≈ Σ_t weight_t · ‖A_t (x̂ − x)‖² + kl_weight · KL + penalty, per sample.

    `features` holds (weight_t, function that gives A_t x of N samples, (N, …)); `key` names what these functions
    depend on beside the data. `unit_weight` is the weight of one squared error of the plain MSE term: the σ² that
    is printed refers to it. `free_bits` in nats per dimension. `penalty`, where the loss has more terms of the
    posterior than the KL: their weighted sum, expected in a batch of independent units, from the variances (K,) of
    the units' means, each in [0, 1); the variance within the posterior is what is left to 1.
    """

    key: str
    features: tuple[tuple[float, Callable[[], np.ndarray]], ...]
    unit_weight: float
    kl_weight: float
    free_bits: float
    latent_dim: int
    penalty: Penalty | None = None

    @property
    def effective_variance(self) -> float:
        """σ² of the Gaussian decoder this loss stands for: kl_weight / (2 · unit_weight)."""
        return self.kl_weight / (2.0 * self.unit_weight)
