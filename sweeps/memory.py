"""What earlier sweeps on the same data know of a configuration: pure, the same for a live sweep and its replay.

Scores of other budgets, seeds and splits are not comparable; places within a sweep are. A random forest (Breiman
2001) learns the place of a trial from its hyperparameters: its trees ask only whether a value lies above another, so
ranges need no scale. What it foretells may be wrong for the sweep at hand: so the best foretold and the next as drawn
take turns, and a wrong memory has every other turn at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from search_spaces.space import Value
from sweeps.records.journal import TrialRecord
from sweeps.records.record import ParameterRecord

TREES = 100  # scikit-learn's default


@dataclass(frozen=True)
class EarlierTrial:
    """A trial of an earlier sweep.

    Args:
        record: its configuration, its end, the metrics of its best epoch.
        place: within its sweep, from 0 to 1 for the best.
        epochs: the budget of a trial in that sweep.
    """

    record: TrialRecord
    place: float
    epochs: int


@dataclass(frozen=True)
class Memory:
    """The trials of earlier sweeps on the same data, at least one, compared by `parameters` as far as all have them.
    `epochs` is the budget of the sweep that remembers."""

    parameters: tuple[ParameterRecord, ...]
    trials: tuple[EarlierTrial, ...]
    epochs: int

    @property
    def comparable(self) -> list[TrialRecord]:
        """The trials whose scores, not only their places, are those that this sweep would have found."""
        return [trial.record for trial in self.trials if trial.epochs == self.epochs]

    def foretold(self, configs: Sequence[Mapping[str, Value]]) -> list[float]:
        """The places, from 0 to 1 for the best, that configurations are expected to take."""
        found: list[float] = self._forest.predict(self._encoded(configs)).tolist() if configs else []
        return found

    @cached_property
    def common(self) -> list[ParameterRecord]:
        """The parameters that all earlier trials have."""
        return [each for each in self.parameters if all(each.name in trial.record.config for trial in self.trials)]

    @cached_property
    def _forest(self) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(TREES, random_state=0)
        known = self._encoded([trial.record.config for trial in self.trials])
        return forest.fit(known, [trial.place for trial in self.trials])

    def _encoded(self, configs: Sequence[Mapping[str, Value]]) -> np.ndarray:
        return np.array([[_number(each, config[each.name]) for each in self.common] for config in configs])


def places(ranked: int, condemned: int) -> tuple[list[float], float]:
    """The places of the ranked trials of one sweep, the best first, and the one that all condemned behind them share:
    the means of the parts into which all trials divide 0 … 1."""
    count = max(ranked + condemned, 1)
    return [1.0 - (at + 0.5) / count for at in range(ranked)], condemned / 2 / count


def next_of(foretold: Sequence[float], turn: int) -> int:
    """Which of those left, in the order of drawing, is next: by turns the best foretold and the first."""
    return max(range(len(foretold)), key=foretold.__getitem__) if turn % 2 == 0 else 0


def in_turns(foretold: Sequence[float]) -> Iterator[int]:
    """All positions in the order in which they are taken."""
    left = list(range(len(foretold)))
    for turn in range(len(foretold)):
        yield left.pop(next_of([foretold[at] for at in left], turn))


def _number(parameter: ParameterRecord, value: Value) -> float:
    """As a tree compares it: the position of a choice, −1 for another value; NaN for a name beside numbers."""
    if parameter.kind == "choice":
        return float(parameter.choices.index(value)) if value in parameter.choices else -1.0
    return float(value) if isinstance(value, int | float) else math.nan
