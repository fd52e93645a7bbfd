"""Which configuration to try next: TPE (Optuna), random, or grid. Knows no Ray.

Every search is told the truth about how a trial ended: a trial stopped at a rung is *pruned* (its value is that of
a part of the budget, never learnt as a final one), a sick one violates a constraint, a failed one is no
observation at all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from search_spaces.space import Parameter, SearchSpace, applies
from sweeps.journal import Status, TrialRecord
from sweeps.stopping import RUNG

SEARCHES = ("tpe", "random", "grid")
STARTUP_TRIALS = 10  # drawn at random before TPE models anything
GRID_LEVELS = 3  # of a continuous range


class Search(Protocol):
    """Proposes configurations by trial number and hears how trials ended."""

    def suggest(self, trial: int) -> dict[str, Any] | None:
        """The configuration of trial `trial`, None when there is nothing left to try."""

    def tell(self, record: TrialRecord) -> None:
        """Hear of a trial that was suggested (here or before a resume); call again when it has ended."""


def make(search: str, space: SearchSpace, seed: int, metrics: list[str], modes: list[str]) -> Search:
    """The search called `search`.

    Raises:
        ValueError: an unknown name.
    """
    if search == "tpe":
        return TpeSearch(space, seed, metrics, modes)
    if search == "random":
        return RandomSearch(space, seed)
    if search == "grid":
        return GridSearch(space, seed)
    raise ValueError(f"search '{search}': expected one of {', '.join(SEARCHES)}")


class RandomSearch:
    """Independent draws; trial k depends on the seed and on k alone."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space, self.seed = space, seed

    def suggest(self, trial: int) -> dict[str, Any]:
        """The k-th draw."""
        return self.space.draw(np.random.default_rng([self.seed, trial]))

    def tell(self, record: TrialRecord) -> None:
        """Nothing to learn."""


class GridSearch:
    """Every combination of the choices and of three levels of each range, in an order fixed by the seed."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space = space
        self.levels = [grid_levels(parameter) for parameter in space.parameters]
        cells = math.prod(len(levels) for levels in self.levels)
        self.order = _permutation(cells, seed)

    def suggest(self, trial: int) -> dict[str, Any] | None:
        """The cell of trial `trial`; the first trials of a sweep are not cells, so cells count from trial 3."""
        cell = next(itertools.islice(self.order, trial - 3, None), None) if trial >= 3 else None
        self.order = _permutation(self.order.cells, self.order.seed)
        if cell is None:
            return None
        values = []
        for levels in reversed(self.levels):
            cell, position = divmod(cell, len(levels))
            values.append(levels[position])
        names = [parameter.name for parameter in self.space.parameters]
        return dict(zip(names, reversed(values), strict=True))

    def tell(self, record: TrialRecord) -> None:
        """Nothing to learn."""
