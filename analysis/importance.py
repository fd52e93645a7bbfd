"""Which hyperparameters matter: PED-ANOVA over the trials of a sweep, at one epoch that enough of them reached."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from analysis.sweep import Sweep

FEWEST_TRIALS = 16
MOST_TRIALS = 2000  # more tell nothing new and take seconds
BEST_SHARE = 0.2  # of the trials: the ones that are compared with all


@dataclass(frozen=True)
class Importance:
    """Shares of the importance of each hyperparameter for `metric`, the largest first; they sum to 1.

    `epoch` is the last one that `trials` trials reached: all are compared at the same budget, whatever stopped
    some of them later; of more than `MOST_TRIALS`, every k-th is taken. Empty `shares`: the metric does not tell the
    best fifth from the rest.
    """

    metric: str
    epoch: int
    trials: int
    shares: dict[str, float]


def importances(sweep: Sweep) -> list[Importance]:
    """The importances for the first metric of a search and for what tells collapse from use; [] for an ablation."""
    if sweep.record.config.ablation:
        return []
    metrics = dict.fromkeys((sweep.objectives[0].metric, "health/au", "health/codebook_usage"))
    return [found for metric in metrics if (found := importance(sweep, metric)) is not None]


def importance(sweep: Sweep, metric: str) -> Importance | None:
    """The importances for a high (or low) `metric`; None with fewer than `FEWEST_TRIALS` trials to compare.

    PED-ANOVA (Watanabe, Bansal, Hutter 2023): how differently the best fifth of the trials is spread over a
    hyperparameter, compared with all of them.
    """
    values = _at_common_epoch(sweep, metric)
    if values is None:
        return None
    epoch, scores = values
    sign = next((objective.sign for objective in sweep.objectives if objective.metric == metric), 1.0)
    shares = _ped_anova(sweep, {trial: sign * score for trial, score in scores.items()})
    return Importance(metric, epoch, len(scores), shares)


def _at_common_epoch(sweep: Sweep, metric: str) -> tuple[int, dict[int, float]] | None:
    """The last epoch with a finite metric of at least `FEWEST_TRIALS` trials and half of those of the first."""
    curves = sweep.curve(metric)
    grid = np.full((len(curves), sweep.epochs), np.nan)
    for row, curve in enumerate(curves.values()):
        grid[row, curve[:, 0].astype(int) - 1] = curve[:, 1]
    reached = np.isfinite(grid).sum(axis=0)
    enough = np.flatnonzero(reached >= max(FEWEST_TRIALS, reached[0] // 2))
    if not len(enough):
        return None
    values = grid[:, enough[-1]]
    found = [(trial, float(value)) for trial, value in zip(curves, values, strict=True) if np.isfinite(value)]
    return int(enough[-1]) + 1, dict(found[:: math.ceil(len(found) / MOST_TRIALS)])


def _ped_anova(sweep: Sweep, scores: Mapping[int, float]) -> dict[str, float]:
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    ordered = sorted(scores.values(), reverse=True)
    if ordered[math.ceil(BEST_SHARE * len(ordered)) - 1] == ordered[-1]:
        return {}
    configs = {trial.number: trial.record.config for trial in sweep.trials}
    distributions = _distributions(sweep, [configs[trial] for trial in scores])
    if not distributions:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(direction="maximize")
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params={name: configs[trial][name] for name in distributions},
                    distributions=distributions,
                    value=score,
                )
                for trial, score in scores.items()
            ]
        )
        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _distributions(sweep: Sweep, configs: list[dict[str, Any]]) -> dict[str, Any]:
    """Optuna's distribution of every hyperparameter that varies, wide enough for all of `configs`."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    found: dict[str, Any] = {}
    for name, parameter in sweep.parameters.items():
        values = [config.get(name) for config in configs]
        if len({repr(value) for value in values}) < 2:
            continue
        ends = [float(value) for value in (parameter.low, parameter.high, *values) if _is_number(value)]
        if parameter.kind in ("float", "log", "int") and len(ends) == len(values) + 2:
            log = parameter.kind == "log" and min(ends) > 0
            found[name] = FloatDistribution(min(ends), max(ends), log=log)
        else:
            found[name] = CategoricalDistribution(tuple(dict.fromkeys(values)))
    return found


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
