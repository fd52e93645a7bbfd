"""A scheduler taught anew what an earlier driver saw, from the journal and the epoch log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sweeps.records.journal import (
    Ended,
    Event,
    Extended,
    Kept,
    Paused,
    Started,
    Suggested,
    SweepEvent,
    TrialEvent,
    TrialRecord,
    WentOn,
)
from sweeps.records.outcomes import Reason, Status
from sweeps.schedulers.base import LoggedRow, Scheduler

Rows = Sequence[Mapping[str, Any]]


def retell(
    scheduler: Scheduler[Any],
    events: Iterable[Event],
    records: Mapping[int, TrialRecord],
    logs: Mapping[int, Rows],
    trials: int,
) -> None:
    """Let `scheduler` live through the starts, epochs, pauses and ends of the journal again, in their order.

    An epoch is told with the next event of its trial: that is all the order a scheduler may depend on. The last epoch
    of a trial that was running is left out: its worker reports it again, and then it is decided. Of a trial that
    failed only start, pauses and failure are told; one taken over from another sweep is not told at all.

    Args:
        scheduler: a fresh one.
        events: of the journal.
        records: its trials.
        logs: the epochs of every trial that has any; of each what `LoggedRow` reads.
        trials: how many the sweep had in all before it was extended.
    """
    story = _Story(scheduler, records, logs, trials)
    for event in events:
        if isinstance(event, Extended):
            story.more(event.trials - event.before)
        elif not isinstance(event, SweepEvent) and event.trial in records:
            story.tell(event)
    story.rest()


class _Story:
    def __init__(
        self, scheduler: Scheduler[Any], records: Mapping[int, TrialRecord], logs: Mapping[int, Rows], trials: int
    ) -> None:
        self._scheduler, self._records, self._logs = scheduler, records, logs
        self._unstarted = trials
        self._told = dict.fromkeys(records, 0)  # epochs

    def more(self, trials: int) -> None:
        self._scheduler.resume(self._unstarted)  # as it was last asked
        self._unstarted += trials

    def tell(self, event: TrialEvent) -> None:
        trial = event.trial
        if isinstance(event, Suggested):
            self._suggested(trial)
        elif isinstance(event, Started) and trial in self._scheduler.paused:
            self._taken_up(trial)
        elif isinstance(event, Paused | WentOn | Kept):
            self._epochs(trial, event.epoch)
        elif isinstance(event, Ended) and Status(event.status).ended:
            self._ended(trial, event)
        self._scheduler.given_up()

    def rest(self) -> None:
        """The epochs of the trials that were running."""
        for trial, rows in self._logs.items():
            if not self._records[trial].status.ended:
                self._epochs(trial, len(rows) - 1)

    def _suggested(self, trial: int) -> None:
        if not self._taken_over(trial):
            if (place := self._records[trial].foretold) is not None:
                self._scheduler.foretell(trial, place)
            self._scheduler.resume(self._unstarted)
            self._scheduler.start(trial, self._records[trial].control)
        self._unstarted -= 1

    def _taken_up(self, trial: int) -> None:
        if self._scheduler.resume(self._unstarted) != trial:
            self._scheduler.resume(0)  # the search had nothing new to offer
        self._scheduler.start(trial, self._records[trial].control)

    def _epochs(self, trial: int, last: int) -> None:
        for row in self._logs.get(trial, ())[self._told[trial] : max(last, 0)]:
            self._scheduler.on_epoch(trial, LoggedRow(row, self._scheduler.task))
            self._told[trial] += 1

    def _ended(self, trial: int, event: Ended) -> None:
        rows, status = self._logs.get(trial, ()), Status(event.status)
        if self._taken_over(trial):
            return
        if status is Status.FAILED:
            self._scheduler.forget(trial)
        elif event.reason == Reason.BY_HAND:
            self._epochs(trial, len(rows))
            self._scheduler.forget(trial)
            self._scheduler.leave(trial)
        elif trial in self._scheduler.paused:
            self._scheduler.leave(trial)
        elif rows and (status is Status.FINISHED or len(rows) == self._scheduler.task.epochs):
            self._epochs(trial, len(rows) - 1)
            self._scheduler.end(trial, LoggedRow(rows[-1], self._scheduler.task))
        else:
            self._epochs(trial, len(rows))

    def _taken_over(self, trial: int) -> bool:
        record = self._records[trial]
        return record.status is Status.FINISHED and record.started_at is None
