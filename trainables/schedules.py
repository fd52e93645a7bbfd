"""Weights over the course of training. `progress` runs from 0 (first step) to 1 (budget spent)."""

from __future__ import annotations


def linear_warmup(progress: float, share: float) -> float:
    """0 → 1 linearly over the first `share` of the budget, then 1; always 1 for `share` 0."""
    return 1.0 if progress >= share else progress / share
