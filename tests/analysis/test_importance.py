"""Importance of hyperparameters whose effect is known."""

import numpy as np
import pytest

from analysis import importance as module
from analysis.importance import FEWEST_TRIALS, importance

METRIC = "val/elbo_gain"


def fill(writer, trials, score, epochs=3):
    rng = np.random.default_rng(0)
    for _ in range(trials):
        config = {
            "kld_loss_scale": float(np.exp(rng.uniform(np.log(1e-4), np.log(5e-3)))),
            "learning_rate": float(np.exp(rng.uniform(np.log(5e-5), np.log(1e-3)))),
            "normalize": str(rng.choice(["channel_wise", "learned"])),
        }
        writer.trial([score(config)] * epochs, config=config, au=5.0)
    return writer.load()


def test_the_one_that_decides_has_nearly_all_of_it(writer):
    found = importance(fill(writer, 60, lambda config: -np.log(config["kld_loss_scale"])), METRIC)
    assert next(iter(found.shares)) == "kld_loss_scale"
    assert found.shares["kld_loss_scale"] > 0.7
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert set(found.shares) == {"kld_loss_scale", "learning_rate", "normalize"}  # latent_dim never varies


def test_choices_count_too(writer):
    noise = np.random.default_rng(1)
    sweep = fill(writer, 200, lambda config: float(config["normalize"] == "learned") + 1e-3 * noise.random())
    assert next(iter(importance(sweep, METRIC).shares)) == "normalize"


def test_trials_are_compared_at_an_epoch_that_enough_of_them_reached(writer):
    fill(writer, 20, lambda config: config["learning_rate"], epochs=2)
    sweep = fill(writer, FEWEST_TRIALS, lambda config: config["learning_rate"], epochs=4)
    found = importance(sweep, METRIC)
    assert (found.epoch, found.trials) == (2, 20 + FEWEST_TRIALS)
    fill(writer, 30, lambda config: config["learning_rate"], epochs=4)
    assert importance(writer.load(), METRIC).epoch == 4


def test_too_few_trials_and_a_metric_that_never_varies(writer):
    assert importance(fill(writer, FEWEST_TRIALS - 1, lambda config: config["learning_rate"]), METRIC) is None
    sweep = fill(writer, 1, lambda config: config["learning_rate"])
    assert importance(sweep, METRIC).trials == FEWEST_TRIALS
    assert importance(sweep, "health/au").shares == {}
    assert importance(sweep, "health/absent") is None


def test_a_best_fifth_that_ties_with_the_rest_tells_nothing(writer):
    found = importance(fill(writer, 20, lambda config: float(config["learning_rate"] > 8e-4)), METRIC)
    assert found.shares == {}


def test_of_very_many_trials_every_kth_is_taken(writer, monkeypatch):
    monkeypatch.setattr(module, "MOST_TRIALS", 16)
    assert importance(fill(writer, 40, lambda config: config["learning_rate"]), METRIC).trials == 14
