"""What may vary: one file a model, each with one `SPACE`, its `STUDIES` and `CLAIMS`. No torch, no ray: readable as
documentation.
"""

from __future__ import annotations

from search_spaces.reference import ModelError, Reference, names, resolve
from search_spaces.space import Parameter, SearchSpace
from search_spaces.study import Claim, Study
from search_spaces.target import Target
from search_spaces.training import completed, training

__all__ = [
    "Claim",
    "ModelError",
    "Parameter",
    "Reference",
    "SearchSpace",
    "Study",
    "Target",
    "claims",
    "load",
    "names",
    "resolve",
    "studies",
    "training",
]


def load(model: str) -> SearchSpace:
    """The search space of a model, with the training loop's hyperparameters unless it has a loop of its own.

    Raises:
        ModelError: `model` names none; see `search_spaces.reference`.
    """
    reference = resolve(model)
    return reference.space if reference.own_loop else completed(reference.space)


def studies(model: str) -> list[Study]:
    """The ablation studies that the sources of `model` name."""
    return list(vars(resolve(model).module).get("STUDIES", ()))


def claims(model: str) -> list[Claim]:
    """What the sources of `model` advise, as testable claims."""
    return list(vars(resolve(model).module).get("CLAIMS", ()))
