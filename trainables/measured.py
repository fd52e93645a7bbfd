"""The forecast's quadratic form measured from the loss itself, for models that give no derivation of their own.

At the best constant prediction, let g be the gradient of a sample's reconstruction loss and h the mean curvature. To
second order the loss is ½ h (δ + g / h)² and a constant, so what there is to gain lies along g / √(2h): for a squared
error that is x − mean, for Bernoulli logits (x − p) / √(2 p (1 − p)), for a Poisson rate (x − r) / √(2r). Exact for
losses that are sums over values; a loss that couples them (SSIM, spectra, deep features) needs a form of its own.

The reconstruction is all terms but `kl`, by their weights at the end of training, as far as they depend on the
prediction. What a nat of KL weighs is measured too: some losses take the mean over latent dimensions.
Shapes: N samples, K latent dimensions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.constant import Total, best_constant, curvature
from trainables.forms import QuadraticForm
from trainables.losses.kl import kl_per_dim
from trainables.schedules import END, Progress
from trainables.vae import Batch, Vae, reads_fields

KL = "kl"
BLOCK = 64  # samples at once
PROBED = 4  # samples by which a loss is recognised
DIGITS = 6  # to which its values are compared
TermWeights = Callable[[Mapping[str, Any], Progress], Mapping[str, float]]


class Measured:
    """`quadratic_form(config, x, statistics)` of a model; each loss is measured once, whatever else configurations
    differ in.

    Args:
        model: its class.
        term_weights: of the model; a term that it does not name weighs 1.
    """

    def __init__(self, model: type[Vae], term_weights: TermWeights) -> None:
        self._model, self._weights = model, term_weights
        self._x: np.ndarray | None = None
        self._features: dict[tuple[Any, ...], np.ndarray] = {}

    def __call__(
        self, config: Mapping[str, Any], x: np.ndarray, statistics: Mapping[str, np.ndarray]
    ) -> QuadraticForm | None:
        """The form of a configuration on samples `x` (N, *shape); None for a codebook, for a loss without a term
        called `kl`, where no best constant is found, and for a model that reads fields: what they explain of `x` is
        not the latent's to gain."""
        if self._model.posterior == "codebook" or reads_fields(self._model):
            return None
        if self._x is not x:
            self._x, self._features = x, {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self._model(config, x.shape[1:], statistics).eval()
        loss = _Loss(model, x, self._weights(config, END))
        if not loss.measurable:
            return None
        key = loss.key()
        if key not in self._features:
            self._features[key] = _feature(loss, x.shape)
        feature = self._features[key]
        if not np.isfinite(feature).all():
            return None
        return QuadraticForm(
            key=str(key),
            features=((loss.unit, lambda: feature),),
            unit_weight=loss.unit,
            kl_weight=loss.kl_weight(),
            free_bits=0.0,
            latent_dim=loss.latent_dim,
        )


class _Loss:
    """The loss of a model, as a function of the prediction and as one of the posterior.

    `unit` is the weight of the first term of the reconstruction; that term and the others relative to it are what
    `total` gives, so that it is the same for all values of a weight that scales the whole.
    """

    def __init__(self, model: Vae, x: np.ndarray, weights: Mapping[str, float]) -> None:
        self._model, self._exact = model, copy.deepcopy(model).double()
        self._x, self._weights = x, weights
        self._outputs: dict[tuple[int, int], Any] = {}
        self._probe = slice(0, min(PROBED, len(x)))
        with torch.no_grad():
            told = self._exact.terms(self._at(self._probe))
        self._terms = [name for name in told if name != KL and weights.get(name, 1.0) != 0]
        self.measurable = KL in told and bool(self._terms) and is_dataclass(self._at(self._probe))
        self.unit = float(weights.get(self._terms[0], 1.0)) if self._terms else 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one prediction."""
        return tuple(self._at(self._probe).prediction.shape[1:])

    @property
    def latent_dim(self) -> int:
        """K."""
        return int(self._at(self._probe).mu.shape[1])

    def total(self, predictions: Tensor, part: slice) -> Tensor:
        """The sum over the samples of `part` of their reconstruction losses, in units of `unit`."""
        terms = self._exact.terms(replace(self._at(part), prediction=predictions))
        weighted = [self._weights.get(name, 1.0) / self.unit * terms[name].double() for name in self._terms]
        mean: Tensor = torch.stack(weighted).sum()
        samples: int = part.stop - part.start
        return mean * samples

    def key(self) -> tuple[Any, ...]:
        """What tells this reconstruction loss from another: its values at fixed predictions."""
        part = self._probe
        generator = torch.Generator().manual_seed(0)
        uniform = torch.rand((part.stop, *self.shape), generator=generator, dtype=torch.float64)
        with torch.no_grad():  # legal for a mean, a logit, a rate and a probability
            values = [float(self.total(low + 0.5 * uniform, part)) for low in (0.1, 0.3)]
        return (self.shape, *(f"{value:.{DIGITS}g}" for value in values))

    def kl_weight(self) -> float:
        """What a nat of KL weighs: the slope of the loss between two posteriors above any floor."""
        outputs = self._at(self._probe)
        logvar = torch.zeros_like(outputs.logvar)
        points = []
        for size in (4.0, 5.0):
            mu = torch.full_like(outputs.mu, size)
            with torch.no_grad():
                term = float(self._exact.terms(replace(outputs, mu=mu, logvar=logvar))[KL])
            points.append((float(kl_per_dim(mu, logvar).sum(dim=1).mean()), term))
        (kl, term), (more_kl, more) = points
        return float(self._weights.get(KL, 1.0)) * (more - term) / (more_kl - kl)

    def _at(self, part: slice) -> Any:
        """One pass over the samples of `part`, its tensors in float64."""
        place = (part.start, part.stop)
        if place not in self._outputs:
            x = torch.from_numpy(self._x[part])
            with torch.no_grad():
                outputs = self._model(Batch(x, torch.full((len(x),), -1)), torch.Generator().manual_seed(0))
            self._outputs[place] = _exact(outputs) if is_dataclass(outputs) else outputs
        return self._outputs[place]


def _exact(outputs: Any) -> Any:
    """`outputs` in float64."""
    named = {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    floats = {name: value.double() for name, value in named.items() if _is_float(value)}
    return replace(outputs, **floats)


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _feature(loss: _Loss, shape: tuple[int, ...]) -> np.ndarray:
    """g / √(2h) of every sample, (N, …) float32; NaN where no best constant is found."""
    samples = shape[0]
    total: Total = loss.total
    try:
        best = best_constant(total, loss.shape, samples)
    except ValueError:  # the loss is not defined where all losses that are known here are
        return np.full((samples, math.prod(loss.shape)), np.nan, np.float32)
    if not best.converged:
        return np.full((samples, math.prod(loss.shape)), np.nan, np.float32)
    gradient_N, mean = curvature(total, best.prediction, samples, BLOCK)
    scale = (2 * mean.clamp(min=torch.finfo(torch.float64).tiny)).sqrt()
    return (gradient_N / scale).float().numpy()
