"""The trials that a search begins with, before it chooses any."""

from __future__ import annotations

from search_spaces.space import SearchSpace, Value
from sweeps.config import SweepConfig
from sweeps.records.outcomes import Origin


def openings(config: SweepConfig, space: SearchSpace) -> list[tuple[Origin, dict[str, Value]]]:
    """Origin and configuration by trial number, from 1: those the user knows to be good, the documented one, and
    the documented "before" if it is another."""
    documented = [(Origin.DOCUMENTED, space.documented())]
    before = [(Origin.BASELINE, space.baseline())] if space.has_baseline else []
    return [*((Origin.TRIED, dict(each)) for each in config.tried), *documented, *before]
