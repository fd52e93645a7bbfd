"""The models, one file each. `load` imports a model's file only when it is asked for.

A model file offers, beside what its docstring says of the architecture:

    Model(config, shape, statistics)      a `trainables.vae.Vae`; `config` has every hyperparameter of its space
      .forward(batch, generator)          → named outputs of one pass: mu, logvar, z, prediction, target, …
      .terms(outputs)                     → {term: scalar}, every term unweighted; the KL term is called `kl`
      .encode(x) / .decode(z)             posterior parameters / prediction in the space the trial trains in
      .panel(target, prediction)          both as images (B, H, W, 3) in [0, 1], for reconstruction panels
      and what `Vae` has a default for
    term_weights(config, at)              {term: weight} at that point of training (`trainables.schedules.Progress`)
    kl_cycles(config, steps)              where the KL weight may be cyclical: how many cycles in a budget of `steps`
    quadratic_form(config, x, statistics) the reconstruction loss as Σ weight · ‖features(error)‖², from which the
                                          collapse is forecast (`trainables.forecast`); None where there is no KL
    READER                                how data is read and embedded data made; see `trainables.data`
"""

from __future__ import annotations

import importlib
from types import ModuleType

import search_spaces


def load(name: str) -> ModuleType:
    """The module of model `name`.

    Raises:
        search_spaces.UnknownModel: there is no such model.
    """
    search_spaces.load(name)
    return importlib.import_module(f"trainables.models.{name}")
