"""The models, one file each. `load` imports a model's file only when it is asked for.

A model file offers, beside what its docstring says of the architecture:

    Model(config, shape, statistics)      an `nn.Module`; `config` a dict with every hyperparameter of its space
      .forward(batch, generator)          → named outputs of one pass: mu, logvar, z, prediction, target, …
      .loss_terms(batch, generator)       → {term: scalar}, every term unweighted
      .terms(outputs)                     → the same from outputs already computed
      .encode(x) / .decode(z)             posterior parameters / prediction in the space the trial trains in
      .to_fixed(prediction, x)            that prediction in the model's one fixed space
      .fixed_target(x)                    the target there
      .measures(prediction, target)       domain measures in the fixed space, {val/<name>: float}
      .panel(x)                           images in [0, 1], (B, H, W, 3), for reconstruction panels
    term_weights(config, progress)        {term: weight} at that share of the budget
    quadratic_form(config, x, statistics) the reconstruction loss as Σ weight · ‖features(error)‖²; see
                                          `sweeps.forecast`
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
