"""What earlier trials foretell, and the order that follows from it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search_spaces.space import Parameter
from sweeps.memory import EarlierTrial, Memory, in_turns, next_of, places
from sweeps.records.journal import TrialRecord
from sweeps.records.record import ParameterRecord

PARAMETERS = tuple(
    map(
        ParameterRecord.of,
        (
            Parameter("rate", "log", 1e-3, low=1e-6, high=1.0),
            Parameter("clip", "choice", None, choices=(None, 1.0)),
            Parameter("noise", "float", 0.5, low=0.0, high=1.0),
        ),
    )
)


def config(rng: np.random.Generator, clip: float | None = None) -> dict[str, float | None]:
    return {"rate": float(10.0 ** rng.uniform(-6, 0)), "clip": clip, "noise": float(rng.random())}


def earlier(configs: list[dict[str, float | None]]) -> Memory:
    """Of trials that are the better the larger their rate; the best are those without clipping."""
    key = [(each.get("clip") is None, each["rate"]) for each in configs]
    order = sorted(range(len(configs)), key=key.__getitem__, reverse=True)
    above, _ = places(len(configs), 0)
    trials = [
        EarlierTrial(TrialRecord(number, configs[at], "search"), place, 9)
        for number, (at, place) in enumerate(zip(order, above, strict=True), 1)
    ]
    return Memory(PARAMETERS, tuple(trials), 9)


def test_it_foretells_the_order_of_configurations_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(0)
    memory = earlier([config(rng, clip) for clip in (None, 1.0) * 20])
    seen = [config(rng, clip) for clip in (None, 1.0) * 20]
    foretold = memory.foretold(seen)
    truth = [(each["clip"] is None, each["rate"]) for each in seen]
    ranks = np.argsort(sorted(range(40), key=truth.__getitem__))
    assert np.corrcoef(np.argsort(np.argsort(foretold)), ranks)[0, 1] > 0.9
    assert min(foretold[::2]) > max(foretold[1::2])
    assert all(0.0 <= place <= 1.0 for place in foretold)


def test_the_same_memory_foretells_the_same() -> None:
    configs = [config(np.random.default_rng(seed)) for seed in range(12)]
    assert earlier(configs).foretold(configs) == earlier(configs).foretold(configs)


def test_only_parameters_that_all_trials_have_count() -> None:
    rng = np.random.default_rng(0)
    with_all = [config(rng) for _ in range(12)]
    memory = earlier([{"rate": each["rate"], "noise": each["noise"]} for each in with_all])
    assert [each.name for each in memory.common] == ["rate", "noise"]
    assert memory.foretold([{**with_all[0], "clip": None}]) == memory.foretold([{**with_all[0], "clip": 1.0}])


def test_scores_are_comparable_at_the_same_budget_alone() -> None:
    one, other = (EarlierTrial(TrialRecord(trial, {}, "search"), 0.5, epochs) for trial, epochs in ((1, 9), (2, 18)))
    assert Memory(PARAMETERS, (one, other), 9).comparable == [one.record]


@pytest.mark.parametrize(("ranked", "condemned"), [(1, 0), (4, 0), (3, 5), (0, 4)])
def test_places_divide_the_unit_interval(ranked: int, condemned: int) -> None:
    above, behind = places(ranked, condemned)
    assert above == sorted(above, reverse=True)
    assert math.fsum([*above, *[behind] * condemned]) / (ranked + condemned) == pytest.approx(0.5)
    assert not above or not condemned or behind < above[-1]


def test_the_best_foretold_and_the_next_as_drawn_take_turns() -> None:
    assert list(in_turns([0.1, 0.2, 0.9, 0.3, 0.8])) == [2, 0, 4, 1, 3]
    assert [next_of([0.1, 0.9], turn) for turn in range(4)] == [1, 0, 1, 0]


def test_a_wrong_order_has_every_other_turn_at_most() -> None:
    """The n-th as drawn comes after 2n turns at the latest, whatever is foretold."""
    for seed in range(20):
        order = list(in_turns(np.random.default_rng(seed).random(15).tolist()))
        assert sorted(order) == list(range(15))
        assert all(order.index(drawn) <= 2 * drawn + 1 for drawn in range(15))
