"""The health verdict after every epoch of recorded curves, under the recorded thresholds or others.

Judged by `trainables.health.judge` itself, where something looks wrong and only when asked for: nearly every epoch
of a sweep is plainly healthy, and of a sick trial few epochs are looked at before it is stopped.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.replay.curves import Curves
from trainables.health import Health, HealthConfig, Verdict, judge, looks_sick
from trainables.metrics import HYPERPARAMETERS

HEALTHY = Health(Verdict.HEALTHY)
_TRIALS_IN_MEMORY = 256


class JudgedVerdicts:
    """`verdicts[row]` is the verdict after that epoch of `curves` under `config`."""

    def __init__(self, curves: Curves, config: HealthConfig) -> None:
        self._curves, self._config = curves, config
        self._known = _recorded(curves) if _is_recorded(curves, config) else _plainly_healthy(curves, config)
        self._rows = lru_cache(_TRIALS_IN_MEMORY)(curves.rows)

    def __getitem__(self, at: int) -> Health:
        health = self._known[at]
        if health is None:
            trial = int(np.searchsorted(self._curves.first, at, side="right")) - 1
            rows = self._rows(trial)[: at - self._curves.first[trial] + 1]
            health = self._known[at] = judge(rows, self._curves.epochs, self._config)
        return health


def _is_recorded(curves: Curves, config: HealthConfig) -> bool:
    """True if `config` condemns whom the recording condemned; who is a control is no matter of the verdict."""
    return "verdict" in curves.table.column_names and config == replace(
        curves.health, control_share=config.control_share
    )


def _recorded(curves: Curves) -> list[Health | None]:
    known: dict[tuple[str | None, str | None], Health | None] = {(None, None): None}
    pairs = list(zip(curves.columns["verdict"], curves.columns["verdict_detail"], strict=True))
    for verdict, detail in set(pairs) - set(known):
        known[verdict, detail] = Health(Verdict(verdict), detail or "")
    return [known[pair] for pair in pairs]


def _plainly_healthy(curves: Curves, config: HealthConfig) -> list[Health | None]:
    """HEALTHY where no threshold of `config` is crossed, None where `judge` has to look."""
    return [None if look else HEALTHY for look in _suspicious(curves.table, config).tolist()]


def _suspicious(table: pa.Table, config: HealthConfig) -> np.ndarray:
    """True wherever the verdict may be other than HEALTHY: (R,). A comparison with an absent metric is False."""
    column = {name: table[name].to_numpy() for name in table.column_names if pa.types.is_floating(table[name].type)}
    found = looks_sick(lambda name: column.get(name, np.float64(np.nan)), config)
    for name, values in column.items():
        if not name.startswith(HYPERPARAMETERS):
            found = found | ~np.isfinite(values) & pc.is_valid(table[name]).to_numpy()
    return np.broadcast_to(found, table.num_rows)
