"""The driver's view of a running sweep: which trial is next, what each epoch means, how trials end.

Knows no Ray. Everything is written to the journal as it happens; a new driver on the same folder goes on from there.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from sweeps import course
from sweeps.ablation import OUTCOMES
from sweeps.config import SweepConfig
from sweeps.records import journal
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Origin, Reason, Status
from sweeps.records.reuse import Finished
from sweeps.schedulers.stopping import Decision, StoppingPolicy
from sweeps.searchers.search import RandomSearch, Search
from sweeps.seeds import SeedSchedule
from trainables import epoch_log
from trainables.forecast import Forecaster
from trainables.health import HealthConfig, Verdict, is_control
from trainables.metrics import is_metric

WORKER_DEATHS = 3  # of a trial, with no new epoch in between; then it is given up


class SweepRun:
    """Suggests trials, decides after each epoch, records every end.

    Args:
        config: the sweep.
        search: where new configurations come from.
        policy: when trials stop.
        forecaster: of collapse, logged with each suggestion.
        health: the thresholds of the verdict.
        finished: trials of other sweeps that need not be run again.
    """

    def __init__(
        self,
        config: SweepConfig,
        search: Search,
        policy: StoppingPolicy,
        forecaster: Forecaster,
        health: HealthConfig,
        finished: Finished | None = None,
    ) -> None:
        self.config, self.search, self.policy, self.forecaster, self.health, self.finished = (
            config,
            search,
            policy,
            forecaster,
            health,
            finished,
        )
        self.space = config.search_space()
        self.schedule = _schedule(config, self._value)
        self.journal = journal.Journal(config.folder)
        self.records: dict[int, TrialRecord] = journal.read(config.folder).trials
        self.latest: dict[int, Mapping[str, Any]] = {}  # the last epoch of every trial
        self.best: dict[int, Mapping[str, Any]] = {}  # the epoch whose numbers are the trial's
        self._named: dict[int, dict[int, Mapping[str, Any]]] = {}  # those that were it once, by epoch
        self.lock = threading.RLock()  # the progress display reads from its own thread
        self.stopping = ""  # why the sweep is being cut off: SIGNAL or TIME_BUDGET
        self.errors = 0  # of our own code, survived
        self._decisions: dict[int, Decision] = {}
        self._deaths: dict[int, tuple[int, int]] = {}  # the epoch that a trial had reached, its deaths there
        self._restore()
        self._to_run_alone: list[int] = []
        self._to_resume = [trial for trial, record in self.records.items() if not record.status.ended]

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing to pickle: Ray saves its own view of the experiment, which a resume never reads."""
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> SweepRun:
        return self

    @property
    def remaining(self) -> int:
        """Trials still to run, the interrupted ones included; of an ablation those before its next look."""
        with self.lock:
            if self.schedule:
                return self.schedule.remaining(self.records)
            return self.config.trials - sum(record.status.ended for record in self.records.values())

    @property
    def to_start(self) -> int:
        """How many of them have not been suggested yet."""
        with self.lock:
            if self.schedule:
                return self.schedule.to_start(self.records)
            return self.config.trials - len(self.records)

    @property
    def waiting(self) -> bool:
        """True while a trial has not ended: it may have to start again."""
        return any(not record.status.ended for record in self.records.values())

    def next_trial(self) -> TrialRecord | None:
        """The next trial to start: those that were cut off, new ones, at last those to run alone; None when there is
        none, or none yet (see `waiting`).
        """
        with self.lock:
            if self._to_resume:
                return self.records[self._to_resume.pop(0)]
            record = self._new_trial()
            while record is not None and self._reused(record):
                record = self._new_trial()
            if record is None and self._to_run_alone and not self._running():
                record = self.records[self._to_run_alone.pop(0)]
            return record

    def started(self, trial: int) -> None:
        """A worker has begun, or begun again, to train `trial`."""
        with self.lock:
            record = self.records[trial]
            record.status, record.reason, record.detail = Status.RUNNING, Reason.NONE, ""
            self.journal.append("started", trial=trial)

    def epoch(self, trial: int, row: Mapping[str, Any]) -> Decision:
        """Hear of an epoch, decide."""
        with self.lock:
            if "failure" in row:
                return Decision(False)
            self._hear(trial, row)
            self.records[trial].epoch = int(row["epoch"])
            decision = self.policy.on_epoch(trial, row, self.records[trial].control)
            if decision.stop:
                self._decisions[trial] = decision
            return decision

    def lost(self, trial: int, reason: str, detail: str) -> None:
        """The worker of a trial died: the trial goes on from its checkpoint, unless it gets nowhere.

        After the second death without a new epoch in between it waits until nothing else runs: whoever dies of a
        neighbour's hunger for memory is not to blame, whoever dies alone is.
        """
        with self.lock:
            record = self.records[trial]
            if record.status.ended:
                return
            reached, deaths = self._deaths.get(trial, (-1, 0))
            deaths = deaths + 1 if record.epoch <= reached else 1
            self._deaths[trial] = (max(reached, record.epoch), deaths)
            if deaths >= WORKER_DEATHS:
                self.policy.on_failure(trial)
                self._end(trial, Status.FAILED, reason, f"its worker died {deaths} times in a row; at last {detail}")
                return
            record.status, record.reason, record.detail = Status.PENDING, Reason(reason), f"starts again: {detail}"
            self.journal.append("lost", trial=trial, reason=reason, detail=detail)
            (self._to_resume if deaths == 1 else self._to_run_alone).append(trial)

    def ended(self, trial: int, row: Mapping[str, Any]) -> None:
        """A trial is over: by a decision, at the end of its budget, or by a failure. Idempotent."""
        with self.lock:
            if self.records[trial].status.ended:
                return
            if "failure" in row:
                self.policy.on_failure(trial)
                self._end(trial, Status.FAILED, row["failure"], row["failure_detail"])
            elif trial in self._decisions:
                decision = self._decisions.pop(trial)
                self._end(trial, Status.STOPPED, decision.reason, decision.detail)
            else:
                self._hear(trial, row)
                self._finish(trial, row)

    def interrupted(self, reason: str) -> None:
        """The sweep ends before its trials: what is left waits for a resume."""
        with self.lock:
            for trial, record in self.records.items():
                if not record.status.ended:
                    detail = (
                        f"cut off after epoch {record.epoch} of {self.config.epochs}; a resume goes on from there"
                    )
                    self._end(trial, Status.INTERRUPTED, reason, detail)

    def note_error(self, where: str, error: Exception) -> None:
        """Write down an error of the orchestration itself; the sweep goes on."""
        self.errors += 1
        with open(SweepFolder(self.config.folder).errors, "a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {where}\n{''.join(traceback.format_exception(error))}\n")

    def _running(self) -> bool:
        waiting = {*self._to_resume, *self._to_run_alone}
        return any(not record.status.ended and trial not in waiting for trial, record in self.records.items())

    def _finish(self, trial: int, row: Mapping[str, Any]) -> None:
        """The end of the budget; a trial condemned in its very last epoch is stopped in name."""
        verdict = Verdict(row.get("verdict", Verdict.HEALTHY))
        control = self.records[trial].control
        if verdict.condemned and self.policy.policy == "health-asha" and not control:
            self._end(trial, Status.STOPPED, verdict.value, row["verdict_detail"])
        else:
            self._end(trial, Status.FINISHED, "", "")

    def _new_trial(self) -> TrialRecord | None:
        trial = len(self.records) + 1
        if trial > self.config.trials:
            return None
        origin, config, seed = self._suggestion(trial)
        if config is None:
            return None
        forecasted = self.forecaster.forecast(config)
        forecast = forecasted.to_dict() if forecasted else {}
        control = is_control(self.config.seed, trial, self.health)
        self.journal.append(
            "suggested", trial=trial, config=config, origin=origin, seed=seed, control=control, forecast=forecast
        )
        record = self.records[trial] = TrialRecord(trial, config, origin, seed, control, forecast)
        return record

    def _reused(self, record: TrialRecord) -> bool:
        """True if another sweep has run the trial; it ends here with that one's numbers."""
        twin = self.finished.take(self.config.folder, record) if self.finished else None
        if twin is None:
            return False
        self._recall(record.trial, epoch_log.read_trial(self.config.folder, record.trial))
        self._end(record.trial, Status.FINISHED, "", f"run already, as {twin}")
        return True

    def _suggestion(self, trial: int) -> tuple[str, dict[str, Any] | None, int]:
        """Origin, configuration (None: there is nothing left to try) and seed of a new trial."""
        seed = self.config.seed
        if self.schedule:
            return self.schedule.next(self.records) or ("", None, seed)
        if trial == 1:
            return Origin.DOCUMENTED, self.space.documented(), seed
        if trial == 2:
            return Origin.BASELINE, self.space.baseline(), seed
        try:
            return Origin.SEARCH, self.search.suggest(trial), seed
        except Exception as error:
            self.note_error("search", error)
            return Origin.SEARCH, RandomSearch(self.space, seed).suggest(trial), seed

    def _value(self, record: TrialRecord, metric: str) -> float:
        """What an ablation compares: a metric at the end of a trial, NaN if it did not finish or has none."""
        if record.status is not Status.FINISHED:
            return math.nan
        if metric in OUTCOMES:
            row = self.latest.get(record.trial)
            return math.nan if row is None else float(row.get("verdict") in OUTCOMES[metric])
        if course.is_course(metric):
            rows = self._logged(record.trial)
            points = [(row["epoch"], row[name]) for row in rows if row.get(name := course.base(metric)) is not None]
            return course.value(metric, points, self.config.epochs)
        return record.metrics.get(metric, math.nan)

    def _tell_search(self, record: TrialRecord) -> None:
        try:
            self.search.tell(record)
        except Exception as error:
            self.note_error("search", error)

    def _end(self, trial: int, status: Status, reason: str, detail: str) -> None:
        record = self.records[trial]
        row = self.best.get(trial, {})
        if reason == Reason.OUT_OF_MEMORY and (advice := self.config.search_space().memory_advice()):
            detail = f"{detail}; {advice}"
        record.status, record.reason, record.detail, record.ended_at = status, Reason(reason), detail, time.time()
        record.epoch = int(self.latest.get(trial, {}).get("epoch", record.epoch))
        record.metrics = {
            name: float(value)
            for name, value in row.items()
            if is_metric(name) and isinstance(value, int | float) and math.isfinite(value)
        }
        self.journal.append(
            "ended",
            trial=trial,
            status=status,
            reason=reason,
            detail=detail,
            epoch=record.epoch,
            metrics=record.metrics,
        )
        self._tell_search(record)

    def _hear(self, trial: int, row: Mapping[str, Any]) -> None:
        """Keep the row, if its epoch is the trial's best so far: a later one may name it again after a sick spell."""
        self.latest[trial] = row
        best = row.get("best_epoch", row["epoch"])
        named = self._named.setdefault(trial, {})
        if best == row["epoch"]:
            named[best] = row
        self.best[trial] = named.get(best, row)

    def _recall(self, trial: int, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._hear(trial, row)

    def _logged(self, trial: int) -> list[dict[str, Any]]:
        """The epochs of a trial; of one whose file cannot be read none, which is noted: it costs that trial alone."""
        try:
            return epoch_log.read_trial(self.config.folder, trial)
        except epoch_log.LogError as error:
            self.note_error(f"trial {trial}", error)
            return []

    def _restore(self) -> None:
        """Teach search and policy what an earlier driver saw."""
        for trial, record in sorted(self.records.items()):
            self._tell_search(record)
            rows = self._logged(trial)
            if rows:
                self._recall(trial, rows)
                record.epoch = int(rows[-1]["epoch"])
            if record.status is not Status.FAILED:
                # The worker reports the last epoch of an unfinished trial again: it is decided then.
                self.policy.restore(trial, record.control, rows if record.status.ended else rows[:-1])


def _schedule(config: SweepConfig, value: Callable[[TrialRecord, str], float]) -> SeedSchedule | None:
    if config.ablation is None:
        return None
    return SeedSchedule(config.ablation, config.seed, config.metric[0], value)
