"""Which trial is better: one order for driver, mirror and analysis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Objective:
    """A metric the sweep searches by."""

    metric: str
    mode: str  # max or min

    @property
    def sign(self) -> float:
        """Multiplied by it, larger is better."""
        return 1.0 if self.mode == "max" else -1.0


def objectives(metric: Sequence[str], mode: Sequence[str]) -> list[Objective]:
    """Of a sweep's settings; trials are ranked by the first."""
    return [Objective(*pair) for pair in zip(metric, mode, strict=True)]


def ranked(objectives: Sequence[Objective], scores: Mapping[int, Sequence[float]]) -> list[int]:
    """Trials from best to worst; those without a finite first score last.

    With several objectives those that no other trial dominates come first; within each part, by the first metric.

    Args:
        objectives: at least one.
        scores: the values of their metrics by trial; NaN where there is none.
    """
    front = pareto_front(objectives, scores)

    def key(trial: int) -> tuple[bool, float, int]:
        score = objectives[0].sign * scores[trial][0]
        return trial not in front, -score if math.isfinite(score) else math.inf, trial

    return sorted(scores, key=key)


def best(objectives: Sequence[Objective], scores: Mapping[int, Sequence[float]]) -> int | None:
    """The first of `ranked`; None where no trial has a finite score."""
    order = ranked(objectives, scores)
    return order[0] if order and math.isfinite(scores[order[0]][0]) else None


def pareto_front(objectives: Sequence[Objective], scores: Mapping[int, Sequence[float]]) -> set[int]:
    """The trials that no other is at least as good as in every metric and better in one."""
    signs = [objective.sign for objective in objectives]
    signed = {trial: np.multiply(signs, row) for trial, row in scores.items() if np.isfinite(row).all()}
    front: list[tuple[int, np.ndarray]] = []
    for trial, row in sorted(signed.items(), key=lambda item: item[1].tolist(), reverse=True):
        if not any((other >= row).all() and (other > row).any() for _, other in front):
            front.append((trial, row))
    return {trial for trial, _ in front}
