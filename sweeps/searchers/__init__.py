"""Which configuration to try next: one class a file behind `base.Search`. Knows no Ray.

A new one is a file in this folder with a subclass of `Search` that has a name; nothing else names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from search_spaces.space import SearchSpace
from sweeps.memory import Memory
from sweeps.searchers.base import Search
from sweeps.searchers.ordered import Ordered
from trainables.discovery import subclasses_in
from trainables.requirements import Requirement

DEFAULT = "tpe"
ABLATION = "ablation"  # nothing is searched: the trials are given


@cache
def known() -> dict[str, type[Search]]:
    """Every search in this folder, by name."""
    found = subclasses_in(__name__, Search, "name")
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}


def make(
    search: str,
    space: SearchSpace,
    seed: int,
    metrics: list[str],
    modes: list[str],
    *,
    first: int | None = None,
    requirements: Sequence[Requirement] = (),
    memory: Memory | None = None,
    trials: int = 0,
    collapses: Callable[[Mapping[str, Any]], bool] = lambda config: False,
) -> Search:
    """The search called `search`, with the arguments of `Search`.

    With a memory of earlier sweeps, TPE begins with their trials; where all `trials` are known up front they are
    ordered by it, and those whose configuration `collapses` come last.

    Raises:
        ValueError: an unknown name.
    """
    if search not in known():
        raise ValueError(f"search '{search}': expected one of {', '.join(known())}")
    earlier = memory.comparable if memory else []
    found = known()[search](space, seed, metrics, modes, first=first, requirements=requirements, earlier=earlier)
    return Ordered(found, trials, memory, collapses) if trials and math.isinf(found.ahead) else found
