"""Hyperband (Li et al. 2018, JMLR 18, algorithm 1).

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

from sweeps.schedulers.base import GO_ON, RUNG, Decision, Row, Scheduler, Task, pause, stop
from sweeps.schedulers.settings import FROM_TWO, Settings, setting


@dataclass(frozen=True)
class HyperbandSettings(Settings):
    """How much is cut."""

    eta: int = setting(FROM_TWO, 3)
    """Of the trials of a bracket, one in eta goes on; the next rung is eta times as far."""


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


@dataclass(eq=False)
class _Members:
    """The trials of a bracket that are still in it, and their values at its present rung."""

    bracket: Bracket
    started: int = 0
    closed: bool = False  # nobody joins any more
    rung: int = 0
    awaited: set[int] = field(default_factory=set)
    values: dict[int, float] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Of the present rung."""
        return self.bracket.rungs[self.rung]


class Hyperband(Scheduler[HyperbandSettings]):
    """Fills brackets and halves them; a value that is not finite never goes on."""

    name = "hyperband"
    settings_type = HyperbandSettings

    def __init__(self, task: Task, settings: HyperbandSettings | None = None) -> None:
        super().__init__(task, settings)
        self._brackets = itertools.cycle(brackets(task.epochs, self.settings.eta))
        self._filling = self._open()
        self._bracket_of: dict[int, _Members] = {}
        self._going_on: deque[int] = deque()
        self._given_up: list[tuple[int, Decision]] = []

    def start(self, trial: int, control: bool = False) -> None:
        """A new trial joins the bracket being filled; one that waited has nothing more to wait for."""
        super().start(trial, control)
        if trial in self._bracket_of:
            if trial in self._going_on:
                self._going_on.remove(trial)
            return
        if self._filling.closed:
            self._filling = self._open()
        members = self._bracket_of[trial] = self._filling
        members.started += 1
        members.awaited.add(trial)
        members.closed = members.started == members.bracket.trials

    def decide(self, trial: int, row: Row) -> Decision:
        """Wait at a rung until all of the bracket are there."""
        members = self._bracket_of[trial]
        if trial not in members.awaited or row.epoch != members.epoch:
            return GO_ON
        members.values[trial] = row.score
        self._arrived(members, trial)
        return pause(f"{self._told(row.score)} waits for the others of its bracket at epoch {row.epoch}")

    def end(self, trial: int, row: Row) -> Decision:
        """Nobody waits for it any more."""
        self._arrived(self._bracket_of[trial], trial)
        return GO_ON

    def forget(self, trial: int) -> None:
        """Nobody waits for it any more, and it takes nobody's place."""
        if members := self._bracket_of.get(trial):
            members.values.pop(trial, None)
            if trial in self._going_on:
                self._going_on.remove(trial)
            self._arrived(members, trial)

    def resume(self, unstarted: int) -> int | None:
        """The first of those that may go on. If no new trial is left, the bracket being filled is halved as it is."""
        if not unstarted and self._filling.started and not self._filling.closed:
            self._filling.closed = True
            self._halve_if_complete(self._filling)
        return self._going_on[0] if self._going_on else None

    def given_up(self) -> list[tuple[int, Decision]]:
        """Those who were not among the best of their bracket."""
        dropped, self._given_up = self._given_up, []
        for trial, _ in dropped:
            self.leave(trial)
        return dropped

    def pauses(self, trial: int) -> list[int]:
        """The next rung of its bracket."""
        return [self._bracket_of[trial].epoch]

    def _arrived(self, members: _Members, trial: int) -> None:
        members.awaited.discard(trial)
        self._halve_if_complete(members)

    def _halve_if_complete(self, members: _Members) -> None:
        if not members.closed or members.awaited or not members.values:
            return
        finite = {trial: value for trial, value in members.values.items() if math.isfinite(value)}
        ranked = sorted(finite, key=finite.__getitem__, reverse=True)
        going_on = ranked[: max(1, len(members.values) // self.settings.eta)]
        self._given_up += [
            (trial, stop(RUNG, self._outranked(members, value, [finite[one] for one in going_on])))
            for trial, value in members.values.items()
            if trial not in going_on
        ]
        members.rung += 1
        members.values, members.awaited = {}, set(going_on)
        self._going_on.extend(going_on)

    def _outranked(self, members: _Members, value: float, best: list[float]) -> str:
        among = f"of {len(members.values)} trials of its bracket at epoch {members.epoch}"
        if not best or not math.isfinite(value):
            return f"{self._told(value)} at epoch {members.epoch} is no finite number"
        return f"{self._told(value)} {self.task.worse} the cutoff {self.task.told(best[-1])} {among}"

    def _told(self, value: float) -> str:
        return f"{self.task.metric} {self.task.told(value)}"

    def _open(self) -> _Members:
        return _Members(next(self._brackets))
