"""The best epoch: whose weights are kept, and whose numbers are the trial's."""

import copy
import math

import pytest
import torch

from trainables import checkpoint, export
from trainables.best import BestEpoch
from trainables.requirements import Requirement


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


def heard(best, values, units):
    rows = enumerate(zip(values, units, strict=True), 1)
    told = {"verdict": "HEALTHY"}
    return [best.consider({"epoch": n, "val/elbo_gain": v, "health/au": au, **told}, None) for n, (v, au) in rows]


def test_an_epoch_that_meets_what_is_required_is_better_than_any_that_does_not():
    best = BestEpoch("val/elbo_gain", "max", [Requirement.parse("health/au>=4")])
    assert heard(best, [0.9, 0.5, 0.2, 0.8, 0.3], [3, 2, 4, 3, 5]) == [1, 1, 3, 3, 5]


def test_what_is_required_is_remembered_over_a_resume():
    requirements = [Requirement.parse("health/au>=4")]
    before, again = (BestEpoch("val/elbo_gain", "max", requirements) for _ in range(2))
    heard(before, [0.2], [4])
    again.load_state_dict(before.state_dict() | {"epoch": 1})
    row = {"epoch": 2, "val/elbo_gain": 0.9, "health/au": 3, "verdict": "HEALTHY"}
    assert again.consider(row, None) == 1
