"""What a metric is, and that each is described once."""

from __future__ import annotations

import pytest

import search_spaces
from trainables import metrics
from trainables.metrics import Direction

ROW = {
    "trial": 3,
    "epoch": 2,
    "seconds": 4.0,
    "verdict": "HEALTHY",
    "config/latent_dim": 8,
    "val/elbo_gain": 0.5,
    "health/au": None,
    "latent/kl": [0.1, 0.2],
    "schedule/kl_weight": 1.0,
    "time/epoch_seconds": 2.0,
}


def test_neither_hyperparameters_nor_what_names_the_epoch_are_metrics():
    assert {name for name in ROW if metrics.is_metric(name)} == {
        "val/elbo_gain",
        "health/au",
        "schedule/kl_weight",
        "time/epoch_seconds",
    }


def test_what_a_repetition_must_reproduce_has_no_times():
    assert {name for name in ROW if metrics.is_measured(name)} == {"val/elbo_gain", "health/au"}


def test_a_row_as_its_worker_had_it():
    assert metrics.as_trained(ROW) == {
        name: ROW[name] for name in ROW if name not in ("trial", "config/latent_dim", "health/au")
    }


def test_each_is_described_once():
    assert len(metrics.BY_NAME) == len(metrics.METRICS)
    assert len({metric.label for metric in metrics.METRICS}) == len(metrics.METRICS)


@pytest.mark.parametrize("model", search_spaces.names())
def test_what_trials_are_ranked_by_is_described_and_better_the_same_way(model: str):
    space = search_spaces.load(model)
    assert metrics.BY_NAME[space.metric].direction is {"max": Direction.UP, "min": Direction.DOWN}[space.mode]
