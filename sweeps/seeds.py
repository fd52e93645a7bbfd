"""Which variant of an ablation runs next, and with which seed. Pure: it follows from what has ended, and so a resume
comes to the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sweeps import paired
from sweeps.ablation import CLAIMS, OUTCOMES, Ablation
from sweeps.records.journal import TrialRecord

Value = Callable[
    [TrialRecord, str], float
]  # a metric of a trial that has ended; NaN if it did not finish or has none


@dataclass(frozen=True)
class Evidence:
    """What the runs of a comparison say of one metric.

    `pairs` (n, 2): before and after, of the seeds of the last look at them, of which `looks` are done. `p`: over all
    looks so far, not adjusted for other comparisons; NaN with too few pairs at every look.
    """

    pairs: np.ndarray
    looks: int
    p: float

    @property
    def futile(self) -> bool:
        """True if more seeds would not help: no pair is complete, or none shows any difference."""
        return len(self.pairs) == 0 or bool((self.pairs[:, 0] == self.pairs[:, 1]).all())


def evidence(before: Mapping[int, float], after: Mapping[int, float], looks: Sequence[int], binary: bool) -> Evidence:
    """What two variants show, at the looks for which all their trials have ended.

    Args:
        before, after: the value by number of the seed, from 0, of every trial that has ended; NaN if it has none.
        looks: numbers of seeds; a single look is at whatever there is.
        binary: the values are 0 or 1.
    """
    ended = before.keys() & after.keys()
    done = [count for count in looks if ended >= set(range(count))] if len(looks) > 1 else [max(ended, default=0) + 1]
    at_looks = [_pairs(before, after, sorted(seed for seed in ended if seed < count)) for count in done]
    p = [float(paired.p_values(pairs, binary)) for pairs in at_looks]
    return Evidence(at_looks[-1] if done else np.empty((0, 2)), len(done), float(paired.p_over_looks(p, len(looks))))


class SeedSchedule:
    """Hands out the trials of an ablation, seed by seed.

    Every variant first runs with as many seeds as the first look takes. When all have ended, the comparisons are
    judged; the variants of those that are open run with the seeds up to the next look. A comparison is open until
    Holm's correction within its table rejects, or more seeds would not help, or the last look is over. A claim is
    judged by its metric, the step of a study by the first of the sweep.

    Args:
        ablation: what is compared.
        seed: the first seed.
        metric: the sweep's first.
        value: of a trial that has ended.
    """

    def __init__(self, ablation: Ablation, seed: int, metric: str, value: Value) -> None:
        self.ablation, self.seed, self.metric, self.value = ablation, seed, metric, value
        self._look = 0
        self._over = False
        self._stage = [(place, number) for number in range(ablation.looks[0]) for place in self._places()]

    def next(self, records: Mapping[int, TrialRecord]) -> tuple[str, dict[str, Any], int] | None:
        """Name, configuration and seed of the next new trial; None if there is none, or none before others end."""
        self._advance(records)
        known = self._known(records)
        for place, number in self._stage:
            variant = self.ablation.variants[place]
            if (variant["name"], number) not in known:
                return variant["name"], dict(variant["config"]), self.seed + number
        return None

    def to_start(self, records: Mapping[int, TrialRecord]) -> int:
        """How many new trials there will be before the next look."""
        self._advance(records)
        known = self._known(records)
        return sum(self._key(place, number) not in known for place, number in self._stage)

    def remaining(self, records: Mapping[int, TrialRecord]) -> int:
        """How many trials have to end before the next look; 0 if nothing is open any more."""
        self._advance(records)
        return 0 if self._over else len(self._unended(records))

    def _advance(self, records: Mapping[int, TrialRecord]) -> None:
        while not self._over and not self._unended(records):
            looks = self.ablation.looks
            places = self._open(records) if self._look + 1 < len(looks) else []
            if not places:
                self._over = True
                return
            numbers = range(looks[self._look], looks[self._look + 1])
            self._look += 1
            self._stage = [(place, number) for number in numbers for place in places]

    def _open(self, records: Mapping[int, TrialRecord]) -> list[int]:
        """The variants that a comparison needs further seeds of."""
        claims = [each for each in self.ablation.comparisons if each["study"] == CLAIMS]
        steps = [each for each in self.ablation.comparisons if each["study"] != CLAIMS]
        known, found = self._known(records), set()
        for family in (claims, steps):
            shown = [self._evidence(known, comparison) for comparison in family]
            adjusted = paired.holm(np.array([each.p for each in shown]), len(family))
            for comparison, each, p in zip(family, shown, adjusted, strict=True):
                if not (p <= paired.ERROR or each.futile):
                    found |= {comparison["before"], comparison["after"]}
        return sorted(found)

    def _evidence(self, known: Mapping[tuple[str, int], TrialRecord], comparison: Mapping[str, Any]) -> Evidence:
        metric = comparison.get("metric", self.metric)
        metrics = {"before": comparison.get("metric_before", metric), "after": metric}
        before, after = (
            {
                number: self.value(record, metrics[side])
                for number in range(self.ablation.looks[self._look])
                if (record := known.get(self._key(comparison[side], number))) and record.status.ended
            }
            for side in metrics
        )
        return evidence(before, after, self.ablation.looks, metric in OUTCOMES)

    def _places(self) -> range:
        return range(len(self.ablation.variants))

    def _key(self, place: int, number: int) -> tuple[str, int]:
        return self.ablation.variants[place]["name"], number

    def _known(self, records: Mapping[int, TrialRecord]) -> dict[tuple[str, int], TrialRecord]:
        return {(record.origin, record.seed - self.seed): record for record in records.values()}

    def _unended(self, records: Mapping[int, TrialRecord]) -> list[tuple[int, int]]:
        known = self._known(records)
        return [
            (place, number)
            for place, number in self._stage
            if (record := known.get(self._key(place, number))) is None or not record.status.ended
        ]


def _pairs(before: Mapping[int, float], after: Mapping[int, float], seeds: Sequence[int]) -> np.ndarray:
    pairs = np.array([(before[seed], after[seed]) for seed in seeds], dtype=float).reshape(-1, 2)
    return pairs[np.isfinite(pairs).all(axis=1)]
