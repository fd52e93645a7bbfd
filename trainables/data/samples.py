"""What a reader hands over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Samples:
    """N samples in memory.

    Args:
        x: (N, *shape) float32.
        source: as the user gave it.
        labels: one a sample; None if there are none.
        ids: the samples' names in the source; None if they are known by their index.
        notes: peculiarities that the user should know of but that do not stop a sweep.
        embedded: True for the data set that a model brings along.
    """

    x: np.ndarray
    source: str
    labels: list[str] | None = None
    ids: Sequence[object] | None = None
    notes: tuple[str, ...] = ()
    embedded: bool = False

    def name(self, index: int) -> str:
        """How the user knows sample `index`."""
        return f"sample {index if self.ids is None else self.ids[index]}"
