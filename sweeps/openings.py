"""The trials that a search begins with, before it chooses any."""

from __future__ import annotations

from search_spaces.space import SearchSpace, Value
from sweeps.config import SweepConfig
from sweeps.records.outcomes import Origin


def openings(config: SweepConfig, space: SearchSpace) -> list[tuple[Origin, dict[str, Value]]]:
    """Origin and configuration by trial number, from 1: those the user knows to be good, the documented one, and
    the documented "before"; each once."""
    stated = [(Origin.DOCUMENTED, space.documented()), (Origin.BASELINE, space.baseline())]
    found: list[tuple[Origin, dict[str, Value]]] = []
    for tried in config.tried:
        found.append((next((origin for origin, each in stated if each == tried), Origin.TRIED), dict(tried)))
    for origin, each in stated:
        if each not in [known for _, known in found]:
            found.append((origin, each))
    return found
