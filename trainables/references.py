"""What a score in nats compares with is one number for a whole sweep: it is fitted once and kept in its folder."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.files import write_text
from trainables.likelihood import reference

if TYPE_CHECKING:
    from trainables.data.store import Dataset
    from trainables.definition import Definition

FOLDER = "likelihood"  # of a sweep: a file for each set of samples that trials are judged on


class References:
    """`trainables.likelihood.reference` of the samples that trials are judged on.

    Args:
        definition: of the model.
        dataset: of the sweep.
        sweep: its folder, where the first trial that needs a number leaves it for the others; None before there is
            one.
    """

    def __init__(self, definition: Definition, dataset: Dataset, sweep: Path | None = None) -> None:
        self._definition, self._dataset, self._sweep = definition, dataset, sweep
        self._known: dict[str, float] = {}

    def of(self, index: np.ndarray) -> float:
        """That of the samples `index`, nats per sample.

        Raises:
            trainables.likelihood.LikelihoodError: there is none.
        """
        name = hashlib.sha256(index.tobytes()).hexdigest()
        if name not in self._known and not self._read(name):
            self._known[name] = reference(self._definition, self._dataset, index)
            if self._sweep is not None:
                self.keep(self._sweep)
        return self._known[name]

    def keep(self, sweep: Path) -> None:
        """Leave what is known in the folder of the sweep, to the last digit."""
        for name, nats in self._known.items():
            path = _file(sweep, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, repr(nats))

    def _read(self, name: str) -> bool:
        if self._sweep is None or not (path := _file(self._sweep, name)).exists():
            return False
        self._known[name] = float(path.read_text())
        return True


def _file(sweep: Path, name: str) -> Path:
    return sweep / FOLDER / f"{name}.txt"
