"""Two sweeps of one model side by side."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis import tables
from analysis.sweep import Sweep, SweepError, Trial
from search_spaces.space import show
from sweeps import paired
from sweeps.records.outcomes import Status

_SETTINGS = ("epochs", "trials", "seed", "search", "scheduler", "metric", "mode", "data", "subset", "set", "space")


@dataclass(frozen=True)
class Side:
    """What one of the two sweeps has come to; scores by the first metric of the sweep that is reported."""

    sweep: Sweep
    best: Trial | None
    score: float
    median: float  # of the healthy finished trials
    healthy: int
    finished: int
    epochs: int


@dataclass(frozen=True)
class Comparison:
    """Two sweeps. `same_data`: their scores can be compared. `shared`: trials of the same configuration and seed
    that finished in both, with their mean difference (first − second) and its 95 % interval (Student's t), NaN of
    too few.
    """

    sides: tuple[Side, Side]
    same_data: bool
    settings: list[tuple[str, str, str]]  # that differ: name, here, there
    shared: int
    difference: float
    interval: tuple[float, float]


def compare(sweep: Sweep, other: Sweep) -> Comparison:
    """`sweep` beside `other`.

    Raises:
        SweepError: they are of different models.
    """
    require_same_model(sweep, other)
    metric = sweep.objectives[0].metric
    here, there = _by_configuration(sweep), _by_configuration(other)
    pairs = [(here[key].metric(metric), there[key].metric(metric)) for key in sorted(here.keys() & there)]
    differences = np.array([a - b for a, b in pairs if math.isfinite(a) and math.isfinite(b)])
    return Comparison(
        (_side(sweep, metric), _side(other, metric)),
        sweep.record.data.fingerprint == other.record.data.fingerprint,
        _differing(sweep, other),
        len(differences),
        float(differences.mean()) if len(differences) else math.nan,
        paired.mean_interval(differences, paired.ERROR),
    )


def require_same_model(sweep: Sweep, other: Sweep) -> None:
    """Refuse two sweeps that share no hyperparameters.

    Raises:
        SweepError: they are of different models.
    """
    if sweep.model != other.model:
        raise SweepError(f"{sweep.name} is of {sweep.model}, {other.name} of {other.model}: nothing to compare")


def _side(sweep: Sweep, metric: str) -> Side:
    healthy = [trial for trial in sweep.trials if trial.healthy]
    scores = [trial.metric(metric) for trial in healthy if math.isfinite(trial.metric(metric))]
    best = tables.best_trial(sweep)
    return Side(
        sweep,
        best,
        best.metric(metric) if best else math.nan,
        float(np.median(scores)) if scores else math.nan,
        len(healthy),
        sum(trial.record.status is Status.FINISHED for trial in sweep.trials),
        tables.effort(sweep).spent,
    )


def _by_configuration(sweep: Sweep) -> dict[str, Trial]:
    return {
        json.dumps([trial.record.config, trial.record.seed], sort_keys=True): trial
        for trial in sweep.trials
        if trial.record.status is Status.FINISHED
    }


def _differing(sweep: Sweep, other: Sweep) -> list[tuple[str, str, str]]:
    rows = [(name, getattr(sweep.record.config, name), getattr(other.record.config, name)) for name in _SETTINGS]
    codes = sweep.record.code, other.record.code
    rows += [(f"code, {key}", getattr(codes[0], key), getattr(codes[1], key)) for key in ("commit", "fingerprint")]
    here, there = sweep.record.packages, other.record.packages
    rows += [(name, here.get(name), there.get(name)) for name in sorted(here)]
    return [(name, _text(here), _text(there)) for name, here, there in rows if here != there]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else show(value)
