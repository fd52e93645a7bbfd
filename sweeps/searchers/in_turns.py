"""A search whose trials are all known up front, in the order that earlier sweeps on the same data suggest."""

from __future__ import annotations

from search_spaces.space import Value
from sweeps.memory import Memory, next_of
from sweeps.records.journal import TrialRecord
from sweeps.searchers.base import Search


class InTurns(Search):
    """The trials of another search: by turns that which is foretold the best place, and the next as drawn.

    What has been suggested before, in this process or not, is known from `tell`, and is not suggested again.

    Args:
        search: draws the trials; none of them may depend on a result.
        memory: foretells their places.
        trials: the number of the last trial.
    """

    def __init__(self, search: Search, memory: Memory, trials: int) -> None:
        self._search, self.first = search, search.first
        drawn = [config for each in range(self.first, trials + 1) if (config := search.suggest(each)) is not None]
        self._left = list(zip(memory.foretold(drawn), drawn, strict=True))
        self._told: set[int] = set()

    @property
    def ahead(self) -> float:
        """No configuration depends on a result."""
        return self._search.ahead

    def suggest(self, trial: int) -> dict[str, Value] | None:
        """The next of those left."""
        if not self._left:
            return None
        self._told.add(trial)
        return self._left.pop(next_of([place for place, _ in self._left], trial - self.first))[1]

    def tell(self, record: TrialRecord) -> None:
        """A trial that an earlier driver began is not left any more."""
        if record.trial in self._told:
            return
        self._told.add(record.trial)
        at = next((at for at, (_, config) in enumerate(self._left) if config == record.config), None)
        if at is not None:
            del self._left[at]
