"""Random search."""

from __future__ import annotations

import numpy as np

from search_spaces.space import Value
from sweeps.searchers.base import Search


class RandomSearch(Search):
    """Independent draws; trial k depends on the seed and on k alone."""

    name = "random"

    def suggest(self, trial: int) -> dict[str, Value]:
        """The k-th draw."""
        return self.space.draw(np.random.default_rng([self.seed, trial]))
