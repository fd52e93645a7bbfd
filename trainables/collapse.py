"""The probability that training ends with a decoder that ignores z, learnt from trials that have ended. Pure numpy.

It does so in COLLAPSED and in IGNORES_Z trials. The two are foretold as one: under free bits the units of a trial
that ignores z flicker about the threshold of activity, and which verdict it ends with is chance.

Theory tells the optimum of the loss (`trainables.forecast`); training may miss it: a KL that is charged before the
decoder has learnt to read z shuts units for good. How often, past sweeps tell: a logistic regression on five numbers
that are known before the first step and mean the same in every model. Ridge keeps it sober, for the numbers are
standardised and its coefficients have a normal prior. Its curvature at the optimum says how sure it is
(Laplace's approximation; MacKay 1992, "The Evidence Framework Applied to Classification Networks"). That moderates
the probability, which is averaged over the coefficients that the trials leave possible, and makes the fit the prior
for a user's own trials: a few hardly move it, many overrule it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainables.forms import QuadraticForm
from trainables.health import HealthConfig
from trainables.schedules import Progress
from trainables.spectrum import Spectrum

FILE = Path(__file__).with_name("collapse.json")  # made by benchmarks/forecast.py
FEATURES = (
    "ln(σ²/λ₁)",
    "ln(λ₁/Σλ)",
    "ln(1 + free nats)",
    "mean share of the KL weight",
    "ln(learning rate · steps)",
)
DECISIVE = 6.0  # of |ln(σ²/λ₁)|: a factor of 400 and more leave theory no doubt, and a plain autoencoder has −∞
RECORDED, OWN = "recorded", "own sweeps"
_SCHEDULE_POINTS = 200
FREE_VARIANCE = 1e6  # of the intercept
PRIOR_VARIANCE = 1.0  # of every coefficient, in standardised units
DATA_VARIANCE = 0.1  # by which coefficients on other data differ from the recorded ones …
INTERCEPT_VARIANCE = 1.0  # … and the intercept; ten times less or more makes no difference that can be measured
_NEWTON_STEPS = 100
_CONVERGED = 1e-9
_ROUNDING = 1e-6

_ARRAYS = ("low", "high", "mean", "scale", "coefficients", "covariance")

TermWeights = Callable[[Mapping[str, Any], Progress], Mapping[str, float]]


def ignores_z(z_gain: float) -> bool:
    """Whether the decoder of a trial that ended so ignores z."""
    return z_gain < HealthConfig().z_gain_floor


def features(
    term_weights: TermWeights, config: Mapping[str, Any], steps: int, form: QuadraticForm, spectrum: Spectrum
) -> np.ndarray:
    """The numbers of `FEATURES`, (5,).

    How the KL pays at the optimum, as far as `DECISIVE`; the share of the variance that lies in the first direction;
    the nats that cost nothing, over all units; the mean of the KL weight over the budget as a share of its final
    value, which warm-up, cycles and stages lower; and how far a weight can travel (a step of an adaptive optimiser is
    about the learning rate).
    """
    tiny = np.finfo(float).tiny  # constant data have no variance, a plain autoencoder has no σ²
    lambda1, sigma2 = max(float(spectrum.eigenvalues[0]), tiny), max(form.effective_variance, tiny)
    return np.array(
        [
            min(max(math.log(sigma2) - math.log(lambda1), -DECISIVE), DECISIVE),
            math.log(lambda1) - math.log(max(spectrum.total, tiny)),
            math.log1p(form.free_bits * form.latent_dim),
            kl_share(term_weights, config, steps),
            math.log(config["learning_rate"] * steps),
        ]
    )


def kl_share(term_weights: TermWeights, config: Mapping[str, Any], steps: int) -> float:
    """The mean of the KL weight over the budget, as a share of its final value; 1 for a weight of 0."""
    final = term_weights(config, Progress(1.0, steps))["kl"]
    if final == 0:
        return 1.0
    points = (np.arange(_SCHEDULE_POINTS) + 0.5) / _SCHEDULE_POINTS
    return float(np.mean([term_weights(config, Progress(float(at), steps))["kl"] for at in points])) / final


@dataclass(frozen=True)
class CollapseModel:
    """The mean of 1 / (1 + exp(−w · x)) over w; x = (1, (features − mean) / scale), as far as trials have been.

    `low` and `high`: the range of every feature in the trials. `coefficients` and `covariance` are those of the
    normal w: of the intercept and the standardised features, (6,) and (6, 6); `recorded` names the recorded sweeps of
    the model, `own` counts the user's own trials. One fit a model: between models it does not carry over, see
    `benchmarks/forecast.py`.
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    covariance: np.ndarray
    recorded: tuple[str, ...] = ()
    own: int = 0

    @property
    def basis(self) -> str:
        """What kind of trials the probability rests on."""
        return OWN if self.own else RECORDED

    @property
    def source(self) -> str:
        """The same in words."""
        recorded = [f"the recorded sweeps {', '.join(self.recorded)}"] if self.recorded else []
        own = [f"{self.own} trials of your own sweeps of this model"] if self.own else []
        return " and ".join([*own, *recorded])

    def probability(self, seen: np.ndarray) -> float:
        """That a trial with these features, (5,), ends ignoring z; the mean over w is MacKay's approximation."""
        x = self._standardised(seen[None])[0]
        return float(_sigmoid(x @ self.coefficients / np.sqrt(1.0 + np.pi / 8.0 * x @ self.covariance @ x)))

    def outside(self, seen: Iterable[float]) -> list[str]:
        """The features in which a trial lies outside what trials have been: it is answered as the nearest of them."""
        told = zip(FEATURES, seen, self.low - _ROUNDING, self.high + _ROUNDING, strict=True)
        return [name for name, value, low, high in told if not low <= value <= high]

    def updated(self, seen_NF: np.ndarray, ignored_N: np.ndarray) -> CollapseModel:
        """This model after trials on other data, (N, 5) and (N,)."""
        spread = np.diag([INTERCEPT_VARIANCE, *[DATA_VARIANCE] * len(self.mean)])
        wider = replace(
            self,
            low=np.minimum(self.low, seen_NF.min(axis=0)),
            high=np.maximum(self.high, seen_NF.max(axis=0)),
            own=self.own + len(seen_NF),
        )
        design = wider._standardised(seen_NF)
        coefficients, covariance = _posterior(design, ignored_N, self.coefficients, self.covariance + spread)
        return replace(wider, coefficients=coefficients, covariance=covariance)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {**arrays, "recorded": list(self.recorded)}

    def _standardised(self, seen_NF: np.ndarray) -> np.ndarray:
        told_NF = np.clip(seen_NF, self.low, self.high)
        return np.column_stack([np.ones(len(seen_NF)), (told_NF - self.mean) / self.scale])


def fit(seen_NF: np.ndarray, ignored_N: np.ndarray, recorded: Sequence[str] = ()) -> CollapseModel:
    """The ridge logistic regression of outcomes, (N,) of 0 and 1, on the features, (N, 5), of one model's trials."""
    mean, scale = seen_NF.mean(axis=0), seen_NF.std(axis=0)
    scale = np.where(scale > 1e-6 * np.maximum(np.abs(mean), 1.0), scale, 1.0)
    prior = np.diag([FREE_VARIANCE, *[PRIOR_VARIANCE] * len(mean)])
    blank = CollapseModel(
        seen_NF.min(axis=0), seen_NF.max(axis=0), mean, scale, np.zeros(len(prior)), prior, tuple(recorded)
    )
    design = blank._standardised(seen_NF)
    coefficients, covariance = _posterior(design, ignored_N, blank.coefficients, prior)
    return replace(blank, coefficients=coefficients, covariance=covariance)


def shipped(model: str) -> CollapseModel | None:
    """The fit on the recorded sweeps of `model` that ship with the project; None where there are fewer than two, for
    then none can be left out to measure it.

    Raises:
        ValueError: it was fitted on other features than today's.
    """
    found = json.loads(FILE.read_text(encoding="utf-8"))
    if found["features"] != list(FEATURES):
        raise ValueError(f"{FILE}: fitted on other features; run python benchmarks/forecast.py")
    if (fitted := found["models"].get(model)) is None:
        return None
    low, high, mean, scale, coefficients, covariance = (np.array(fitted[name]) for name in _ARRAYS)
    return CollapseModel(low, high, mean, scale, coefficients, covariance, tuple(fitted["recorded"]))


def _posterior(
    design_NF: np.ndarray, ignored_N: np.ndarray, prior: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable coefficients under a normal prior, by damped Newton steps, and Laplace's covariance."""
    precision = np.linalg.inv(covariance)
    signs = 2.0 * ignored_N - 1.0

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0.0, -signs * (design_NF @ w)).sum() + 0.5 * (w - prior) @ precision @ (w - prior))

    w = prior
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(design_NF @ w)
        gradient = design_NF.T @ (p - ignored_N) + precision @ (w - prior)
        hessian = (design_NF * (p * (1.0 - p))[:, None]).T @ design_NF + precision
        step = np.linalg.solve(hessian, gradient)
        while loss(w - step) > loss(w) + _CONVERGED:
            step = step / 2.0
        w = w - step
        if np.abs(step).max() < _CONVERGED:
            break
    return w, np.linalg.inv(hessian)


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * logit))
