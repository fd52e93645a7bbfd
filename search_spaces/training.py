"""The hyperparameters of the training loop: every space has them, and names only those in which it differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from search_spaces.space import Parameter, SearchSpace

_OURS = "not stated; this project's choice"

TRAINING = (
    Parameter("learning_rate", "log", 1e-3, low=1e-4, high=1e-2, doc="step size of the optimiser", source=_OURS),
    Parameter(
        "batch_size",
        "fixed",
        32,
        minimum=1,
        unit="samples",
        doc="samples per training step",
        source=_OURS,
        memory=True,
    ),
    Parameter("weight_decay", "fixed", 0.01, doc="AdamW weight decay", source="AdamW's usual value"),
    Parameter(
        "grad_clip_norm",
        "fixed",
        1.0,
        minimum=1e-6,
        unsearched=(None,),
        doc="gradient norm is clipped to this",
        source=_OURS,
    ),
    Parameter("optimizer", "fixed", "adamw", unsearched=("adam",), doc="adamw or adam", source=_OURS),
    Parameter(
        "lr_warmup",
        "fixed",
        0.0,
        maximum=1.0,
        unit="share of the budget",
        doc="the learning rate rises linearly from 0 over this share",
        source=_OURS,
    ),
    Parameter(
        "lr_schedule",
        "fixed",
        "constant",
        unsearched=("cosine", "step", "plateau"),
        doc="step size over the budget: cosine to 0, a tenth after each third, halved when the validation error "
        "stalls, or constant",
        source=_OURS,
    ),
    Parameter(
        "early_stopping_patience",
        "fixed",
        None,
        minimum=1,
        unsearched=(15,),
        unit="epochs",
        doc="a trial ends after so many epochs without a lower validation error",
        source=_OURS,
    ),
)
NAMES = tuple(parameter.name for parameter in TRAINING)
DEFAULTS = {parameter.name: parameter.default for parameter in TRAINING}


def training(name: str, **changes: Any) -> Parameter:
    """The loop's hyperparameter `name` with `changes` of its fields; without a `baseline` of its own there is none
    before the `default`.

    Raises:
        ValueError: the loop has no such hyperparameter.
    """
    known = {parameter.name: parameter for parameter in TRAINING}
    if name not in known:
        raise ValueError(f"{name}: the loop has no such hyperparameter; it has {', '.join(known)}")
    if "default" in changes:
        changes.setdefault("baseline", changes["default"])
    return replace(known[name], **changes)


def completed(space: SearchSpace) -> SearchSpace:
    """`space` with the loop's hyperparameters that it does not name, after its own."""
    own = {parameter.name for parameter in space.parameters}
    missing = tuple(parameter for parameter in TRAINING if parameter.name not in own)
    return replace(space, parameters=(*space.parameters, *missing))
