"""The driver's view of a running sweep: which trial is next, what each epoch means, how trials end.

Knows no Ray. Everything is written to the journal as it happens; a new driver on the same folder goes on from there.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from typing import Any

from sweeps import history
from sweeps.config import SweepConfig
from sweeps.forecasting import AnyForecaster
from sweeps.memory import Memory
from sweeps.records import journal, ranking, requests
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Kept, Lost, Paused, Started, Suggested, TrialRecord, WentOn
from sweeps.records.outcomes import Reason, Status
from sweeps.records.reuse import Finished
from sweeps.schedulers.base import GO_ON, Decision, LoggedRow, Scheduler, stop
from sweeps.searchers.base import Search
from sweeps.standing import Standing
from sweeps.suggestions import Suggestions
from sweeps.trial_queue import WORKER_DEATHS, TrialQueue
from trainables import epoch_log
from trainables.health import HealthConfig, Verdict, is_control
from trainables.requirements import unmet


class SweepRun:
    """Suggests trials, decides after each epoch, records every end.

    Args:
        config: the sweep.
        search: where new configurations come from; None for an ablation.
        scheduler: which trials stop, wait and go on.
        forecaster: of collapse, logged with each suggestion.
        health: the thresholds of the verdict.
        finished: trials of other sweeps that need not be run again.
        memory: earlier sweeps on the same data, which foretell the places of trials.
    """

    def __init__(
        self,
        config: SweepConfig,
        search: Search | None,
        scheduler: Scheduler[Any],
        forecaster: AnyForecaster,
        health: HealthConfig,
        finished: Finished | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.config, self.scheduler, self.forecaster = config, scheduler, forecaster
        self.health, self.finished, self.memory = health, finished, memory
        self.journal = journal.Journal(config.folder)
        told = journal.read(config.folder)
        self._trials_at_first = told.extended[0].before if told.extended else config.trials
        self.records: dict[int, TrialRecord] = told.trials
        self.problems = told.problems  # what is broken in the folder, and costs what it told
        self.lock = threading.RLock()  # the progress display reads from its own thread
        self.stopping = Reason.NONE  # why the sweep is being cut off
        self._asked_to_stop: set[int] = set()  # trials that end with their next epoch
        self.errors = 0  # of our own code, survived
        self.standing = Standing()
        self.suggestions = Suggestions(config, search, self.standing, self._logged, self.note_error)
        self._restore()
        self.queue = TrialQueue(
            trial
            for trial, record in self.records.items()
            if not record.status.ended and record.status is not Status.PAUSED
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing to pickle: Ray saves its own view of the experiment, which a resume never reads."""
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> SweepRun:
        return self

    @property
    def remaining(self) -> int:
        """Trials still to run, the interrupted ones included; of an ablation those before its next look."""
        with self.lock:
            return self.suggestions.remaining(self.records)

    @property
    def to_start(self) -> int:
        """How many of them have not been suggested yet."""
        with self.lock:
            return self.suggestions.to_start(self.records)

    @property
    def waiting(self) -> bool:
        """True while a trial has not ended: it may have to start again."""
        return any(not record.status.ended for record in self.records.values())

    @property
    def latest(self) -> dict[int, Mapping[str, Any]]:
        """The last epoch of every trial."""
        return self.standing.latest

    @property
    def best(self) -> dict[int, Mapping[str, Any]]:
        """The epoch of every trial whose numbers are its own."""
        return self.standing.best

    def best_trial(self) -> int | None:
        """The best of the trials that ended healthy and meet what is required; None if there is none."""
        return next((record.trial for record in self.ranked_trials()), None)

    def ranked_trials(self) -> list[TrialRecord]:
        """The trials that ended healthy and meet what is required, the best first."""
        finished = {trial: each.metrics for trial, each in self.records.items() if each.status is Status.FINISHED}
        return [self.records[trial] for trial in self._ranked(finished)]

    def best_so_far(self) -> int | None:
        """The best of all that are healthy and meet what is required, those that run included; None if none does."""
        return next(iter(self._ranked(self.best)), None)

    def _ranked(self, metrics: Mapping[int, Mapping[str, Any]]) -> list[int]:
        scores = {
            trial: [row.get(metric, math.nan) for metric in self.config.metric]
            for trial, row in metrics.items()
            if self.latest.get(trial, {}).get("verdict") == Verdict.HEALTHY
            and not unmet(self.config.requirements, row)
        }
        order = ranking.ranked(ranking.objectives(self.config.metric, self.config.mode), scores)
        return [trial for trial in order if math.isfinite(scores[trial][0])]

    def next_trial(self) -> TrialRecord | None:
        """The next trial for a free worker: who was cut off, who waits and may go on, a new one, at last who has to
        run alone; None when there is none, or none yet (see `waiting`). When nothing runs and nothing is to come, who
        still waits ends.
        """
        with self.lock:
            record = self._next()
            if record is None and not self._running() and self._end_all(self.scheduler.settle()):
                record = self._next()  # an ablation may add seeds now
            if record is not None:
                self.scheduler.start(record.trial, record.control)
                record.status = Status.PENDING
            return record

    def pauses(self, trial: int) -> list[int]:
        """The epochs after which a trial may have to wait."""
        with self.lock:
            return self.scheduler.pauses(trial)

    def started(self, trial: int) -> None:
        """A worker has begun, or begun again, to train `trial`."""
        with self.lock:
            record = self.records[trial]
            record.status, record.reason, record.detail, record.paused = Status.RUNNING, Reason.NONE, "", False
            self.journal.append(Started(trial))

    def epoch(self, trial: int, row: Mapping[str, Any]) -> Decision:
        """Hear of an epoch that is not the trial's last, decide, and carry it out."""
        with self.lock:
            if "failure" in row:
                return GO_ON
            self.standing.hear(trial, row)
            self.records[trial].epoch = int(row["epoch"])
            decision = self.scheduler.on_epoch(trial, LoggedRow(row, self.scheduler.task))
            if decision.stop:
                self._end(trial, Status.STOPPED, decision.reason, decision.detail)
            elif trial in self._asked_to_stop:
                decision = self._stop_by_hand(trial)
            elif row["epoch"] == self.config.until:
                decision = self._stop_by_hand(trial, f"asked for no more than {row['epoch']} epochs")
            elif decision.pause:
                self._pause(trial, decision)
            elif decision.keep:
                self._keep(trial, decision)
            elif decision.detail:
                self.journal.append(WentOn(trial, self.records[trial].epoch, decision.detail))
            self._end_all(self.scheduler.given_up())
            return decision

    def lost(self, trial: int, reason: Reason, detail: str) -> None:
        """The worker of a trial died: the trial goes on from its checkpoint, unless it gets nowhere."""
        with self.lock:
            record = self.records[trial]
            if record.status.ended or record.status is Status.PAUSED:
                return
            deaths = self.queue.lost(trial, record.epoch)
            if deaths < WORKER_DEATHS:
                record.status, record.reason, record.detail = Status.PENDING, reason, f"starts again: {detail}"
                self.journal.append(Lost(trial, reason, detail))
            else:
                self._fail(trial, reason, f"its worker died {deaths} times in a row; at last {detail}")

    def ended(self, trial: int, row: Mapping[str, Any]) -> None:
        """A trial has left its worker: by a decision, at the end of its budget, or by a failure. Idempotent."""
        with self.lock:
            record = self.records[trial]
            if record.status.ended or record.status is Status.PAUSED:
                return
            if "failure" in row:
                self._fail(trial, Reason(row["failure"]), row["failure_detail"])
                return
            self.standing.hear(trial, row)
            decision = self.scheduler.end(trial, LoggedRow(row, self.scheduler.task))
            if decision.stop:
                self._end(trial, Status.STOPPED, decision.reason, decision.detail)
            else:
                missed = unmet(self.config.requirements, self.standing.metrics(trial))
                self._end(trial, Status.FINISHED, Reason.NONE, "; ".join(missed))
            self._end_all(self.scheduler.given_up())

    def interrupted(self, reason: Reason) -> None:
        """The sweep ends before its trials: what is left waits for a resume."""
        with self.lock:
            for trial, record in self.records.items():
                if not record.status.ended:
                    how = "waiting" if record.status is Status.PAUSED else "cut off"
                    detail = f"{how} after epoch {record.epoch} of {self.config.epochs}; a resume goes on from there"
                    self._end(trial, Status.INTERRUPTED, reason, detail)

    def hear_requests(self) -> None:
        """Carry out what has been asked by hand: a trial that runs ends with its next epoch, another at once."""
        with self.lock:
            folder, asked = self.config.folder, requests.read(self.config.folder)
            if asked.sweep:
                self.stopping = self.stopping or Reason.BY_HAND
                requests.done(folder)
            for trial in asked.trials:
                record = self.records.get(trial)
                if record and (record.status is Status.PAUSED or trial in self.queue.waiting):
                    self._stop_by_hand(trial)
                if record is None or record.status.ended:
                    requests.done(folder, trial)
            self._asked_to_stop = asked.trials

    def note_error(self, where: str, error: Exception) -> None:
        """Write down an error of the orchestration itself; the sweep goes on."""
        self.errors += 1
        SweepFolder(self.config.folder).note_error(where, error)

    def _next(self) -> TrialRecord | None:
        if (trial := self.queue.pop()) is not None:
            return self.records[trial]
        if (trial := self.scheduler.resume(self.to_start)) is not None:
            return self.records[trial]
        if (record := self._new_trial()) is not None:
            return record
        if (trial := self.scheduler.resume(0)) is not None:
            return self.records[trial]
        self._end_all(self.scheduler.given_up())
        if not self._running() and (trial := self.queue.pop_alone()) is not None:
            return self.records[trial]
        return None

    def _running(self) -> bool:
        idle = self.queue.waiting
        return any(
            not record.status.ended and record.status is not Status.PAUSED and trial not in idle
            for trial, record in self.records.items()
        )

    def _new_trial(self) -> TrialRecord | None:
        """The next new trial that has to be run."""
        while (found := self.suggestions.next(self.records)) is not None:
            record = self._suggested(*found)
            if not self._reused(record):
                return record
        return None

    def _suggested(self, trial: int, origin: str, config: dict[str, Any], seed: int) -> TrialRecord:
        forecasted = self.forecaster.forecast(config)
        forecast = forecasted.to_dict() if forecasted else {}
        control = is_control(self.config.seed, trial, self.health)
        foretold = self.memory.foretold([config])[0] if self.memory else None
        if foretold is not None:
            self.scheduler.foretell(trial, foretold)
        self.journal.append(Suggested(trial, config, origin, seed, control, forecast, foretold=foretold))
        record = self.records[trial] = TrialRecord(trial, config, origin, seed, control, forecast, foretold=foretold)
        return record

    def _reused(self, record: TrialRecord) -> bool:
        """True if another sweep has run the trial; it ends here with that one's numbers."""
        twin = self.finished.take(self.config.folder, record) if self.finished else None
        if twin is None:
            return False
        self.standing.recall(record.trial, epoch_log.read_trial(self.config.folder, record.trial))
        self._end(record.trial, Status.FINISHED, Reason.NONE, f"run already, as {twin}")
        return True

    def _pause(self, trial: int, decision: Decision) -> None:
        record = self.records[trial]
        record.status, record.paused = Status.PAUSED, True
        record.reason, record.detail = decision.reason, decision.detail
        record.metrics = self.standing.metrics(trial)
        self.journal.append(Paused(trial, record.epoch, record.reason, record.detail))
        self.suggestions.tell(record)

    def _keep(self, trial: int, decision: Decision) -> None:
        record = self.records[trial]
        record.kept = Kept(trial, record.epoch, decision.reason, decision.detail)
        self.journal.append(record.kept)

    def _stop_by_hand(self, trial: int, why: str = "") -> Decision:
        """End a trial that somebody wants ended; as one that failed, it stands in nobody's way."""
        self.queue.remove(trial)
        self.scheduler.forget(trial)
        self.scheduler.leave(trial)
        epoch = self.records[trial].epoch
        when = f"at epoch {epoch}" if epoch else "before its first epoch"
        decision = stop(Reason.BY_HAND, why or f"stopped by hand {when}")
        self._end(trial, Status.STOPPED, decision.reason, decision.detail)
        self._end_all(self.scheduler.given_up())
        return decision

    def _fail(self, trial: int, reason: Reason, detail: str) -> None:
        self.scheduler.forget(trial)
        self._end(trial, Status.FAILED, reason, detail)
        self._end_all(self.scheduler.given_up())

    def _end_all(self, decisions: list[tuple[int, Decision]]) -> bool:
        """Stop trials that wait, but for controls among them; True if there were any."""
        for trial, decision in decisions:
            if decision.keep:
                self._keep(trial, decision)
            else:
                self._end(trial, Status.STOPPED, decision.reason, decision.detail)
        return bool(decisions)

    def _end(self, trial: int, status: Status, reason: Reason, detail: str) -> None:
        record = self.records[trial]
        if reason == Reason.OUT_OF_MEMORY and (advice := self.config.search_space().memory_advice()):
            detail = f"{detail}; {advice}"
        record.status, record.reason, record.detail, record.ended_at = status, reason, detail, time.time()
        record.epoch = int(self.latest.get(trial, {}).get("epoch", record.epoch))
        record.metrics = self.standing.end(trial)
        self.journal.append(Ended(trial, status, reason, detail, record.epoch, record.metrics))
        self.suggestions.tell(record)

    def _logged(self, trial: int) -> list[dict[str, Any]]:
        """The epochs of a trial; of one whose file cannot be read none: it costs that trial alone, and is told."""
        try:
            return epoch_log.read_trial(self.config.folder, trial)
        except epoch_log.LogError as error:
            self.problems.append(f"{error}; trial {trial} is taken for one without epochs")
            return []

    def _restore(self) -> None:
        """Teach search and scheduler what an earlier driver saw."""
        task, logs = self.scheduler.task, {}
        columns = task.columns
        for trial, record in sorted(self.records.items()):
            rows = self._logged(trial)
            if rows:
                self.standing.recall(trial, rows)
                record.epoch = int(rows[-1]["epoch"])
                logs[trial] = [{name: row[name] for name in columns if row.get(name) is not None} for row in rows]
        events = journal.events(self.config.folder, [])  # what cannot be read is told already
        history.retell(self.scheduler, events, self.records, logs, self._trials_at_first)
        for record in self.records.values():
            if record.paused and not record.status.ended:
                record.status, record.metrics = Status.PAUSED, self.standing.metrics(record.trial)
            self.suggestions.tell(record)
