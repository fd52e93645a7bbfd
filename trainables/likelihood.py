"""The score in the nats of an author's own likelihood, for models with `nats = "reconstruction"`.

Their `reconstruction(prediction, x)` is −ln p(x | z) of every sample, all constants of the parameters included. Then

    elbo  = −(NLL + rate) / D                           nats per data dimension
    score = min(NLL_constant, NLL_swapped) / D + elbo

as in `trainables.score`, with these negative log likelihoods in place of logarithms of errors: of decoded samples of
z; of the best constant in hindsight, the same number for all trials; of decodes of *other* samples' z. A decoder that
ignores z has NLL_swapped = NLL: its score is −rate / D, never above 0.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trainables.constant import best_constant, curvature

if TYPE_CHECKING:
    from trainables.data.store import Dataset
    from trainables.definition import Definition
    from trainables.diagnostics import Decodes
    from trainables.vae import Batch, Fields, Vae

SHIFTS = 4  # other samples whose z every draw is swapped with
VALUES = 2**23  # float64, 64 MiB: of more data the best constant is fitted to a part, of random samples …
LEAST = 16  # … but no fewer


class LikelihoodError(ValueError):
    """A likelihood has no best constant to compare with; the message says why and what to do."""


def reference(definition: Definition, dataset: Dataset, index: np.ndarray) -> float:
    """`constant_nll` for the samples `index` by the documented configuration: the same in all trials.

    Raises:
        LikelihoodError: as `constant_nll`.
    """
    from trainables.loader import Loader

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = definition.build(definition.space.documented(), dataset.shape, dataset.statistics)
    batch = Loader(dataset, torch.device("cpu")).batch(index)
    return constant_nll(model, batch.x, batch.fields)


def constant_nll(model: Vae, x: Tensor, fields: Fields | None = None) -> float:
    """−ln p of the best constant prediction for samples `x` (N, *shape) on the CPU, nats per sample; `fields`: what
    the model reads beside them.

    The likelihood's own parameters are fitted with it, in a copy. It is fitted to the samples that it is told on,
    which flatters it; ½ tr(J⁻¹ I) / (N − 1), from the variance I and the mean curvature J of the loss (Takeuchi
    1976), makes it that of the population's best constant: for a Gaussian the factor N / (N − 1) of
    `trainables.score`.

    Raises:
        LikelihoodError: the likelihood is not finite, or has no bound.
    """
    values = math.prod(x.shape[1:])
    fitted = x[: max(LEAST, VALUES // values)].double()
    fields = fields or {}
    given = {name: _exact(fields[name][: len(fitted)]) for name in model.reads("reconstruction")}
    judge = copy.deepcopy(model).cpu().double().eval()
    with torch.no_grad():
        shape = _prediction_shape(model, x[:2], {name: values[:2] for name, values in fields.items()})

    def total(predictions: Tensor, part: slice) -> Tensor:
        read = {name: values[part] for name, values in given.items()}
        return judge.reconstruction(predictions, fitted[part], **read).sum()

    try:
        best = best_constant(total, shape, len(fitted), judge.parameters())
    except ValueError as error:
        raise LikelihoodError(
            f"reconstruction(prediction, x): {error}; expected −ln p(x | z), nats per sample"
        ) from error
    if not best.converged:
        raise LikelihoodError(
            "reconstruction(prediction, x): −ln p of a constant prediction has no least value; a density with its "
            "own scale has no bound where values of the data are constant: give the scale a floor"
        )
    gradient_N, mean = curvature(total, best.prediction, len(fitted), block=max(1, VALUES // values // 4))
    optimism = (gradient_N.square().mean(dim=0) / mean.clamp(min=torch.finfo(torch.float64).tiny)).sum() / 2
    return best.loss + float(optimism) / (len(fitted) - 1)


def _exact(values: Tensor) -> Tensor:
    """A field in float64; categories as they are."""
    return values.double() if values.is_floating_point() else values


def _prediction_shape(model: Vae, x: Tensor, fields: Fields) -> tuple[int, ...]:
    from trainables.vae import Batch

    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    given = {name: values.to(device) for name, values in fields.items()}
    batch = Batch(x.to(device), torch.full((len(x),), -1, device=device), given)
    return tuple(model.eval()(batch, generator).prediction.shape[1:])


class LikelihoodStatistics:
    """Negative log likelihoods over the evaluation set.

    Args:
        constant: that of the best constant; see `constant_nll`.
    """

    def __init__(self, constant: float) -> None:
        self._constant = constant
        self._own = self._swapped = 0.0
        self._samples = self._pairs = self._values = 0

    def add(self, model: Vae, batch: Batch, decodes: Decodes) -> None:
        """Add a batch and what the decoder makes of it; a swapped decode is judged by the fields of its target."""
        x, read = batch.x, model.read_by("reconstruction", batch)

        def nll(decode: Tensor) -> float:
            return float(model.reconstruction(decode.float(), x, **read).double().sum())

        self._own += sum(map(nll, decodes.samples)) / len(decodes.samples)
        self._samples, self._values = self._samples + len(x), math.prod(x.shape[1:])
        shifts = range(1, min(SHIFTS, len(x) - 1) + 1)
        swaps = [decode.roll(shift, dims=0) for decode in decodes.samples for shift in shifts]
        for swapped in swaps if decodes.swapped is None else [decodes.swapped]:
            self._swapped += nll(swapped)
            self._pairs += len(x)

    def metrics(self, rate: float) -> dict[str, float]:
        """The score and what it is made of; `rate`: what the latent costs, nats per sample."""
        own = self._own / self._samples
        swapped = self._swapped / self._pairs if self._pairs else math.nan
        gain = (min(self._constant, swapped) - own - rate) / self._values
        return {
            "val/nll": own,
            "val/nll_constant": self._constant,
            "val/nll_swapped": swapped,
            "val/elbo": -(own + rate) / self._values,
            "val/elbo_gain": gain if math.isfinite(swapped) else math.nan,
        }
