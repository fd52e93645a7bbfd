"""Which configuration to try next: TPE (Optuna), random, or grid. Knows no Ray.

Every search is told the truth about how a trial ended: a trial stopped at a rung is *pruned* (its value is that of
a part of the budget, never learnt as a final one), a sick one violates a constraint, a failed one is no
observation at all.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from search_spaces.space import Parameter, SearchSpace, applies
from sweeps.records.journal import Status, TrialRecord
from sweeps.schedulers.base import RUNG

SEARCHES = ("tpe", "random", "grid")
ABLATION = "ablation"  # nothing is searched: the trials are given
STARTUP_TRIALS = 8  # drawn at random before TPE models anything
GRID_LEVELS = 3  # of a continuous range


def first_searched(space: SearchSpace) -> int:
    """The first trial that is searched: before it come the documented configuration, and the "before" if another."""
    return 3 if space.has_baseline else 2


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
    if search in ("random", ABLATION):
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
    """Every combination of the choices and of three levels of each range, once, in an order fixed by the seed."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.names = [parameter.name for parameter in space.parameters]
        self.levels = [grid_levels(parameter) for parameter in space.parameters]
        self.first = first_searched(space)
        self.cells = math.prod(len(levels) for levels in self.levels)
        rng = np.random.default_rng(seed)
        self.offset = int(rng.integers(self.cells))
        self.stride = next(
            stride
            for stride in iter(lambda: int(rng.integers(1, self.cells + 1)), 0)
            if math.gcd(stride, self.cells) == 1
        )

    def suggest(self, trial: int) -> dict[str, Any] | None:
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

    def tell(self, record: TrialRecord) -> None:
        """Nothing to learn."""


class TpeSearch:
    """Multivariate TPE with constant liar (Optuna); the first trials are the draws of `RandomSearch`.

    Several metrics make it a multi-objective search.
    """

    def __init__(self, space: SearchSpace, seed: int, metrics: list[str], modes: list[str]) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.space, self.seed, self.metrics = space, seed, metrics
        self.startup = RandomSearch(space, seed)
        self.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True
        )
        self.study = optuna.create_study(
            sampler=self.sampler, directions=["maximize" if mode == "max" else "minimize" for mode in modes]
        )
        self._asked: dict[int, Any] = {}

    def suggest(self, trial: int) -> dict[str, Any]:
        """A random draw for the first trials, then what TPE finds most promising."""
        if trial < first_searched(self.space) + STARTUP_TRIALS:
            return self._ask(trial, self.startup.suggest(trial))
        return self._ask(trial)

    def tell(self, record: TrialRecord) -> None:
        """Learn from a trial. One that the space does not contain (a documented one, fixed elsewhere) is left out."""
        import optuna

        if record.trial not in self._asked:
            if not self.space.contains(record.config):
                return
            self._ask(record.trial, record.config)
        if not record.status.ended:
            return
        trial = self._asked[record.trial]
        values = [record.metrics.get(metric, math.nan) for metric in self.metrics]
        sick = record.status is Status.STOPPED and record.reason != RUNG
        if record.status is Status.FAILED:
            state = optuna.trial.TrialState.FAIL
        elif sick or record.status is Status.STOPPED or not all(map(math.isfinite, values)):
            state = optuna.trial.TrialState.PRUNED
            if len(values) == 1 and math.isfinite(values[0]):
                trial.report(values[0], step=record.epoch)
        else:
            state = optuna.trial.TrialState.COMPLETE
        if state is not optuna.trial.TrialState.FAIL:
            trial.set_constraint("health", 1.0 if sick else -1.0)
        self.study.tell(trial, values if state is optuna.trial.TrialState.COMPLETE else None, state=state)

    def _ask(self, index: int, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask Optuna for trial `index`, with the values of `config` where given."""
        if config is not None:
            searched = {
                parameter.name: config[parameter.name]
                for parameter in self.space.searched
                if applies(parameter, config)
            }
            self.study.enqueue_trial(searched)
        trial = self._asked[index] = self.study.ask()
        values = self.space.documented()
        for parameter in self.space.searched:
            if applies(parameter, values):
                values[parameter.name] = _suggest(trial, parameter)
        return values


def grid_levels(parameter: Parameter) -> list[Any]:
    """The values of a parameter on the grid."""
    if parameter.kind == "fixed":
        return [parameter.default]
    if parameter.kind == "choice":
        return list(parameter.choices)
    spaced = np.geomspace if parameter.kind == "log" else np.linspace
    levels = spaced(*parameter.bounds, GRID_LEVELS)
    return sorted({round(level) for level in levels}) if parameter.kind == "int" else [float(x) for x in levels]


def _suggest(trial: Any, parameter: Parameter) -> Any:
    if parameter.kind == "choice":
        return trial.suggest_categorical(parameter.name, parameter.choices)
    low, high = parameter.bounds
    if parameter.kind == "int":
        return trial.suggest_int(parameter.name, int(low), int(high))
    return trial.suggest_float(parameter.name, low, high, log=parameter.kind == "log")
