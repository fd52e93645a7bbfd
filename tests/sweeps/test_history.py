"""A scheduler taught from journal and epoch log decides on like the one that lived, with many workers at once."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest

from sweeps import history
from sweeps.records.journal import (
    Ended,
    Extended,
    Kept,
    Paused,
    Started,
    Suggested,
    TrialEvent,
    TrialRecord,
    WentOn,
)
from sweeps.records.outcomes import Reason, Status
from sweeps.schedulers import known
from sweeps.schedulers.base import LoggedRow
from tests.sweeps.schedulers.rows import SCORE, made
from trainables.health import Verdict

EPOCHS, TRIALS, WORKERS = 12, 24, 4
AT_FIRST = 15  # trials; the others are added when these have ended


class Driver:
    """What `sweeps.run_state` asks of a scheduler, and what it leaves behind, in memory."""

    def __init__(self, name: str, seed: int) -> None:
        self.scheduler, self.rng = made(name, EPOCHS), random.Random(seed)
        self.level = {trial: self.rng.gauss(0, 1) for trial in range(1, TRIALS + 1)}
        self.sick = {trial for trial in self.level if self.rng.random() < 0.15}
        self.events: list[TrialEvent] = []
        self.records: dict[int, TrialRecord] = {}
        self.logs: dict[int, list[dict[str, Any]]] = {}
        self.running: list[int] = []
        self.decisions: list[tuple[int, int, str]] = []
        self.trials = AT_FIRST

    def note(self, event: TrialEvent) -> None:
        self.events.append(event)

    def end(self, trial: int, status: Status, reason: str = "") -> None:
        self.records[trial].status = status
        self.note(Ended(trial, status, reason))

    def stop_by_hand(self, trial: int) -> None:
        self.scheduler.forget(trial)
        self.scheduler.leave(trial)
        self.end(trial, Status.STOPPED, Reason.BY_HAND)

    def fill(self) -> None:
        """Give every free worker something to do."""
        while len(self.running) < WORKERS:
            trial = self.scheduler.resume(self.trials - len(self.records))
            self.drop(self.scheduler.given_up())
            if trial is None and len(self.records) == self.trials:
                return
            if trial is None:
                trial = len(self.records) + 1
                self.records[trial] = TrialRecord(trial, {}, "search", 0, trial % 5 == 0)
                self.note(Suggested(trial, {}, "search"))
            self.scheduler.start(trial, self.records[trial].control)
            self.records[trial].status, self.records[trial].started_at = Status.RUNNING, 1.0
            self.note(Started(trial))
            self.running.append(trial)

    def train(self, trial: int) -> None:
        """One more epoch, of which the driver has not heard."""
        log = self.logs.setdefault(trial, [])
        epoch = len(log) + 1
        verdict = Verdict.COLLAPSED if trial in self.sick and epoch > 3 else Verdict.HEALTHY
        log.append({"epoch": epoch, SCORE: self.level[trial] + self.rng.gauss(0, 0.5), "verdict": str(verdict),
                    "verdict_detail": f"{verdict} at epoch {epoch}"})  # fmt: skip

    def hear(self, trial: int) -> None:
        """The driver hears of the last epoch of a trial."""
        log = self.logs[trial]
        epoch = len(log)
        if self.rng.random() < 0.01:
            self.scheduler.forget(trial)
            self.end(trial, Status.FAILED)
        else:
            row = LoggedRow(log[-1], self.scheduler.task)
            decision = (self.scheduler.end if epoch == EPOCHS else self.scheduler.on_epoch)(trial, row)
            self.decisions.append((trial, epoch, f"{decision.action} {decision.detail}"))
            if decision.stop or epoch == EPOCHS:
                self.end(trial, Status.STOPPED if decision.stop else Status.FINISHED)
            elif self.rng.random() < 0.02:
                self.stop_by_hand(trial)
            elif decision.pause:
                self.records[trial].status = Status.PAUSED
                self.note(Paused(trial, epoch))
            elif decision.keep:
                self.note(Kept(trial, epoch, decision.reason))
            elif decision.detail:
                self.note(WentOn(trial, epoch, decision.detail))
        self.drop(self.scheduler.given_up())
        if self.records[trial].status is not Status.RUNNING:
            self.running.remove(trial)

    def drop(self, decisions: list) -> None:
        for trial, decision in decisions:
            if decision.keep:
                self.note(Kept(trial, len(self.logs[trial]), decision.reason))
            else:
                self.end(trial, Status.STOPPED)

    def run(self, unheard: list[int]) -> list[tuple[int, int, str]]:
        """The decisions until nothing is left to do."""
        for trial in unheard:
            self.hear(trial)
        while self.step():
            pass
        return self.decisions

    def step(self) -> bool:
        """One epoch of one trial; False if nothing is left to do."""
        self.fill()
        if (waiting := sorted(self.scheduler.paused)) and self.rng.random() < 0.02:
            self.stop_by_hand(self.rng.choice(waiting))
            self.drop(self.scheduler.given_up())
            self.fill()
        if not self.running and self.trials < TRIALS:
            self.extend()
        if not self.running:
            return False
        trial = self.rng.choice(self.running)
        self.train(trial)
        self.hear(trial)
        return True

    def extend(self) -> None:
        """All have ended; there shall be more."""
        self.drop(self.scheduler.settle())
        self.note(Extended(self.trials, TRIALS))
        self.trials = TRIALS
        self.fill()

    def die(self, name: str) -> None:
        """Another driver takes over. Its workers will report the last epochs of their checkpoints again."""
        self.scheduler = made(name, EPOCHS)
        history.retell(self.scheduler, self.events, self.records, self.logs, AT_FIRST)
        for trial in self.running:
            self.scheduler.start(trial, self.records[trial].control)


@pytest.mark.parametrize("name", known())
@pytest.mark.parametrize("seed", range(5))
def test_it_decides_on_like_the_one_that_lived(name, seed):
    driver = Driver(name, seed)
    died = 0
    while driver.step():
        driver.fill()
        if driver.running and driver.rng.random() < 0.15:
            undisturbed, other = copy.deepcopy(driver), copy.deepcopy(driver)
            unheard = list(driver.running)
            for one in (undisturbed, other):
                for trial in unheard:
                    one.train(trial)
            other.die(name)
            assert other.scheduler.paused == undisturbed.scheduler.paused
            assert other.run(unheard) == undisturbed.run(unheard)
            died += 1
    assert died
