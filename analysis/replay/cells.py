"""Schedulers on pools of recorded trials, cell by cell of pool size and slots.

A pool is every recorded trial of one model. A replicate draws some of them, in some order, and replays the sweep they
would have been: intervals over orders of the same trials alone would be far too narrow. Regret is in parts of a
range, R = (best − found) / (best − median of the healthy), cut to 0 … 1, where `found` is the best healthy trial that
has finished by then and meets what is required; the best may lie below 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.replay import foretold, logs
from analysis.replay.curves import Curves
from analysis.replay.regret import Truth, truth
from analysis.replay.simulate import simulate
from analysis.replay.verdicts import JudgedVerdicts
from sweeps import memory
from sweeps.records.folder import sweeps_in
from sweeps.schedulers.base import Scheduler, Task
from trainables.health import is_control

SHARES = (0.10, 0.15, 0.20, 0.25, 0.35, 0.50, 1.0)  # of all epochs at which regret is told
FOUND = 0.01  # regret of a sweep that has found the best

Make = Callable[[Task], Scheduler[Any]]


@dataclass(frozen=True, eq=False)
class Pool:
    """Every recorded trial of a model, and what each comes to."""

    model: str
    curves: Curves
    truth: Truth
    verdicts: JudgedVerdicts
    foretold: tuple[float, ...] | None  # the places that other sweeps expect of the trials; None of a single sweep

    def __len__(self) -> int:
        return len(self.curves)


@dataclass(frozen=True)
class Replicate:
    """One replayed sweep. All are parts of 1; `spent` is of the epochs of all its trials."""

    regret: tuple[float, ...]  # at SHARES
    spent_to_found: float  # the share of all epochs after which regret is FOUND at most; infinite if it never is
    hit: bool  # the best trial finished
    saved: float


def pools(folder: Path) -> list[Pool]:
    """The pools of a folder of recorded sweeps, by model: of sweeps with the same budget, data and thresholds.

    Raises:
        DataError: sweeps of one model do not belong together.
    """
    by_model: dict[str, list[str]] = {}
    for sweep in sweeps_in(folder):
        by_model.setdefault(sweep.path.name.rpartition("-")[0], []).append(str(sweep.path))
    found = []
    for model, sources in sorted(by_model.items()):
        curves = logs.read(sources, folder)
        known = foretold.by_other_sweeps([Path(source) for source in sources])
        found.append(Pool(model, curves, truth(curves), JudgedVerdicts(curves, curves.health), known))
    return found


def replicates(
    pool: Pool, make: Make, trials: int, slots: int, count: int, places: Sequence[float] | None = None
) -> list[Replicate]:
    """Sweeps of so many trials of the pool, on so many slots; the same draws for every scheduler. A draw in which no
    healthy trial is better than the median of the healthy has no regret and is left out.

    `places`: what earlier sweeps expect of every trial of the pool; None where there are none.
    """
    drawn = (_replicate(pool, make, trials, slots, seed, places) for seed in range(count))
    return [one for one in drawn if one is not None]


def _replicate(
    pool: Pool, make: Make, trials: int, slots: int, seed: int, places: Sequence[float] | None
) -> Replicate | None:
    order = np.random.default_rng([seed, trials]).permutation(len(pool))[:trials].tolist()
    ranked = [trial for trial in order if pool.truth.ranked[trial]]
    scores = pool.truth.score[ranked]
    if not len(scores) or scores.max() <= np.median(scores):
        return None
    best, span = scores.max(), scores.max() - np.median(scores)
    curves, health = pool.curves, pool.curves.health
    task = curves.task(health.grace_share)

    def controls(number: int) -> bool:
        return is_control(seed, number, health)

    scheduler = make(task)
    if places is not None:
        for trial in order:
            scheduler.foretell(curves.numbers[trial], places[trial])
        order = [order[at] for at in memory.in_turns([places[trial] for trial in order])]
    ends = simulate(curves, scheduler, order, slots, pool.verdicts, controls)
    every = len(order) * curves.epochs
    known = set(ranked)
    finished = [
        (end.spent / every, pool.truth.score[end.trial]) for end in ends if not end.reason and end.trial in known
    ]

    def regret(share: float) -> float:
        found = max((score for spent, score in finished if spent <= share), default=-np.inf)
        return float(np.clip((best - found) / span, 0.0, 1.0))

    reached = (spent for spent, score in finished if (best - score) / span <= FOUND)
    return Replicate(
        tuple(map(regret, SHARES)),
        min(reached, default=np.inf),
        any(score >= best for _, score in finished),
        1.0 - sum(end.epoch for end in ends) / every,
    )


def mean_and_interval(values: Sequence[float] | np.ndarray, draws: int = 1000) -> tuple[float, float, float]:
    """The mean with its 95 % percentile bootstrap interval over replicates."""
    array = np.asarray(values, dtype=float)
    resampled = np.random.default_rng(0).choice(array, (draws, len(array))).mean(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(array.mean()), float(low), float(high)
