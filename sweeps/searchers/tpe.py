"""The tree-structured Parzen estimator (Bergstra et al. 2011), by Optuna.

Optuna cannot take back what it was told of a trial, and a trial that waits has a value that may change. So every
suggestion asks a fresh study, which is told how all trials stand by then; its sampler is seeded by the sweep and the
trial. A sweep that was interrupted goes on with the suggestions that it would have had.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from search_spaces.space import Parameter, Value, applies
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from sweeps.searchers.base import Search
from sweeps.searchers.random import RandomSearch

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 8  # drawn at random before TPE models anything


class TpeSearch(Search):
    """Multivariate TPE with constant liar (Optuna); it begins with the trials of earlier sweeps, or else with
    the draws of `RandomSearch`.

    Several metrics make it a multi-objective search.
    """

    name = "tpe"

    def _set_up(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self.startup = RandomSearch(self.space, self.seed, self.metrics, self.modes)
        self._directions: list[Literal["maximize", "minimize"]] = [
            "maximize" if mode == "max" else "minimize" for mode in self.modes
        ]
        known = {parameter.name for parameter in self.space.parameters}
        shared = [each for each in self.earlier if known <= set(each.config) and self.space.contains(each.config)]
        self._known: dict[
            int, optuna.trial.FrozenTrial
        ] = {  # by trial, as it stands; the earlier have numbers below 1
            -at: self._frozen(record) for at, record in enumerate(shared)
        }

    @property
    def ahead(self) -> float:
        """The last of the random draws, which earlier trials make up for."""
        return self.first - 1 + max(0, STARTUP_TRIALS - sum(trial < 1 for trial in self._known))

    def study(self, trial: int = 0) -> optuna.Study:
        """A fresh study that knows how all trials stand, to be asked for `trial`."""
        import optuna

        seed = int(np.random.SeedSequence([self.seed, trial]).generate_state(1)[0])
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=0, multivariate=True, group=True, constant_liar=True
        )
        study = optuna.create_study(sampler=sampler, directions=self._directions)
        study.add_trials([self._known[number] for number in sorted(self._known)])
        return study

    def suggest(self, trial: int) -> dict[str, Value]:
        """A random draw for the first trials, then what TPE finds most promising."""
        config = self.startup.suggest(trial) if trial <= self.ahead else self._ask(trial)
        self._known[trial] = self._frozen(TrialRecord(trial, config, "search"))
        return config

    def tell(self, record: TrialRecord) -> None:
        """Hear how a trial stands. One that the space does not contain (a documented one, fixed elsewhere) is left
        out."""
        if self.space.contains(record.config):
            self._known[record.trial] = self._frozen(record)

    def _ask(self, trial: int) -> dict[str, Value]:
        asked, values = self.study(trial).ask(), self.space.documented()
        for parameter in self.space.searched:
            if applies(parameter, values):
                values[parameter.name] = _suggest(asked, parameter)
        return values

    def _frozen(self, record: TrialRecord) -> optuna.trial.FrozenTrial:
        """A trial as Optuna has it. One that was stopped or waits is pruned: its value is that of a part of the
        budget."""
        import optuna

        states = optuna.trial.TrialState
        values = [record.metrics.get(metric, math.nan) for metric in self.metrics]
        known = all(map(math.isfinite, values))
        if record.status is Status.FAILED:
            state = states.FAIL
        elif record.status is Status.FINISHED and known:
            state = states.COMPLETE
        elif record.status.ended or record.status is Status.PAUSED:
            state = states.PRUNED
        else:
            state = states.RUNNING
        searched = [parameter for parameter in self.space.searched if applies(parameter, record.config)]
        return optuna.trial.create_trial(
            state=state,
            values=values if state is states.COMPLETE else None,
            params={parameter.name: record.config[parameter.name] for parameter in searched},
            distributions={parameter.name: _distribution(parameter) for parameter in searched},
            intermediate_values={record.epoch: values[0]}
            if state is states.PRUNED and len(values) == 1 and known
            else {},
            constraints=self._constraints(record) if state in (states.COMPLETE, states.PRUNED) else {},
        )

    def _constraints(self, record: TrialRecord) -> dict[str, float]:
        """Violated where positive: a sick trial, and what is required."""
        sick = record.status is not Status.FINISHED and record.reason.is_sickness
        required = {str(requirement): requirement.violation(record.metrics) for requirement in self.requirements}
        return {"health": 1.0 if sick else -1.0} | required


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.kind == "choice":
        return CategoricalDistribution(parameter.choices)
    low, high = parameter.bounds
    if parameter.kind == "int":
        return IntDistribution(int(low), int(high))
    return FloatDistribution(low, high, log=parameter.kind == "log")


def _suggest(trial: optuna.Trial, parameter: Parameter) -> Any:
    if parameter.kind == "choice":
        return trial.suggest_categorical(parameter.name, parameter.choices)
    low, high = parameter.bounds
    if parameter.kind == "int":
        return trial.suggest_int(parameter.name, int(low), int(high))
    return trial.suggest_float(parameter.name, low, high, log=parameter.kind == "log")
