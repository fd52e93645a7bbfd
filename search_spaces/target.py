"""Numbers by which a model's source tells success: stated, not chosen here, and never ranked by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Target:
    """A range that a metric is stated to lie in once the fixes work.

    Args:
        metric: a metric of the epoch log.
        text: what meeting it means, in the source's sense.
        source: where it is stated, and where this reading of it differs.
        low, high: the ends of the range, both included; None: open.
        when: the hyperparameters for which it is stated, by name; empty: any.

    Raises:
        ValueError: the range is empty or open on both sides.
    """

    metric: str
    text: str
    source: str
    low: float | None = None
    high: float | None = None
    when: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            raise ValueError(f"{self.metric}: a target needs a low or a high end")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"{self.metric}: the range {self.low:g}..{self.high:g} is empty; expected low ≤ high")

    @property
    def range_text(self) -> str:
        """The range as the report prints it."""
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        return f"at least {self.low:g}" if self.low is not None else f"at most {self.high:g}"

    def applies(self, config: Mapping[str, Any]) -> bool:
        """True if the target is stated for that configuration."""
        return all(config.get(name) == value for name, value in self.when.items())

    def met(self, value: float) -> bool:
        """True if `value` lies in the range; NaN does not."""
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        return low <= value <= high
