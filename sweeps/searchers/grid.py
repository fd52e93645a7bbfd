"""Grid search."""

from __future__ import annotations

import math

import numpy as np

from search_spaces.space import Parameter, Value
from sweeps.searchers.base import Search

LEVELS = 3  # of a continuous range


class GridSearch(Search):
    """Every combination of the choices and of three levels of each range, once, in an order fixed by the seed."""

    name = "grid"

    def _set_up(self) -> None:
        self.names = [parameter.name for parameter in self.space.parameters]
        self.levels = [grid_levels(parameter) for parameter in self.space.parameters]
        self.cells = math.prod(len(levels) for levels in self.levels)
        rng = np.random.default_rng(self.seed)
        self.offset = int(rng.integers(self.cells))
        self.stride = next(
            stride
            for stride in iter(lambda: int(rng.integers(1, self.cells + 1)), 0)
            if math.gcd(stride, self.cells) == 1
        )

    def suggest(self, trial: int) -> dict[str, Value] | None:
        """The cell of trial `trial`, which counts from the first trial after the documented ones."""
        visited = trial - self.first
        if visited >= self.cells:
            return None
        cell = (self.offset + visited * self.stride) % self.cells
        values = []
        for levels in self.levels:
            cell, position = divmod(cell, len(levels))
            values.append(levels[position])
        return dict(zip(self.names, values, strict=True))


def grid_levels(parameter: Parameter) -> list[Value]:
    """The values of a parameter on the grid."""
    if parameter.kind == "fixed":
        return [parameter.default]
    if parameter.kind == "choice":
        return list(parameter.choices)
    spaced = np.geomspace if parameter.kind == "log" else np.linspace
    levels = spaced(*parameter.bounds, LEVELS)
    return sorted({round(level) for level in levels}) if parameter.kind == "int" else [float(x) for x in levels]
