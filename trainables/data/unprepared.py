"""The data of a loop of the user's own: it reads them itself, and nothing is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OWN = "the data of its own loop"


@dataclass(frozen=True)
class Unprepared:
    """What stands for `trainables.data.store.Dataset`, as far as a sweep's record tells of it."""

    source: str = OWN
    path: str = ""
    grouping: str = ""
    fingerprint: str = ""  # so that no trial is taken for one of another sweep
    embedded: bool = False
    shape: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def train(self) -> np.ndarray:
        """No samples that are known."""
        return np.zeros(0, np.int64)

    @property
    def test(self) -> np.ndarray:
        """None either."""
        return np.zeros(0, np.int64)

    @property
    def val(self) -> np.ndarray:
        """None either."""
        return np.zeros(0, np.int64)
