"""What may vary: one file a model, each with one `SPACE`, its `STUDIES` and `CLAIMS`. No torch, no ray: readable as
documentation.
"""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from types import ModuleType

from search_spaces.space import Parameter, SearchSpace
from search_spaces.study import Claim, Study
from search_spaces.target import Target

__all__ = [
    "Claim",
    "Parameter",
    "SearchSpace",
    "Study",
    "Target",
    "UnknownModel",
    "claims",
    "load",
    "names",
    "studies",
]

_INFRASTRUCTURE = {"space", "study", "target"}


class UnknownModel(ValueError):
    """No model of that name; the message lists the known ones."""


def names() -> list[str]:
    """The known models, one per file of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _INFRASTRUCTURE)


def load(model: str) -> SearchSpace:
    """The search space of `model`.

    Raises:
        UnknownModel: `model` is not among `names()`.
    """
    return _module(model).SPACE


def studies(model: str) -> list[Study]:
    """The ablation studies that the sources of `model` name."""
    return list(getattr(_module(model), "STUDIES", ()))


def claims(model: str) -> list[Claim]:
    """What the sources of `model` advise, as testable claims."""
    return list(getattr(_module(model), "CLAIMS", ()))


def _module(model: str) -> ModuleType:
    if model not in names():
        close = get_close_matches(model, names(), n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UnknownModel(f"unknown model '{model}'; known models: {', '.join(names())}.{hint}")
    return importlib.import_module(f"search_spaces.{model}")
