"""One idempotent pass from a sweep's folder to MLflow: one experiment a model, one parent run a sweep, one child
a trial.

What the server already has is asked of the server when a mirror starts and after every error, so neither a lost
answer nor a lost state file, a restarted server or an emptied one makes a duplicate or leaves a gap.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from mlflow import MlflowClient

from sweeps.records import journal
from sweeps.records import record as records
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import SweepState, TrialRecord
from sweeps.records.outcomes import Status
from sweeps.records.record import SweepRecord
from sweeps.tracking import projection, state
from sweeps.tracking.pictures import Pictures
from sweeps.tracking.server import SWEEP, SweepRuns, describe, is_transient
from sweeps.tracking.trackers.base import Summary
from trainables import epoch_log
from trainables.files import ARRAYS

_UNTIL_IT_ENDS = (Status.PENDING, Status.RUNNING, Status.PAUSED)


class Mirror:
    """Projects the sweep in folder `sweep` into the MLflow store at `tracking_uri`."""

    def __init__(self, sweep: Path, tracking_uri: str) -> None:
        self.sweep = sweep.resolve()
        self._folder = SweepFolder(self.sweep)
        self.tracking_uri = tracking_uri
        self._state = state.read(self.sweep)
        if self._state.tracking_uri != tracking_uri:
            self._state = state.MirrorState(tracking_uri)
        self._journal = journal.Reader(self.sweep)
        self._runs: SweepRuns | None = None
        self._settled: set[int] = set()  # trials that have ended and of which all was sent
        self._stamps: dict[int, tuple[tuple[int, int], ...]] = {}
        self._logs: dict[int, projection.LogSummary] = {}
        self._pictures = Pictures(self._folder)
        self._problems: list[str] = []
        self._failed = False

    def sync(self, driver_lost: bool = False) -> Summary:
        """Send whatever the folder has and the server lacks.

        Args:
            driver_lost: the sweep's driver is dead, so that what the journal says to be running is not.

        Raises:
            MlflowException: the server cannot be reached or is broken; nothing is lost, try again.
        """
        record = records.read(self.sweep)
        journal_size = _size(self._folder.journal)
        sweep_state = self._journal.read()
        self._settled -= self._journal.changed
        ended = sweep_state.status.ended
        if driver_lost:
            self._state.driver_lost_at = journal_size
        if ended or self._state.driver_lost_at == journal_size:
            sweep_state = projection.as_lost(sweep_state)

        try:
            self._pass(record, sweep_state)
            if ended and self._failed:  # a request given up on may have been carried out late: look once more
                self._forget()
                self._pass(record, sweep_state)
        except Exception as error:
            self._failed = True
            self._save(describe(error), reachable=not is_transient(error))
            self._forget()
            raise
        self._failed = self._failed and not ended
        summary = self._summary(ended)
        self._save("; ".join(self._problems[:3]), complete=summary.complete)
        if self._problems:
            self._forget()
        return summary

    def _pass(self, record: SweepRecord, sweep_state: SweepState) -> None:
        self._problems = []
        runs = self._runs = self._runs or self._connect(record)
        if SWEEP not in runs.sent:
            runs.send(SWEEP, replace(projection.sweep_view(record, sweep_state, self._logs), status="RUNNING"))
        if sweep_state.status.ended:
            self._settled.clear()  # all are looked at once more
        trials = [
            trial
            for trial in sweep_state.trials.values()
            if trial.status != Status.PENDING and trial.trial not in self._settled
        ]
        for trial in trials:
            with self._apart(f"trial {trial.trial}"):
                self._send_trial(runs, record, trial)
        for trial in trials:
            if trial.status not in _UNTIL_IT_ENDS and trial.trial in runs.sent:
                with self._apart(f"artifacts of trial {trial.trial}"):
                    self._pictures.draw(trial.trial)
                    runs.upload(trial.trial, _files(self._folder.artifacts(trial.trial)))
            if trial.status.ended and self._logs.get(trial.trial, projection.LogSummary()).epochs >= trial.epoch:
                self._settled.add(trial.trial)
        with self._apart("artifacts of the sweep"):
            self._send_sweep_files(runs, record)
        if sweep_state.best is not None:
            with self._apart(f"model of the best trial, {sweep_state.best}"):
                self._send_best(runs, record, sweep_state.trials[sweep_state.best])
        with self._apart("the sweep"):
            self._send_sweep(runs, record, sweep_state)

    def _connect(self, record: SweepRecord) -> SweepRuns:
        remote = self.tracking_uri.startswith(("http:", "https:", "databricks"))
        return SweepRuns(
            MlflowClient(self.tracking_uri),
            record.model,
            record.id,
            None if remote else self.sweep.parent / "mlartifacts" / record.model,
            {run["run_id"]: run["artifacts"] for run in self._state.runs.values()},
        )

    def _send_trial(self, runs: SweepRuns, record: SweepRecord, trial: TrialRecord) -> None:
        """Epochs are sent once: one that a resume trained again keeps the values it had at first."""
        index = trial.trial
        log = self._logs.get(index, projection.LogSummary())
        sent = runs.sent[index].epochs if index in runs.sent else 0
        stamp = epoch_log.stamp(self.sweep, index)
        points = []
        if stamp and (stamp != self._stamps.get(index) or trial.epoch > log.epochs):
            rows = epoch_log.read_trial(self.sweep, index)
            log = self._logs[index] = projection.summarise(rows)
            points = projection.points(trial, rows, after=sent)
        view = projection.trial_view(record, trial, replace(log, epochs=max(log.epochs, sent)))
        runs.send(index, view, points)
        if stamp:
            self._stamps[index] = stamp

    def _send_sweep_files(self, runs: SweepRuns, record: SweepRecord) -> None:
        files = (self._folder.record, self._folder.plan, self._folder.report)
        runs.upload(SWEEP, [path for path in files if path.exists()])
        versions = (f"{name}=={version}\n" for name, version in record.packages.items())
        runs.upload_text(SWEEP, "requirements.txt", "".join(versions))

    def _send_best(self, runs: SweepRuns, record: SweepRecord, trial: TrialRecord) -> None:
        if not record.data.shape:
            return  # a loop of the user's own, which alone knows its model
        best, epoch = runs.sent[trial.trial], self._logs[trial.trial].best_epoch
        if best.tags.get("model.epoch") != str(epoch):
            from sweeps.tracking.model import has_model, log_model

            if not has_model(self._folder.trial(trial.trial)):
                return
            uri = log_model(
                runs.client,
                self.tracking_uri,
                best.run,
                self._folder.trial(trial.trial),
                epoch,
                record.data.shape,
            )
            runs.tag(trial.trial, {"model.uri": uri, "model.epoch": str(epoch)})

    def _send_sweep(self, runs: SweepRuns, record: SweepRecord, sweep_state: SweepState) -> None:
        view = projection.sweep_view(record, sweep_state, self._logs)
        if best := runs.sent.get(int(view.tags.get("best.trial", -1))):
            model = {"best.model_uri": best.tags["model.uri"]} if "model.uri" in best.tags else {}
            view = replace(view, tags=view.tags | {"best.run_id": best.run_id} | model)
        runs.send(SWEEP, view)

    @contextmanager
    def _apart(self, what: str) -> Iterator[None]:
        """Note what the server refuses, or what is broken in the folder, and go on with the rest."""
        try:
            yield
        except Exception as error:
            if is_transient(error):
                raise
            self._problems.append(f"{what}: {describe(error)}")

    def _forget(self) -> None:
        """Ask the server again, next time, what it has."""
        self._runs = None
        self._stamps.clear()
        self._settled.clear()

    def _summary(self, ended: bool) -> Summary:
        sent = self._runs.sent if self._runs else {}
        epochs = sum(run.epochs for key, run in sent.items() if key != SWEEP)
        return Summary(len(sent), epochs, ended, tuple(self._problems))

    def _save(self, error: str, reachable: bool = True, complete: bool = False) -> None:
        """Write the state, if it has changed."""
        runs = self._state.runs
        if self._runs is not None:
            runs = {
                "sweep" if key == SWEEP else str(key): {
                    "run_id": sent.run_id,
                    "epochs": sent.epochs,
                    "status": sent.status,
                    "artifacts": dict(sent.artifacts),
                }
                for key, sent in sorted(self._runs.sent.items())
            }
        self._state = replace(
            self._state,
            experiment_id=self._runs.experiment_id if self._runs else self._state.experiment_id,
            runs=runs,
            epochs=sum(run["epochs"] for run in runs.values()),
            complete=complete,
            error=error,
            reachable=reachable,
            failing_since=(self._state.failing_since or time.time()) if error else None,
        )
        if self._state != state.read(self.sweep):
            state.write(self.sweep, self._state)


def _files(folder: Path) -> list[Path]:
    """Its files, without those still being written (their names start with a dot), and the arrays behind pictures."""
    found = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
    return [path for path in found if not path.match(ARRAYS)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
