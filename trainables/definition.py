"""What a model is to the program: one typed object, of the seven and of the user's own alike.

A model's module offers

    SPACE                                 its hyperparameters (`search_spaces.SearchSpace`)
    Model(config, shape, statistics)      a `trainables.vae.Vae`, trained by our loop
or  train(config, monitor)                a loop of one's own, which tells `trainables.monitor.Monitor` of every epoch
and, where the defaults do not serve,
    data(source)                          → arrays, `Samples` or a torch Dataset; see `trainables.data.user`
    READER                                instead of `data`: a `trainables.data.cache.Reader`
    STUDIES, CLAIMS                       for `sweeps/ablate.py`
    term_weights(config, at)              {term: weight} at that point of training (`trainables.schedules.Progress`)
    kl_cycles(config, steps)              where the KL weight is cyclical: how many cycles in a budget of `steps`
    quadratic_form(config, x, statistics) the reconstruction loss as Σ weight · ‖features(error)‖², from which the
                                          collapse is forecast (`trainables.forecast`)

A loop of one's own reads its data itself, and has no hyperparameters but those of its `SPACE`. With a `Model` beside
it the data is prepared too, and the weights that the loop saves as "model" are those that are drawn and exported.

Of the seven the `SPACE` lies in `search_spaces`, the rest in `trainables.models`, for spaces need no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import search_spaces
from search_spaces import Claim, ModelError, Reference, SearchSpace, Study, resolve
from search_spaces.reference import LOOP, MODEL
from trainables.data.cache import Reader
from trainables.data.user import UserReader
from trainables.forms import QuadraticForm
from trainables.measured import Measured
from trainables.schedules import Progress, linear_warmup
from trainables.vae import Vae

if TYPE_CHECKING:
    from trainables.monitor import Monitor

Config = Mapping[str, Any]
Train = Callable[[Config, "Monitor"], None]
KL_WEIGHT, KL_WARMUP = "kl_weight", "kl_warmup"  # hyperparameters that the default of `term_weights` knows


@dataclass(frozen=True)
class Definition:
    """A model. Functions as the module of this file has them.

    Args:
        reference: where it comes from.
        space: with the training loop's hyperparameters, unless there is a `train`.
        Model: None where there is none beside `train`.
        train: None for our loop.
        term_weights: a term that it does not name weighs 1.
        kl_cycles: 1 where the KL weight is not cyclical.
        quadratic_form: measured unless derived by the author (`trainables.measured`); gives None for no forecast.
    """

    reference: Reference
    space: SearchSpace
    studies: tuple[Study, ...]
    claims: tuple[Claim, ...]
    reader: Reader
    Model: type[Vae] | None
    train: Train | None
    term_weights: Callable[[Config, Progress], Mapping[str, float]]
    kl_cycles: Callable[[Config, int], float]
    quadratic_form: Callable[[Config, np.ndarray, Mapping[str, np.ndarray]], QuadraticForm | None]

    def build(self, config: Config, shape: tuple[int, ...], statistics: Mapping[str, np.ndarray]) -> Vae:
        """The model.

        Raises:
            ModelError: the file has none.
        """
        if self.Model is None:
            raise ModelError([f"MODEL {self.reference.text}: it has no Model, only a loop of its own"])
        return self.Model(config, shape, statistics)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.reference.name


def load(text: str) -> Definition:
    """The model that `text` names: one of `search_spaces.names()`, a module, a file, or the folder of a copy.

    Raises:
        ModelError: there is none, or it lacks what it needs; with all problems.
    """
    reference = resolve(text)
    own = reference.root is not None
    code = reference.module if own else importlib.import_module(f"trainables.models.{reference.name}")
    space, offers = vars(reference.module), vars(code)
    problems = [
        f"MODEL {text}: {name} is {offers[name]!r}; expected a function {name}{arguments}"
        for name, arguments in _FUNCTIONS.items()
        if name in offers and not callable(offers[name])
    ]
    model = offers.get(MODEL)
    if model is None and LOOP in offers:
        pass
    elif not (isinstance(model, type) and issubclass(model, Vae)):
        problems.append(f"MODEL {text}: Model is {model!r}; expected a class Model(trainables.vae.Vae)")
    elif missing := sorted(model.__abstractmethods__):
        problems.append(f"MODEL {text}: Model has no {' and no '.join(missing)}; expected {_EXPECTED}")
    if problems:
        raise ModelError(problems)
    weights = offers.get("term_weights", term_weights)
    return Definition(
        reference=reference,
        space=search_spaces.load(text),
        studies=tuple(space.get("STUDIES", ())),
        claims=tuple(space.get("CLAIMS", ())),
        reader=offers.get("READER") or UserReader(reference.name, offers.get("data"), reference.sha256()),
        Model=model,
        train=offers.get(LOOP),
        term_weights=weights,
        kl_cycles=offers.get("kl_cycles", one_cycle),
        quadratic_form=offers.get("quadratic_form") or (Measured(model, weights) if model else no_form),
    )


_FUNCTIONS = {
    LOOP: "(config, monitor)",
    "data": "(source)",
    "term_weights": "(config, at)",
    "kl_cycles": "(config, steps)",
    "quadratic_form": "(config, x, statistics)",
}
_EXPECTED = "encode(x) → mu, logvar and decode(z) → prediction; a VqVae quantise(x) and decode(quantised)"


def term_weights(config: Config, at: Progress) -> dict[str, float]:
    """The default: the KL weighs `kl_weight` (1 if the space has none), risen linearly over the share `kl_warmup` of
    the budget; all other terms weigh 1."""
    return {"kl": config.get(KL_WEIGHT, 1.0) * linear_warmup(at.share, config.get(KL_WARMUP, 0.0))}


def no_form(config: Config, x: np.ndarray, statistics: Mapping[str, np.ndarray]) -> None:
    """Of a loop of one's own without a `Model`."""


def one_cycle(config: Config, steps: int) -> float:
    """The default: the KL weight is not cyclical."""
    return 1.0
