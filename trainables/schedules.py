"""Weights and step sizes over the course of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STEP_DECAY = 0.1  # of the `step` schedule, after each third of the budget
PLATEAU_DECAY = 0.5
PLATEAU_PATIENCE = 5  # epochs without improvement


@dataclass(frozen=True)
class Progress:
    """How far training is: the share of the budget in (0, 1] with the current step done, and the budget's steps."""

    share: float
    steps: int


END = Progress(1.0, 1)


def share(value: float, steps: int) -> float:
    """A duration as a share of a budget of `steps`: up to 1 it is one already, above it counts steps."""
    return value if value <= 1.0 else value / steps


def linear_warmup(progress: float, share: float) -> float:
    """0 → 1 linearly over the first `share` of the budget, then 1; always 1 for `share` 0."""
    return 1.0 if progress >= share else progress / share


def cyclical(progress: float, cycles: float, ramp: float = 0.5) -> float:
    """0 → 1 linearly over the first `ramp` of each of `cycles` equal cycles, then 1 to its end (Fu et al. 2019).

    The last step of a cycle belongs to it: at the boundary the value is 1, after it the next ramp begins.
    """
    position = progress * cycles
    within = position - (math.ceil(position) - 1)
    return linear_warmup(within, ramp)


def cycle_ends(progress: float, epoch: float, cycles: float) -> bool:
    """True if the epoch that ends at `progress` is the last whole one of its cycle; `epoch`: share of one epoch."""
    tolerance = 1e-9
    return progress + epoch > 1 + tolerance or math.ceil(progress * cycles - tolerance) != math.ceil(
        (progress + epoch) * cycles - tolerance
    )


def learning_rate(config: Mapping[str, Any], progress: float) -> float:
    """The step size at `progress` by `learning_rate`, `lr_warmup` and `lr_schedule`.

    `cosine` falls to 0 over the budget after the warm-up, `step` by a factor of ten after each third; `plateau` is
    `Plateau`'s business.
    """
    warmup, schedule = config.get("lr_warmup", 0.0), config.get("lr_schedule", "constant")
    factor = linear_warmup(progress, warmup)
    if schedule == "cosine" and progress > warmup:
        factor = 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))
    elif schedule == "step":
        factor *= STEP_DECAY ** (math.ceil(3 * progress) - 1)
    return config["learning_rate"] * factor


class Plateau:
    """Counts epochs without improvement of a value that should fall; halves the step size after five of them."""

    def __init__(self) -> None:
        self.best, self.stale, self.factor = math.inf, 0, 1.0

    def update(self, value: float) -> None:
        """Hear of an epoch."""
        self.stale = 0 if value < self.best else self.stale + 1
        self.best = min(self.best, value)
        if self.stale and self.stale % PLATEAU_PATIENCE == 0:
            self.factor *= PLATEAU_DECAY

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from a checkpoint."""
        vars(self).update(state)
