"""A search whose trials are all known up front, in a better order than the one in which they are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from search_spaces.space import Value
from sweeps.memory import Memory, next_of
from sweeps.records.journal import TrialRecord
from sweeps.searchers.base import Search


class Ordered(Search):
    """The trials of another search: by turns that which is foretold the best place, and the next as drawn; those
    that are expected to collapse when all others have been suggested.

    What has been suggested before, in this process or not, is known from `tell`, and is not suggested again.

    Args:
        search: draws the trials; none of them may depend on a result.
        trials: the number of the last trial.
        memory: foretells their places; None for the order in which they are drawn.
        collapses: whether a configuration is expected to collapse.
    """

    def __init__(
        self,
        search: Search,
        trials: int,
        memory: Memory | None,
        collapses: Callable[[Mapping[str, Any]], bool],
    ) -> None:
        self._search, self.first, self._collapses = search, search.first, collapses
        drawn = [config for each in range(self.first, trials + 1) if (config := search.suggest(each)) is not None]
        foretold = memory.foretold(drawn) if memory else None
        self._left = list(zip(foretold or [0.0] * len(drawn), drawn, strict=True))
        self._remembers = memory is not None
        self._last: list[dict[str, Value]] = []
        self._told: set[int] = set()

    @property
    def ahead(self) -> float:
        """No configuration depends on a result."""
        return self._search.ahead

    def suggest(self, trial: int) -> dict[str, Value] | None:
        """The next of those left."""
        self._told.add(trial)
        while self._left:
            config = self._take(trial)
            if not self._collapses(config):
                return config
            self._last.append(config)
        return self._last.pop(0) if self._last else None

    def tell(self, record: TrialRecord) -> None:
        """A trial that an earlier driver began is not left any more."""
        if record.trial in self._told:
            return
        self._told.add(record.trial)
        at = next((at for at, (_, config) in enumerate(self._left) if config == record.config), None)
        if at is not None:
            del self._left[at]

    def _take(self, trial: int) -> dict[str, Value]:
        at = next_of([place for place, _ in self._left], trial - self.first) if self._remembers else 0
        return self._left.pop(at)[1]
