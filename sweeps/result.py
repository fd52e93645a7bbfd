"""What a sweep has found, for people and programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sweeps.exit_codes import ExitCode
from sweeps.records import journal, record
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Reason, Status, SweepStatus
from trainables.requirements import unmet

if TYPE_CHECKING:
    import pyarrow as pa
    from torch import nn

    from analysis.confirmed import Confirmed
    from analysis.sweep import Sweep, Trial
    from sweeps.records.journal import SweepState
    from sweeps.records.record import SweepRecord
    from sweeps.run_state import SweepRun


@dataclass(frozen=True)
class SweepResult:
    """A sweep that has ended, for now or for good. Everything is read from its folder when it is asked for.

    Args:
        folder: of the sweep.
        status: how it ended; the exit status of `sweeps/run.py`.
        detail: a sentence about it.
        resumable: True if a resume would go on.
    """

    folder: Path
    status: ExitCode
    detail: str
    resumable: bool = False

    @cached_property
    def sweep(self) -> Sweep:
        """The whole sweep as the report reads it.

        Raises:
            analysis.sweep.SweepError: the folder cannot be read.
        """
        from analysis.sweep import load

        return load(self.folder)

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number: configuration (`record.config`), metrics of the best epoch, verdict, outcome."""
        return self.sweep.trials

    @property
    def best(self) -> Trial | None:
        """The best healthy trial; None if there is none."""
        from analysis.tables import best_trial

        return best_trial(self.sweep)

    @property
    def confirmed(self) -> Confirmed | None:
        """The best configurations with further seeds, told on the test part; None where nothing was confirmed."""
        from analysis.confirmed import confirmed

        return confirmed(self.sweep)

    def table(self) -> pa.Table:
        """A row a trial: number, origin, outcome, reason, epochs, `config/…` and metrics."""
        import pyarrow as pa

        rows = [
            {
                "trial": trial.number,
                "origin": trial.record.origin,
                "outcome": str(trial.outcome),
                "reason": trial.record.detail,
                "epochs": trial.epochs,
                **{f"config/{name}": value for name, value in trial.record.config.items()},
                **trial.metrics,
            }
            for trial in self.trials
        ]
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in names})

    def report(self, out: Path | None = None) -> Path:
        """Write the report as one HTML file, to `out` or into the sweep's folder; returns its path."""
        from analysis import report

        return report.write(self.folder, out)

    def export(self, out: Path | None = None, trial: int | None = None) -> Path:
        """Write a trial's model with its card to the folder `out`; returns it. None: of the confirmed, else the best.

        Raises:
            analysis.sweep.SweepError: there is no such trial, no healthy one, or it has no checkpoint.
        """
        from analysis import export

        return export.write(self.folder, out, trial)

    def model(self, trial: int | None = None) -> nn.Module:
        """A trial's model as it was at its best epoch, on the CPU. None: the confirmed one, else the best.

        Raises:
            analysis.sweep.SweepError: there is no such trial, no healthy one, or it has no checkpoint.
        """
        from analysis import export

        return export.model(self.folder, trial)


def result(run: SweepRun, best: int | None, crashed: str) -> SweepResult:
    """How a run ended. `crashed`: what broke it off, '' if nothing did."""
    records = list(run.records.values())
    unfinished = any(not record.status.ended for record in records)
    reasons = Counter[str](record.reason for record in records if record.reason)
    finished = [record for record in records if record.status is Status.FINISHED]
    if missing := sum(bool(unmet(run.config.requirements, record.metrics)) for record in finished):
        reasons["not as required"] = missing
    counts = ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common()) or "no trial was stopped"
    resumable = run.remaining > 0 and (bool(run.stopping) or unfinished or bool(crashed))

    def ended(status: ExitCode, detail: str) -> SweepResult:
        return SweepResult(run.config.folder, status, detail, resumable)

    if crashed:
        return ended(ExitCode.FAILED, f"the run broke off: {crashed}")
    if run.stopping == Reason.TIME_BUDGET and best is not None:
        return ended(ExitCode.FINISHED, f"the time budget is spent; {counts}")
    if (run.stopping and run.remaining > 0) or unfinished:
        return ended(ExitCode.INTERRUPTED, f"interrupted; {counts}")
    if all(record.status is Status.FAILED for record in records):
        return ended(ExitCode.FAILED, f"every trial failed; {counts}")
    if best is None:
        required = f" and meets {' and '.join(run.config.require)}" if run.config.require else ""
        return ended(
            ExitCode.NO_HEALTHY_TRIAL, f"no trial ended healthy{required}, so there is no best one; {counts}"
        )
    return ended(ExitCode.FINISHED, counts)


def recorded_result(folder: Path) -> SweepResult:
    """What the journal of a sweep says of its end.

    Raises:
        sweeps.records.record.RecordError: its record cannot be read.
    """
    state, written = journal.read(folder), record.read(folder)
    unended = any(not trial.status.ended for trial in state.trials.values())
    resumable = not written.outside and (unended or _to_confirm(folder, written, state))
    if state.status is SweepStatus.FAILED:
        return SweepResult(folder, ExitCode.FAILED, state.detail, resumable)
    if state.status is not SweepStatus.FINISHED:
        return SweepResult(folder, ExitCode.INTERRUPTED, state.detail, resumable)
    status = ExitCode.NO_HEALTHY_TRIAL if state.best is None else ExitCode.FINISHED
    return SweepResult(folder, status, state.detail, resumable)


def _to_confirm(folder: Path, written: SweepRecord, state: SweepState) -> bool:
    """True if the best of the sweep have yet to be trained with further seeds, or with some of them."""
    if written.config.confirm is None:
        return False
    confirmation = SweepFolder(folder).confirmation
    if confirmation.exists:
        return journal.read(confirmation.path).status is not SweepStatus.FINISHED
    return state.status is not SweepStatus.FINISHED or state.best is not None
