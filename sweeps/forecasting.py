"""What the forecasts of a sweep rest on: theory, the recorded sweeps, and the user's own sweeps of the model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sweeps.config import SweepConfig
from sweeps.records import journal, record
from sweeps.records.folder import sweeps_in
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Reason, Status
from sweeps.records.record import RecordError
from trainables import collapse, definition, epoch_log
from trainables.collapse import FEATURES, CollapseModel, fit, ignores_z
from trainables.forecast import Budget, Forecaster
from trainables.health import Verdict, is_collapse

_LOG = logging.getLogger(__name__)
LEAST_OWN_TRIALS = 10  # before they are asked


class NoForecast:
    """Of a loop of the user's own: no loss is known."""

    collapse: CollapseModel | None = None

    def forecast(self, config: Mapping[str, Any]) -> None:
        """None."""


AnyForecaster = Forecaster | NoForecast


def forecaster(config: SweepConfig, dataset: Any) -> AnyForecaster:
    """The forecaster of a sweep on `dataset`; it forecasts nothing for a loop of the user's own."""
    if config.own_loop:
        return NoForecast()
    budget = Budget(len(dataset.train), config.epochs)
    return Forecaster.of(definition.load(config.reference), dataset, budget, collapse_model(config))


def collapse_model(config: SweepConfig) -> CollapseModel | None:
    """Where the probability of collapse comes from; None where too few trials of the model are known.

    The recorded sweeps of the model, the trials that ended in other sweeps of it in the storage, or both, with the
    recorded as the prior.
    """
    shipped = collapse.shipped(config.model)
    own = [
        pair
        for folder in sweeps_in(Path(config.storage))
        if folder.path != config.folder
        for pair in _trials(folder.path, config.model)
    ]
    if len(own) < LEAST_OWN_TRIALS:
        return shipped
    seen, collapsed = (np.array(values, float) for values in zip(*own, strict=True))
    return shipped.updated(seen, collapsed) if shipped else replace(fit(seen, collapsed), own=len(own))


def outcomes(folder: Path) -> dict[int, bool]:
    """Whether each trial of a sweep ended with z ignored; those whose end is not known are left out."""
    last = _last_epochs(folder)
    found = {number: _outcome(trial, last.get(number, {})) for number, trial in journal.read(folder).trials.items()}
    return {number: outcome for number, outcome in found.items() if outcome is not None}


def _trials(folder: Path, model: str) -> Iterator[tuple[list[float], bool]]:
    """Features and outcome of every trial of a sweep that has both."""
    try:
        if record.read(folder).model != model:
            return
        ends, trials = outcomes(folder), journal.read(folder).trials
    except (RecordError, OSError, pa.ArrowInvalid) as error:
        _LOG.warning(
            "%s cannot be read and teaches the forecast nothing: %s: %s", folder, type(error).__name__, error
        )
        return
    for number, collapsed in ends.items():
        seen = trials[number].forecast.get("features") or {}
        if set(seen) == set(FEATURES):
            yield [seen[name] for name in FEATURES], collapsed


def _outcome(trial: TrialRecord, last: dict[str, Any]) -> bool | None:
    if trial.status is Status.STOPPED and is_collapse(trial.reason):
        return True
    if trial.reason.is_outdone or trial.reason is Reason.BY_HAND:  # or of the stopped the collapsed alone would count
        return False if last.get("verdict") == Verdict.HEALTHY else None
    if trial.status is not Status.FINISHED or last.get("health/z_gain") is None:
        return None
    return ignores_z(last["health/z_gain"])


def _last_epochs(folder: Path) -> dict[int, dict[str, Any]]:
    """The last epoch of every trial: verdict and health/z_gain, where they were logged."""
    log = epoch_log.dataset(folder)
    wanted = [name for name in ("trial", "epoch", "verdict", "health/z_gain") if name in log.schema.names]
    if "epoch" not in wanted:
        return {}
    table = log.to_table(columns=wanted)
    order = pc.sort_indices(table, [("trial", "ascending"), ("epoch", "ascending")])
    return {row["trial"]: row for row in table.take(order).to_pylist()}
