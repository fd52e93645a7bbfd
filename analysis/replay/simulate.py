"""A sweep in simulated time: W workers, trials suggested one after another, epochs as long as they were recorded.

The scheduler is the object that `sweeps/` runs, asked in the same order as `sweeps.run_state` asks it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from analysis.replay.curves import Curves, Row
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.schedulers import Spec
from sweeps.schedulers.base import Decision, LoggedRow, Scheduler
from trainables.health import is_control


@dataclass(frozen=True)
class End:
    """How a trial ended. `reason` is that of the journal, '' for a finished trial.

    `seconds` of simulated time and `spent` epochs of the whole sweep had passed when it was last trained.
    """

    trial: int  # position in the curves
    epoch: int
    reason: str
    detail: str
    seconds: float
    spent: int


class Variant:
    """A scheduler with its settings, ready to be replayed on `curves`."""

    def __init__(self, spec: Spec, curves: Curves) -> None:
        self._spec, self._curves = spec, curves
        self._health = spec.settings.health(curves.health)
        self._verdicts = JudgedVerdicts(curves, self._health)
        self._task = curves.task(self._health.grace_share)

    def ends(self, seed: int, order: Sequence[int], workers: int) -> list[End]:
        """The ends of the trials in `order` (positions); `seed` draws the controls."""

        def controls(number: int) -> bool:
            return is_control(seed, number, self._health)

        return simulate(self._curves, self._spec.make(self._task), order, workers, self._verdicts, controls)


def simulate(
    curves: Curves,
    scheduler: Scheduler[Any],
    order: Sequence[int],
    workers: int,
    verdicts: JudgedVerdicts,
    controls: Callable[[int], bool],
) -> list[End]:
    """The ends of the trials in `order` (positions), in the order of their happening.

    A worker that falls free takes up a trial that waits and may go on, else starts the next one. Epochs that end at
    the same moment are decided in the order in which they began.

    Args:
        curves: what the trials do when left to run.
        scheduler: a fresh one; it knows a trial by its number.
        order: in which the trials are suggested.
        workers: how many trials run at once.
        verdicts: health by row.
        controls: by number, whether a trial runs on when condemned.
    """
    simulation = _Simulation(curves, scheduler, order, verdicts, controls)
    simulation.run(workers)
    return sorted(simulation.ends.values(), key=lambda end: end.spent)


class _Simulation:
    def __init__(
        self,
        curves: Curves,
        scheduler: Scheduler[Any],
        order: Sequence[int],
        verdicts: JudgedVerdicts,
        controls: Callable[[int], bool],
    ) -> None:
        self.curves, self.scheduler, self.verdicts, self.controls = curves, scheduler, verdicts, controls
        self.position = {number: position for position, number in enumerate(curves.numbers)}
        self.unstarted = deque(order)
        self.durations = curves.durations.tolist()
        self.first = curves.first.tolist()
        self.paused: dict[int, int] = {}  # the row a trial that waits goes on with
        self.running: list[tuple[float, int, int, int]] = []  # a heap: when its epoch ends, tie-breaker, trial, row
        self.tie = count()
        self.ends: dict[int, End] = {}
        self.spent = 0

    def run(self, workers: int) -> None:
        """Until nothing runs."""
        now, free = 0.0, workers
        while True:
            while free and self.take(now):
                free -= 1
            if not self.running:
                self.give_up(self.scheduler.settle())
                return
            now, _, trial, at = heapq.heappop(self.running)
            self.spent += 1
            if self.goes_on(now, trial, at):
                self.begin(now, trial, at + 1)
            else:
                free += 1

    def take(self, now: float) -> bool:
        """Occupy a free worker; False if there is nothing to do for it at present."""
        number = self.scheduler.resume(len(self.unstarted))
        self.give_up(self.scheduler.given_up())
        if number is not None:
            trial = self.position[number]
            at = self.paused.pop(trial)
        elif self.unstarted:
            trial = self.unstarted.popleft()
            number, at = self.curves.numbers[trial], self.first[trial]
        else:
            return False
        self.scheduler.start(number, self.controls(number))
        self.begin(now, trial, at)
        return True

    def begin(self, now: float, trial: int, at: int) -> None:
        """Begin the epoch of row `at`."""
        heapq.heappush(self.running, (now + self.durations[at], next(self.tie), trial, at))

    def goes_on(self, now: float, trial: int, at: int) -> bool:
        """Ask the scheduler; if the trial does not go on, note its end, which for one that waits is not the last."""
        last = at + 1 == self.first[trial + 1]
        decision = self.decision(trial, at, last)
        if last or decision.stop or decision.pause:
            epoch, reason = at + 1 - self.first[trial], str(decision.reason)
            self.ends[trial] = End(trial, epoch, reason, decision.detail, now, self.spent)
        if decision.pause:
            self.paused[trial] = at + 1
        self.give_up(self.scheduler.given_up())
        return not (last or decision.stop or decision.pause)

    def decision(self, trial: int, at: int, last: bool) -> Decision:
        """What the scheduler says to the epoch of row `at`."""
        row = LoggedRow(Row(self.curves.columns, self.verdicts, at), self.scheduler.task)
        ask = self.scheduler.end if last else self.scheduler.on_epoch
        return ask(self.curves.numbers[trial], row)

    def give_up(self, decisions: list[tuple[int, Decision]]) -> None:
        """Trials that wait will not be taken up again: they ended where they paused. Controls wait on."""
        for number, decision in decisions:
            if decision.keep:
                continue
            trial = self.position[number]
            reason = str(decision.reason)
            self.ends[trial] = replace(self.ends[trial], reason=reason, detail=decision.detail)
