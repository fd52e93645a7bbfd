"""What a trial must meet to be ranked, at the epoch whose weights are kept: `health/au>=32`. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FAMILIES = ("val/", "test/", "environment/", "health/", "memory/", "time/")  # of metrics that may be required
_WRITTEN = re.compile(r"\s*([^<>=\s]+)\s*(>=|<=)\s*(\S+)\s*")
AS_IN = "expected METRIC>=NUMBER or METRIC<=NUMBER in quotes, as in 'health/au>=32'"


@dataclass(frozen=True)
class Requirement:
    """A bound on a metric, from below (`sign` 1) or from above (−1)."""

    metric: str
    sign: int
    bound: float

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Of `health/au>=32` or `memory/rss_mib<=20000`.

        Raises:
            ValueError: it is neither; says what was expected.
        """
        found = _WRITTEN.fullmatch(text)
        if not found:
            raise ValueError(AS_IN)
        metric, sign, number = found.groups()
        try:
            bound = float(number)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise ValueError(f"{number} is no finite number; {AS_IN}")
        if not metric.startswith(FAMILIES):
            raise ValueError(f"expected a metric of {', '.join(FAMILIES)}; a training loss cannot be required")
        return cls(metric, 1 if sign == ">=" else -1, bound)

    def __str__(self) -> str:
        return f"{self.metric}{'>=' if self.sign > 0 else '<='}{self.bound:.15g}"

    def violation(self, metrics: Mapping[str, Any]) -> float:
        """By how much the metric misses the bound, in units of the bound (of 1 where that is 0): at most 0 where it
        is met, 1 where there is no finite value."""
        value = _finite(metrics.get(self.metric))
        return 1.0 if value is None else self.sign * (self.bound - value) / (abs(self.bound) or 1.0)

    def missed(self, metrics: Mapping[str, Any]) -> str:
        """The value beside the bound, in a few words; '' where it is met."""
        if self.violation(metrics) <= 0:
            return ""
        value = _finite(metrics.get(self.metric))
        told = "no value" if value is None else f"{value:.4g}"
        return f"{self.metric} {told}, required {'>=' if self.sign > 0 else '<='} {self.bound:.15g}"


def unmet(requirements: Iterable[Requirement], metrics: Mapping[str, Any]) -> list[str]:
    """What metrics of one epoch miss, in words; [] where all is met."""
    return [missed for requirement in requirements if (missed := requirement.missed(metrics))]


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
