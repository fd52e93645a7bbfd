"""What a search is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from search_spaces.space import SearchSpace, Value
from sweeps.records.journal import TrialRecord
from trainables.requirements import Requirement


class Search(ABC):
    """Proposes configurations by trial number and hears how trials ended.

    It is told the truth: a trial stopped at a rung is *pruned* (its value is that of a part of the budget, never
    learnt as a final one), one that is sick or misses a requirement violates a constraint, a failed one is no
    observation at all.

    Args:
        space: what may vary.
        seed: of what is drawn; the same seed proposes the same.
        metrics: that trials are ranked by.
        modes: max or min, of each.
        first: the first trial that is searched; None where none but the documented ones come before.
        requirements: what a trial must meet to be ranked.
        earlier: trials of other sweeps on the same data and with the same budget.
    """

    name: ClassVar[str]  # on the command line

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        metrics: list[str],
        modes: list[str],
        *,
        first: int | None = None,
        requirements: Sequence[Requirement] = (),
        earlier: Sequence[TrialRecord] = (),
    ) -> None:
        self.space, self.seed, self.metrics, self.modes = space, seed, metrics, modes
        self.requirements, self.earlier = requirements, earlier
        self.first = first or (3 if space.has_baseline else 2)
        self._set_up()

    def _set_up(self) -> None:  # noqa: B027  most need nothing
        """What a search needs before its first trial."""

    @property
    def ahead(self) -> float:
        """The last trial whose configuration depends on no result; inf where none does."""
        return float("inf")

    @abstractmethod
    def suggest(self, trial: int) -> dict[str, Value] | None:
        """The configuration of trial `trial`, None when there is nothing left to try."""

    def tell(self, record: TrialRecord) -> None:  # noqa: B027  most learn nothing
        """Hear of a trial that was suggested (here or before a resume); called again when it has ended."""
