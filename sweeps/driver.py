"""A sweep from its settings to its result. Prints nothing and knows no report: a `Listener` hears what happens."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import resolve
from search_spaces.reference import CODE, write_copy
from sweeps import confirm, confirmation, remembering, schedulers
from sweeps.config import ConfigError, SweepConfig
from sweeps.exit_codes import ExitCode
from sweeps.listener import Listener
from sweeps.preparation import Prepared
from sweeps.records import journal, lock, ranking, record, requests
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Extended, SweepEvent
from sweeps.records.outcomes import Reason, SweepStatus
from sweeps.records.record import RecordError, SweepRecord
from sweeps.remembering import Learnt
from sweeps.result import SweepResult, result
from sweeps.suggestions import search_of
from trainables.health import HealthConfig

if TYPE_CHECKING:
    from sweeps.forecasting import AnyForecaster
    from sweeps.memory import Memory
    from sweeps.plan import Plan
    from sweeps.run_state import SweepRun
    from sweeps.tracking.process import TrackingProcess

_STATUS_OF_CODE = {ExitCode.INTERRUPTED: SweepStatus.INTERRUPTED, ExitCode.FAILED: SweepStatus.FAILED}
MIRROR_TIMEOUT = 120  # seconds to wait for the tracking server at the end
HEARTBEAT = 1.0  # seconds between looks at the mirror


class Driver:
    """Plans, starts or resumes one sweep.

    Args:
        prepared: the sweep, with its data.
        listener: hears what happens.
        resuming: it is there already, and goes on.
        alone: trials are repeated, or confirmed: what other sweeps have run does not count.
    """

    def __init__(
        self, prepared: Prepared, listener: Listener | None = None, *, resuming: bool = False, alone: bool = False
    ) -> None:
        self.prepared, self.config, self.dataset = prepared, prepared.config, prepared.dataset
        self.listener = listener or Listener()
        self._resuming, self._alone = resuming, alone
        self._began = time.monotonic()
        for text in prepared.said:
            self.listener.said(text)
        for about, lines in prepared.notes.items():
            for line in lines:
                self.listener.noted(about, line)

    def plan(self) -> Plan:
        """What would run, on the processors of this machine; starts nothing."""
        cpus = os.cpu_count() or 1
        most = min(self.config.max_concurrent or cpus, self.config.trials)
        slots = max(1, min(int(cpus / self.config.cpus_per_trial), most))
        return self._planned(self._forecaster(), slots)

    def run(self) -> SweepResult:
        """Run all trials that are left.

        Raises:
            ConfigError: cluster, tracking server or disk do not allow it, or another driver works on the sweep;
                nothing was started.
        """
        folder = self.config.folder
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(self.config):
            try:
                return self._run()
            except BaseException:
                if made and folder.is_dir():
                    _free_name(folder)
                raise

    def _run(self) -> SweepResult:
        from sweeps import kl_weight
        from sweeps.cluster import connection
        from sweeps.tracking.process import TrackingProcess

        config, forecaster = self.config, self._forecaster()
        connection.connect()
        planned = self._planned(forecaster, connection.slots(config))
        if not self._alone and (warning := kl_weight.warning(planned.kl_weight)):
            self.listener.warned(warning)
        self._preflight(planned.disk_bytes)
        written = self._resumed() if self._resuming else self._started(planned)
        run = self._state(written, forecaster)
        requests.done(config.folder)  # whoever wanted the sweep ended did not mean this driver
        run.journal.append(SweepEvent(SweepStatus.RESUMED if self._resuming else SweepStatus.STARTED))
        for problem in run.problems:
            self.listener.warned(f"{problem}.")
        tracking = TrackingProcess(config.folder, config.tracking_uri)
        tracking.start()
        self._say_start(run, planned.slots)
        crashed = self._fit(run, tracking, planned.slots) if run.remaining > 0 else ""
        return self.close(run, tracking, crashed)

    def _planned(self, forecaster: AnyForecaster, slots: int) -> Plan:
        from sweeps import plan

        return plan.make(self.config, self.dataset.source, forecaster, self.prepared.cost, slots, self._memory)

    def _started(self, planned: Plan) -> SweepRecord:
        from sweeps import plan

        if self.config.code:
            write_copy(resolve(self.config.code), self.config.folder / CODE)
        thresholds = HealthConfig.from_record(self.config.search_space().thresholds)
        health = schedulers.parse(self.config.scheduler).settings.health(thresholds)
        written = record.new(self.config, self.dataset, health, self.prepared.notes)
        if self.prepared.references is not None:
            self.prepared.references.keep(self.config.folder)
        if self._learnt.said:
            remembering.write(self._learnt, self.config.folder)
        record.write(written, self.config.folder)
        plan.write(self.config, planned)
        return written

    def _resumed(self) -> SweepRecord:
        was = recorded(self.config.folder, "--resume")
        written = record.resumed(was, self.config)
        if written.data.fingerprint != self.dataset.fingerprint:
            changed = f"{self.dataset.source} has changed since; start a new sweep"
            raise ConfigError([f"--resume {self.config.name}: {changed}"])
        before, trials = was.config.trials, self.config.trials
        if trials > before:
            journal.Journal(self.config.folder).append(Extended(before, trials))
            self.listener.said(f"{self.config.name} had {before} trials, and is given {trials}.")
        record.write(written, self.config.folder)
        return written

    def _state(self, written: SweepRecord, forecaster: AnyForecaster) -> SweepRun:
        from sweeps.records.reuse import Finished
        from sweeps.run_state import SweepRun
        from sweeps.schedulers.base import Task

        config, health = self.config, written.health
        first, *further = ranking.objectives(config.metric, config.mode)
        required = tuple(config.requirements)
        task = Task(config.epochs, first.metric, first.mode, health.grace_share, tuple(further), required)
        return SweepRun(
            config,
            None if config.ablation else search_of(config, self._memory, forecaster),
            schedulers.parse(config.scheduler).make(task),
            forecaster,
            health,
            Finished(config, written) if config.ablation and not self._alone else None,
            self._memory,
        )

    @cached_property
    def _learnt(self) -> Learnt:
        """What earlier sweeps tell; nothing of an ablation, whose trials are given, and of a trial repeated alone."""
        if self.config.ablation or self._alone:
            return Learnt()
        if self._resuming:
            return remembering.read(self.config.folder)
        return remembering.find(self.config, self.dataset.fingerprint)

    @cached_property
    def _memory(self) -> Memory | None:
        for line in self._learnt.said:
            self.listener.said(line)
        return self._learnt.memory(self.config)

    def _forecaster(self) -> AnyForecaster:
        from sweeps.forecasting import forecaster

        return forecaster(self.config, self.dataset)

    def _preflight(self, disk_bytes: float) -> None:
        from sweeps.cluster import connection
        from sweeps.tracking import trackers

        problems = connection.problems(self.config, disk_bytes)
        if trouble := trackers.check(self.config.tracking_uri):
            problems.append(trouble)
        if problems:
            raise ConfigError(problems)

    def _say_start(self, run: SweepRun, slots: int) -> None:
        from sweeps.outlook import outlook

        config, ablation = self.config, self.config.ablation
        for line in outlook(ablation) if ablation else []:
            self.listener.said(line)
        more = f" and at most {config.trials} in all" if ablation and len(ablation.looks) > 1 else ""
        self.listener.said(
            f"Sweep {config.name}: {run.remaining} trials{more} of {config.epochs} epochs, {slots} at once, "
            f"in {config.folder}. MLflow: {config.tracking_uri}"
        )
        if not ablation:
            self.listener.said(confirm.told(config.confirm, config.trials))

    def _confirmed(self, run: SweepRun, found: SweepResult) -> SweepResult:
        """Train the best of a search that has ended again with further seeds; how the whole ended then."""
        config, ended = self.config, (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL)
        if config.confirm is None or run.stopping or found.status not in ended:
            return found
        healthy = run.ranked_trials()
        if not healthy:
            self.listener.said("No configuration to confirm: none ended healthy.")
            return found
        left = config.time_budget and max(1.0, config.time_budget - (time.monotonic() - self._began))
        confirming = confirmation.settings(config, healthy, left)
        self.listener.said(confirmation.announced(confirming))
        again = Driver(
            replace(self.prepared, config=confirming, said=()),
            confirmation.Confirming(self.listener),
            resuming=SweepFolder(confirming.folder).exists,
            alone=True,
        )
        try:
            return confirmation.ended(found, again.run())
        except ConfigError as error:  # as where the disk is full by now: the search has ended all the same
            for problem in error.problems:
                self.listener.warned(f"Not confirmed: {problem}.")
            return replace(found, resumable=True)

    def _fit(self, run: SweepRun, tracking: TrackingProcess, slots: int) -> str:
        from sweeps.cluster.fit import fit

        with self._kept_alive(tracking), self.listener.watching(run, tracking):
            return fit(run, str(self.dataset.path), slots)

    @contextmanager
    def _kept_alive(self, tracking: TrackingProcess) -> Iterator[None]:
        """Start the mirror again when it dies."""
        done = threading.Event()

        def look() -> None:
            while not done.wait(HEARTBEAT):
                if trouble := tracking.poll():
                    self.listener.warned(trouble)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def close(self, run: SweepRun, tracking: TrackingProcess, crashed: str) -> SweepResult:
        """Record the end, tell it, and wait for the mirror."""
        unfinished = run.remaining > 0 and any(not each.status.ended for each in run.records.values())
        if unfinished or crashed:
            run.interrupted(run.stopping or (Reason.CRASH if crashed else Reason.SIGNAL))
        best = run.best_trial()
        found = self._confirmed(run, result(run, best, crashed))
        status = _STATUS_OF_CODE.get(found.status, SweepStatus.FINISHED)
        status = SweepStatus.INTERRUPTED if run.stopping == Reason.TIME_BUDGET else status
        run.journal.append(SweepEvent(status, found.detail, best))
        try:
            self.listener.ended(found)
        except Exception as error:  # costs what was to be shown, not the sweep
            run.note_error("the end", error)
        if not tracking.finish(MIRROR_TIMEOUT):
            later = f"Send it later: python -m sweeps.tracking {self.config.folder} --once"
            self.listener.warned(f"{tracking.status_line()} {later}")
        return found


def recorded(folder: Path, option: str) -> SweepRecord:
    """The record of the sweep in `folder`, which `option` names, to train more of it.

    Raises:
        ConfigError: it cannot be read, or another script ran it.
    """
    try:
        found = record.read(folder)
    except RecordError as error:
        raise ConfigError([f"{option} {folder.name}: {line}" for line in str(error).splitlines()]) from None
    if found.outside:
        raise ConfigError([f"{option} {folder.name}: {found.not_ours(folder)}"])
    return found


@contextmanager
def _exclusive(config: SweepConfig) -> Iterator[None]:
    """One driver a sweep."""
    try:
        with lock.exclusive(SweepFolder(config.folder).lock):
            yield
    except lock.Held as held:
        raise ConfigError([f"sweep {config.name} is running already; wait for it or stop it first: {held}"]) from None


def _free_name(folder: Path) -> None:
    """Remove the folder of a sweep that never began, so that its name stays free.

    It goes only if it holds nothing but the lock and probes of the preflight; whatever else is in it stays.
    """
    from sweeps.cluster.connection import PROBE

    found = list(folder.iterdir())
    if all(path == SweepFolder(folder).lock or path.name.startswith(PROBE) for path in found):
        for path in found:
            path.unlink(missing_ok=True)
        folder.rmdir()
