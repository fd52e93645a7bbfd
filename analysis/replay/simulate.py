"""A sweep in simulated time: W workers, trials suggested one after another, epochs as long as they were recorded."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from analysis.replay.curves import Curves
from analysis.replay.policies import PAUSE, Scheduler
from sweeps.schedulers.stopping import Decision


@dataclass(frozen=True)
class End:
    """How a trial ended. `reason` is that of the journal, '' for a finished trial.

    `seconds` of simulated time and `spent` epochs of the whole sweep had passed by then.
    """

    trial: int  # position in the curves
    epoch: int
    reason: str
    detail: str
    seconds: float
    spent: int


def simulate(curves: Curves, scheduler: Scheduler, order: Sequence[int], workers: int) -> list[End]:
    """The ends of the trials in `order` (positions), in the order of their happening.

    A worker that falls free takes up a paused trial that may go on, else starts the next one. Epochs that end at the
    same moment are decided in the order in which they began. A trial that stays paused ended where it paused.
    """
    simulation = _Simulation(curves, scheduler, order)
    simulation.run(workers)
    return sorted(simulation.ends.values(), key=lambda end: end.spent)


class _Simulation:
    def __init__(self, curves: Curves, scheduler: Scheduler, order: Sequence[int]) -> None:
        self.scheduler = scheduler
        self.waiting = deque(order)
        self.durations = curves.durations.tolist()
        self.first = curves.first.tolist()
        self.paused: dict[int, int] = {}  # the row a paused trial goes on with
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
                return
            now, _, trial, at = heapq.heappop(self.running)
            self.spent += 1
            if self.goes_on(now, trial, at):
                self.begin(now, trial, at + 1)
            else:
                free += 1

    def take(self, now: float) -> bool:
        """Occupy a free worker; False if there is nothing to do for it at present."""
        trial = self.scheduler.resume()
        if trial is not None:
            self.begin(now, trial, self.paused.pop(trial))
        elif self.waiting:
            trial = self.waiting.popleft()
            self.scheduler.start(trial, last=not self.waiting)
            self.begin(now, trial, self.first[trial])
        else:
            return False
        return True

    def begin(self, now: float, trial: int, at: int) -> None:
        """Begin the epoch of row `at`."""
        heapq.heappush(self.running, (now + self.durations[at], next(self.tie), trial, at))

    def goes_on(self, now: float, trial: int, at: int) -> bool:
        """Ask the scheduler; if the trial does not go on, note its end."""
        last = at + 1 == self.first[trial + 1]
        decision: Decision = (self.scheduler.end if last else self.scheduler.on_epoch)(trial, at)
        if not last and not decision.stop:
            return True
        if decision is PAUSE:
            self.paused[trial] = at + 1
        epoch = at + 1 - self.first[trial]
        self.ends[trial] = End(trial, epoch, decision.reason, decision.detail, now, self.spent)
        return False
