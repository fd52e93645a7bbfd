"""The tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.space import Parameter, SearchSpace, Value, applies
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from sweeps.searchers.base import Search
from sweeps.searchers.random import RandomSearch
from trainables.requirements import Requirement

STARTUP_TRIALS = 8  # drawn at random before TPE models anything


class TpeSearch(Search):
    """Multivariate TPE with constant liar (Optuna); the first trials are the draws of `RandomSearch`.

    Several metrics make it a multi-objective search.
    """

    name = "tpe"

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        metrics: list[str],
        modes: list[str],
        *,
        first: int | None = None,
        requirements: Sequence[Requirement] = (),
    ) -> None:
        super().__init__(space, seed, metrics, modes, first=first, requirements=requirements)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.startup = RandomSearch(space, seed, metrics, modes)
        self.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True
        )
        self.study = optuna.create_study(
            sampler=self.sampler, directions=["maximize" if mode == "max" else "minimize" for mode in modes]
        )
        self._asked: dict[int, Any] = {}

    @property
    def ahead(self) -> float:
        """The last of the random draws."""
        return self.first - 1 + STARTUP_TRIALS

    def suggest(self, trial: int) -> dict[str, Value]:
        """A random draw for the first trials, then what TPE finds most promising."""
        if trial <= self.ahead:
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
        sick = record.status is Status.STOPPED and record.reason.is_sickness
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
            for requirement in self.requirements:
                trial.set_constraint(str(requirement), requirement.violation(record.metrics))
        self.study.tell(trial, values if state is optuna.trial.TrialState.COMPLETE else None, state=state)

    def _ask(self, index: int, config: Mapping[str, Any] | None = None) -> dict[str, Value]:
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


def _suggest(trial: Any, parameter: Parameter) -> Any:
    if parameter.kind == "choice":
        return trial.suggest_categorical(parameter.name, parameter.choices)
    low, high = parameter.bounds
    if parameter.kind == "int":
        return trial.suggest_int(parameter.name, int(low), int(high))
    return trial.suggest_float(parameter.name, low, high, log=parameter.kind == "log")
