"""Trials that were begun and must begin again: cut off by the end of a driver, or by the death of a worker."""

from __future__ import annotations

from collections.abc import Iterable

WORKER_DEATHS = 3  # of a trial, with no new epoch in between; then it is given up


class TrialQueue:
    """Who begins again at once, and who only when nothing else runs."""

    def __init__(self, cut_off: Iterable[int] = ()) -> None:
        self._next: list[int] = list(cut_off)
        self._alone: list[int] = []
        self._deaths: dict[int, tuple[int, int]] = {}  # the epoch that a trial had reached, its deaths there

    @property
    def waiting(self) -> set[int]:
        """All of them."""
        return {*self._next, *self._alone}

    def pop(self) -> int | None:
        """The next to begin again."""
        return self._next.pop(0) if self._next else None

    def pop_alone(self) -> int | None:
        """The next of those that run alone."""
        return self._alone.pop(0) if self._alone else None

    def remove(self, trial: int) -> None:
        """It does not begin again."""
        for waiting in (self._next, self._alone):
            if trial in waiting:
                waiting.remove(trial)

    def lost(self, trial: int, epoch: int) -> int:
        """The worker of a trial that had reached `epoch` died; how often it has, without a new epoch in between.

        After the second death the trial waits until nothing else runs: a worker that ran out of memory beside others
        may not be to blame, one that did alone is. After the last the trial does not begin again.
        """
        reached, deaths = self._deaths.get(trial, (-1, 0))
        deaths = deaths + 1 if epoch <= reached else 1
        self._deaths[trial] = (max(reached, epoch), deaths)
        if deaths < WORKER_DEATHS:
            (self._next if deaths == 1 else self._alone).append(trial)
        return deaths
