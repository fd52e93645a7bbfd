"""Which seeds an ablation adds, played with made-up values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sweeps import paired
from sweeps.ablation import AUTO_LOOKS, CLAIMS, Ablation, Contrast, Variant
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from sweeps.seeds import SeedSchedule, evidence

VARIANTS = [Variant(name, {"a": place}) for place, name in enumerate("xyz")]
STEP = Contrast("steps", "x to y", "x", "y")
CLAIM = Contrast(CLAIMS, "x to z", "x", "z", "m", "up", "s")
FIRST = 7  # seed


class Player:
    """Runs what a schedule hands out; `value(variant, seed)` is a trial's score, None if it fails."""

    def __init__(
        self, comparisons: list[Contrast], value: Callable[[str, int], float | None], looks=AUTO_LOOKS
    ) -> None:
        self.ablation = Ablation(looks[-1], VARIANTS, comparisons, list(looks))
        self.value = value
        self.records: dict[int, TrialRecord] = {}
        self.schedule = self.fresh()

    def fresh(self) -> SeedSchedule:
        return SeedSchedule(self.ablation, FIRST, "score", self.measured)

    def measured(self, record: TrialRecord, metric: str) -> float:
        return record.metrics.get(metric, math.nan)

    def start(self) -> TrialRecord | None:
        found = self.schedule.next(self.records)
        if found is None:
            return None
        number = len(self.records) + 1
        record = self.records[number] = TrialRecord(number, found[1], found[0], found[2], status=Status.RUNNING)
        return record

    def end(self, record: TrialRecord) -> None:
        value = self.value(record.origin, record.seed - FIRST)
        record.status = Status.FAILED if value is None else Status.FINISHED
        record.metrics = {} if value is None else {"score": value, "m": value}

    def play(self) -> dict[str, int]:
        """To its end, three at a time in any order; the number of seeds of each variant."""
        rng, running = np.random.default_rng(0), []
        while True:
            while len(running) < 3 and (record := self.start()):
                running.append(record)
            if not running:
                break
            self.end(running.pop(rng.integers(len(running))))
        assert self.schedule.remaining(self.records) == self.schedule.to_start(self.records) == 0
        return {name: sum(each.origin == name for each in self.records.values()) for name in "xyz"}


def noise(effects: dict[str, float], seed: int = 0) -> Callable[[str, int], float]:
    drawn = np.random.default_rng(seed).normal(size=(3, AUTO_LOOKS[-1]))
    return lambda variant, number: effects.get(variant, 0.0) + drawn["xyz".index(variant), number]


def test_a_fixed_number_of_seeds_comes_in_whole_rounds():
    player = Player([STEP, CLAIM], noise({}), looks=(3,))
    assert player.play() == {"x": 3, "y": 3, "z": 3}
    assert [(each.origin, each.seed) for each in player.records.values()] == [
        (name, FIRST + number) for number in range(3) for name in "xyz"
    ]


def test_a_large_effect_is_settled_at_the_first_look_and_only_the_open_go_on():
    assert Player([STEP, CLAIM], noise({"z": 50.0})).play() == {"x": 20, "y": 20, "z": 5}
    assert Player([CLAIM], noise({"z": 50.0})).play() == {"x": 5, "y": 5, "z": 5}


def test_what_is_never_settled_takes_all_seeds_and_no_more():
    assert Player([CLAIM], noise({})).play() == {"x": 20, "y": 5, "z": 20}


@pytest.mark.parametrize("value", [None, 1.0])
def test_no_seeds_are_spent_where_more_would_not_help(value: float | None):
    """A variant that always fails, or one that never differs."""
    assert Player([CLAIM], lambda variant, number: value if variant == "z" else 1.0).play() == dict.fromkeys("xyz", 5)


def test_a_failed_trial_costs_its_pair_alone():
    drawn = noise({"z": 50.0})
    player = Player(
        [CLAIM], lambda variant, number: None if (variant, number) == ("z", 1) else drawn(variant, number)
    )
    assert player.play()["z"] == 5


def test_nothing_is_decided_before_all_have_ended():
    player = Player([CLAIM], noise({}))
    running = [player.start() for _ in range(15)]
    assert player.start() is None
    assert player.schedule.remaining(player.records) == 15
    for record in running[:-1]:
        player.end(record)
    assert player.start() is None
    assert (player.schedule.remaining(player.records), player.schedule.to_start(player.records)) == (1, 0)
    player.end(running[-1])
    assert player.schedule.to_start(player.records) == 6  # three more of x and of z
    record = player.start()
    assert (record.origin, record.seed) == ("x", FIRST + 5)


@pytest.mark.parametrize("seed", range(5))
def test_a_new_driver_comes_to_the_same_decisions(seed: int):
    """Whatever had ended or begun when the old one died, a schedule made anew hands out the same trials."""
    whole = Player([STEP, CLAIM], noise({"y": 1.5, "z": 2.5}, seed))
    whole.play()
    cut = Player([STEP, CLAIM], noise({"y": 1.5, "z": 2.5}, seed))
    while record := cut.start():
        cut.schedule = cut.fresh()
        cut.end(record)
        cut.schedule = cut.fresh()
    assert {(each.origin, each.seed) for each in cut.records.values()} == {
        (each.origin, each.seed) for each in whole.records.values()
    }


@pytest.mark.parametrize("seed", range(12))
def test_a_new_driver_agrees_at_any_moment(seed: int):
    """Trials end in any order: what a claim that is settled has run since never decides an earlier look anew."""
    rng, running = np.random.default_rng(seed), []
    claims = [CLAIM, replace(CLAIM, name="x to y", after="y"), replace(CLAIM, name="y to z", before="y")]
    player = Player(claims, noise({"y": rng.uniform(0, 3), "z": rng.uniform(0, 3)}, seed))
    while True:
        while len(running) < 4 and (record := player.start()):
            running.append(record)
        live, anew = player.schedule, player.fresh()
        assert live.remaining(player.records) == anew.remaining(player.records)
        assert live.next(player.records) == anew.next(player.records)
        if not running:
            break
        player.end(running.pop(int(rng.integers(len(running)))))


def test_claims_and_steps_are_corrected_apart():
    """An effect that is found among one claim would be missed among many: steps do not count with them."""
    value = noise({"z": 3.0}, 1)
    alone = Player([CLAIM], value).play()
    assert alone["z"] < 20
    assert Player([CLAIM, *[STEP] * 30], value).play()["z"] == alone["z"]
    assert Player([CLAIM, *[replace(CLAIM, after="y")] * 30], value).play()["z"] > alone["z"]


def test_evidence_waits_for_whole_looks():
    before = dict.fromkeys(range(9), 0.0)
    after = {number: 1.0 + number for number in range(9)}
    found = evidence(before, after, [5, 8, 12], binary=False)
    assert (found.looks, len(found.pairs)) == (2, 8)
    p = [float(paired.p_values(np.array([(0.0, after[seed]) for seed in range(count)]))) for count in (5, 8)]
    assert found.p == pytest.approx(min(p[0] * 6, p[1] * 3))
    assert evidence(before, {0: 1.0, 2: 2.0}, [5, 8, 12], binary=False).looks == 0
    assert len(evidence(before, {0: 1.0, 2: 2.0}, [5], binary=False).pairs) == 2


def test_the_error_of_whole_tables_played_to_their_ends():
    """Stopping where a verdict is found, with no effect anywhere: one in twenty tables has one at most."""
    wrong = 0
    for seed in range(300):
        player = Player([CLAIM, replace(CLAIM, after="y")], noise({}, 1000 + seed))
        counts = player.play()
        wrong += min(counts["y"], counts["z"]) < AUTO_LOOKS[-1]
    assert wrong / 300 <= 0.06
