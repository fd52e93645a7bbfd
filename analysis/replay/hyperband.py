"""Hyperband (Li et al. 2018, JMLR 18, algorithm 1), a baseline of the replay.

With R epochs and η: brackets s = s_max … 0, s_max = ⌊log_η R⌋, each of n = ⌈(s_max + 1) ηˢ / (s + 1)⌉ trials; at
epoch R η^(i − s) of a bracket its trials wait until all of them are there, and the best ⌊n_i / η⌋ go on. After
bracket 0 the brackets begin again. Here, where trials are suggested one after another to W workers, a free worker
first takes up a trial that may go on, otherwise a new one, in the next bracket if this one is full. The last
brackets may stay unfilled: they are halved as they are, at least one trial going on.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Bracket:
    """`trials` of them start; rung i is after `rungs[i]` epochs, the last is the whole budget."""

    trials: int
    rungs: tuple[int, ...]


def brackets(epochs: int, eta: int) -> list[Bracket]:
    """The brackets of one round, the widest first; rungs are whole epochs, rounded down."""
    s_max = 0
    while eta ** (s_max + 1) <= epochs:
        s_max += 1
    return [
        Bracket(
            -(-(s_max + 1) * eta**s // (s + 1)),
            tuple(epochs * eta**i // eta**s for i in range(s + 1)),
        )
        for s in range(s_max, -1, -1)
    ]


@dataclass
class _Members:
    """The trials of a bracket that are still in it, and their values at its present rung."""

    bracket: Bracket
    started: int = 0
    rung: int = 0
    awaited: set[int] = field(default_factory=set)
    values: dict[int, float] = field(default_factory=dict)


class Hyperband:
    """Fills brackets and halves them. Larger values are better; one that is not finite never goes on."""

    def __init__(self, epochs: int, eta: int = 3) -> None:
        self.eta = eta
        self.resumable: deque[int] = deque()  # trials that may go on
        self._brackets = itertools.cycle(brackets(epochs, eta))
        self._filling = self._open()
        self._bracket_of: dict[int, _Members] = {}
        self._no_more = False

    def start(self, trial: int, last: bool) -> None:
        """A new trial joins the bracket being filled; `last`: no other will."""
        if self._filling.started == self._filling.bracket.trials:
            self._filling = self._open()
        self._filling.started += 1
        self._filling.awaited.add(trial)
        self._bracket_of[trial] = self._filling
        self._no_more = last

    def pauses(self, trial: int, epoch: int, value: float) -> bool:
        """Hear of an epoch; True if the trial has to wait at a rung. `resumable` gains those whose wait is over."""
        members = self._bracket_of[trial]
        if epoch != members.bracket.rungs[members.rung]:
            return False
        members.values[trial] = value
        self._arrived(members, trial)
        return True

    def ended(self, trial: int) -> None:
        """The trial trained to its end; nobody waits for it."""
        self._arrived(self._bracket_of[trial], trial)

    def _arrived(self, members: _Members, trial: int) -> None:
        members.awaited.discard(trial)
        complete = members.started == members.bracket.trials or self._no_more
        if complete and not members.awaited:
            self._halve(members)

    def _halve(self, members: _Members) -> None:
        finite = {trial: value for trial, value in members.values.items() if math.isfinite(value)}
        going_on = sorted(finite, key=finite.get, reverse=True)[: max(1, len(members.values) // self.eta)]
        members.rung += 1
        members.values = {}
        members.awaited = set(going_on)
        self.resumable.extend(going_on)

    def _open(self) -> _Members:
        return _Members(next(self._brackets))
