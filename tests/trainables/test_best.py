"""The best epoch: whose weights are kept, and whose numbers are the trial's."""

import copy
import math

import pytest
import torch

from trainables import checkpoint, export
from trainables.best import BestEpoch


def told(one, best, value, verdict="HEALTHY"):
    """Train an epoch, and tell of it a score and a verdict of our own; the weights after it."""
    one.run_epoch()
    weights = copy.deepcopy(one.model.state_dict())
    return best.consider({"epoch": one.epoch, "val/elbo_gain": value, "verdict": verdict}, one), weights


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize(("mode", "values"), [("max", (0.1, 0.3, 0.2, 0.25)), ("min", (0.3, 0.1, 0.2, 0.15))])
def test_the_best_epoch_is_kept_exported_and_loaded(trainer, tmp_path, mode, values):
    one, best = trainer(), BestEpoch("val/elbo_gain", mode)
    epochs, weights = zip(*(told(one, best, value) for value in values), strict=True)
    assert epochs == (1, 2, 2, 2)
    checkpoint.save(tmp_path / "trial", one.state_dict() | best.state_dict())
    assert same(checkpoint.load(tmp_path / "trial")["model"], weights[3])  # training goes on from the last
    assert same(checkpoint.load_model(tmp_path / "trial").state_dict(), weights[1])
    export.export(tmp_path / "trial", tmp_path / "out", "card")
    assert same(export.load(tmp_path / "out").state_dict(), weights[1])


def test_a_sick_epoch_is_never_the_best_and_stands_for_itself(trainer, tmp_path):
    one, best = trainer(), BestEpoch("val/elbo_gain", "max")
    assert told(one, best, 0.9, "GRACE")[0] == 1
    assert told(one, best, 0.2)[0] == 2
    epoch, collapsed = told(one, best, 0.8, "COLLAPSED")
    assert epoch == 3
    checkpoint.save(tmp_path, one.state_dict() | best.state_dict())
    assert same(checkpoint.load_model(tmp_path).state_dict(), collapsed)  # numbers and weights of a sick end agree
    assert told(one, best, 0.1)[0] == 2  # it recovered, and was better before


def test_a_score_that_is_no_number_is_never_the_best(trainer):
    one, best = trainer(), BestEpoch("val/elbo_gain", "max")
    assert told(one, best, math.nan)[0] == 1
    assert told(one, best, -5.0)[0] == 2
    assert told(one, best, math.nan)[0] == 2


def test_a_resumed_trial_knows_its_best_epoch(trainer, tmp_path):
    one, best = trainer(), BestEpoch("val/elbo_gain", "max")
    kept = told(one, best, 0.5)[1]
    told(one, best, 0.4)
    checkpoint.save(tmp_path, one.state_dict() | best.state_dict())
    state = checkpoint.load(tmp_path)
    again, resumed = trainer(), BestEpoch("val/elbo_gain", "max")
    again.load_state_dict(state)
    resumed.load_state_dict(state)
    assert told(again, resumed, 0.45)[0] == 1
    with resumed.weights(again):
        assert (again.epoch, same(again.model.state_dict(), kept)) == (1, True)


def test_the_weights_are_lent_and_taken_back(trainer):
    one, best = trainer(), BestEpoch("val/elbo_gain", "max")
    kept = told(one, best, 0.5)[1]
    last = told(one, best, 0.4)[1]
    with best.weights(one):
        assert same(one.model.state_dict(), kept)
    assert (one.epoch, same(one.model.state_dict(), last)) == (2, True)
