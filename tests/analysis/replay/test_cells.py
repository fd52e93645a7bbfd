"""The default scheduler on the recorded trials, beside its peers; and how a cell is measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.replay.cells import SHARES, Pool, Replicate, mean_and_interval, pools, replicates
from sweeps.schedulers import DEFAULT, parse

RECORDED = Path(analysis.__file__).parent / "recorded"
PEERS = ("none", "median", "asha:grace=0.15", "asha-stopping", "asha-stopping:grace=0.15", "hyperband", "pasha")
REPLICATES = 10
COMPARED = [SHARES.index(share) for share in (0.25, 0.35, 0.5, 1.0)]


@pytest.fixture(scope="module")
def recorded() -> list[Pool]:
    return pools(RECORDED)


def found(recorded: list[Pool], scheduler: str, trials: int, slots: int) -> np.ndarray:
    """Regret at the shares that are compared, and the share of epochs that was spent: smaller is better."""

    def numbers(one: Replicate) -> list[float]:
        return [*(one.regret[at] for at in COMPARED), 1.0 - one.saved]

    make = parse(scheduler).make
    means = [np.mean([numbers(one) for one in replicates(pool, make, trials, slots, REPLICATES)], axis=0)
             for pool in recorded]  # fmt: skip
    return np.mean(means, axis=0)


@pytest.mark.parametrize(("trials", "slots"), [(12, 2), (12, 4), (36, 4), (36, 16), (60, 4)])
def test_no_peer_is_better_than_the_default_in_every_way(recorded: list[Pool], trials: int, slots: int) -> None:
    ours = found(recorded, DEFAULT, trials, slots)
    for peer in PEERS:
        theirs = found(recorded, peer, trials, slots)
        assert not ((theirs <= ours).all() and (theirs < ours).any()), (peer, theirs, ours)


def test_the_default_finds_the_best_where_there_are_trials_enough(recorded: list[Pool]) -> None:
    final = len(COMPARED) - 1
    ours, stopping = (found(recorded, name, 36, 4) for name in (DEFAULT, "asha-stopping"))
    assert ours[final] < 0.02 < stopping[final]
    assert ours[-1] < 0.6  # of the epochs


def test_a_pool_has_every_trial_of_a_model(recorded: list[Pool]) -> None:
    counts = {pool.model: len(pool) for pool in recorded}
    assert counts == {"conv_vae": 60, "imc_vae": 140, "vae3d": 100, "vae_dg": 60}


def test_to_stop_nothing_saves_nothing_and_finds_the_best(recorded: list[Pool]) -> None:
    for one in replicates(recorded[0], parse("none").make, 12, 4, 3):
        assert (one.regret[-1], one.hit, one.saved) == (0.0, True, 0.0)
        assert list(one.regret) == sorted(one.regret, reverse=True)


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(2.0, 1.0, 400)
    mean, low, high = mean_and_interval(values.tolist())
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


EARLY = [SHARES.index(share) for share in (0.25, 0.35, 0.5)]


def remembered(recorded: list[Pool], places) -> np.ndarray:
    """Regret of 36 trials on 4 slots at SHARES, where `places` of a pool are foretold."""
    make = parse(DEFAULT).make
    means = [np.mean([one.regret for one in replicates(pool, make, 36, 4, REPLICATES, places(pool))], axis=0)
             for pool in recorded]  # fmt: skip
    return np.mean(means, axis=0)


def test_a_memory_of_the_other_sweeps_finds_the_good_early_and_a_wrong_one_costs_little(recorded: list[Pool]) -> None:
    cold = remembered(recorded, lambda pool: None)
    warm = remembered(recorded, lambda pool: pool.foretold)
    backwards = remembered(recorded, lambda pool: [1.0 - place for place in pool.foretold])
    shuffled = remembered(recorded, lambda pool: np.random.default_rng(0).permutation(pool.foretold).tolist())
    early = SHARES.index(0.15)
    assert warm[early] < 0.75 * cold[early]
    for wrong in (backwards, shuffled):
        assert wrong[-1] <= cold[-1] + 0.02
        assert (wrong[EARLY] <= cold[EARLY] + 0.10).all(), (wrong, cold)
