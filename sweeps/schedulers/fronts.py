"""Who is better by several metrics at once; larger values are better.

Non-dominated sorting, and within a front the crowding distance, of NSGA-II (Deb et al. 2002), by which successive
halving promotes with several objectives (Schmucker et al. 2021, "Multi-objective asynchronous successive halving").
With one metric it is the order of the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

Scores = tuple[float, ...]  # one a metric


def finite(scores: Scores) -> bool:
    """True if every value is a number."""
    return all(map(math.isfinite, scores))


def dominates(one: Scores, other: Scores) -> bool:
    """True if `one` is nowhere worse than `other`, and better in some metric."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def ordered(scores: Mapping[int, Scores]) -> list[int]:
    """Trials from best to worst: front by front, in each front those with the most room between their neighbours
    first (its ends always), then the larger first metric, then the older. All values are finite."""
    if not scores:
        return []
    trials = sorted(scores, key=lambda trial: (*(-value for value in scores[trial]), trial))
    values_NM = np.array([scores[trial] for trial in trials], dtype=float)
    if values_NM.shape[1] == 1:
        return trials
    found = []
    for front in _fronts(values_NM):
        room = _crowding(values_NM[front])
        found += [trials[front[at]] for at in np.argsort(-room, kind="stable")]
    return found


def front_of(points: Iterable[Scores]) -> list[Scores]:
    """Those that no other dominates, each once."""
    distinct = list(dict.fromkeys(points))
    return [point for point in distinct if not any(dominates(other, point) for other in distinct)]


def _fronts(values_NM: np.ndarray) -> list[np.ndarray]:
    """The rows of every front, the best first."""
    nowhere_worse: np.ndarray = np.all(values_NM[:, None] >= values_NM, axis=2)
    dominating_NN = nowhere_worse & ~nowhere_worse.T  # [i, j]: row i dominates row j
    left, fronts = np.ones(len(values_NM), dtype=bool), []
    while left.any():
        front = left & ~np.any(dominating_NN[left], axis=0)
        fronts.append(np.flatnonzero(front))
        left &= ~front
    return fronts


def _crowding(values_NM: np.ndarray) -> np.ndarray:
    """The crowding distance of the rows of a front, (N,); infinite at the ends of a metric."""
    distance_N = np.zeros(len(values_NM))
    for values_N in values_NM.T:
        order = np.argsort(values_N, kind="stable")
        span = values_N[order[-1]] - values_N[order[0]]
        distance_N[order[[0, -1]]] = math.inf
        if span > 0:
            distance_N[order[1:-1]] += (values_N[order[2:]] - values_N[order[:-2]]) / span
    return distance_N
