"""The probability of being the best, against simulation."""

from __future__ import annotations

import numpy as np
import pytest

from analysis import posterior
from analysis.posterior import best_probabilities


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posterior, "DRAWS", 2000)


def simulated(count: int, seeds: int, spread: float, repeats: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and whether each configuration was the best, (repeats × count,) each.

    `spread`: of the true means, in standard errors of a mean.
    """
    rng = np.random.default_rng(count)
    told, best = [], []
    for _ in range(repeats):
        means = rng.normal(0, spread / np.sqrt(seeds), count)
        scores = means + rng.normal(0, 2, (seeds, 1)) + rng.normal(0, 1, (seeds, count))
        told.append(best_probabilities(scores))
        best.append(np.arange(count) == means.argmax())
    return np.concatenate(told), np.concatenate(best)


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize(("count", "seeds"), [(2, 3), (4, 3), (4, 5)])
def test_of_those_said_to_be_best_with_a_probability_so_many_are(count: int, seeds: int) -> None:
    told, best = simulated(count, seeds, spread=1.0)
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        found = (told >= low) & (told < high)
        error = np.sqrt(0.25 / found.sum())
        assert abs(told[found].mean() - best[found].mean()) < 0.04 + 2 * error


@pytest.mark.usefixtures("few_draws")
def test_where_the_means_lie_further_apart_it_errs_on_the_side_of_doubt() -> None:
    told, best = simulated(4, 5, spread=3.0)
    sure = told > 0.8
    assert best[sure].mean() >= told[sure].mean() - 0.02


@pytest.mark.usefixtures("few_draws")
def test_where_they_hardly_differ_it_is_bold() -> None:
    told, best = simulated(2, 3, spread=0.5, repeats=1500)
    sure = (told > 0.8) & (told < 0.9)
    assert told[sure].mean() == pytest.approx(0.85, abs=0.02)
    assert 0.6 < best[sure].mean() < 0.8


@pytest.mark.usefixtures("few_draws")
def test_of_equal_configurations_none_is_nearly_certain() -> None:
    told, _ = simulated(4, 5, spread=0.0)
    assert (told > 0.95).mean() < 0.002
    assert 0.2 < np.median(told) < 0.3


def test_a_clear_winner_is_one_whatever_the_seeds_do_to_all() -> None:
    rng = np.random.default_rng(0)
    scores = 5 * rng.normal(size=(5, 1)) + 0.1 * rng.normal(size=(5, 3)) + np.array([0.0, 3.0, 0.0])
    told = best_probabilities(scores)
    assert told.sum() == pytest.approx(1)
    assert told[1] > 0.99


def test_without_noise_the_highest_share_it() -> None:
    scores = np.arange(4.0)[:, None] + np.array([0.25, 0.0, 0.25])
    np.testing.assert_allclose(best_probabilities(scores), [0.5, 0.0, 0.5])


def test_the_same_scores_give_the_same_probabilities() -> None:
    scores = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_array_equal(best_probabilities(scores), best_probabilities(scores))
