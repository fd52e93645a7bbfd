"""Learning curves written down by hand."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from analysis.replay.curves import Curves

SCORE = "val/elbo_gain"


def curves_of(trials: list[list[dict]], metric: str = SCORE, mode: str = "max", epochs: int | None = None) -> Curves:
    """Trials 1, 2, … with those rows; an epoch takes one second and is healthy unless its row says otherwise."""
    rows = [
        {"trial": number, "epoch": epoch, "seconds": float(epoch), "verdict": "HEALTHY", "verdict_detail": ""} | row
        for number, trial in enumerate(trials, start=1)
        for epoch, row in enumerate(trial, start=1)
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    return Curves(table, epochs or max(map(len, trials)), metric, mode)


@pytest.fixture
def scored() -> Callable[..., Curves]:
    """Makes curves of scores: one list a trial."""

    def make(*trials: list[float], **settings) -> Curves:
        return curves_of([[{SCORE: float(score)} for score in trial] for trial in trials], **settings)

    return make
