"""What became of a trial and of a sweep: one vocabulary for driver, journal, mirror, analysis and report.

Words of a newer program are kept as they are written and become `Outcome.OTHER`; they are never an error.
"""

from __future__ import annotations

from enum import StrEnum

from trainables.failure import Failure
from trainables.health import SICKNESSES, Verdict


class Status(StrEnum):
    """Where a trial stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"  # waits at its checkpoint for the scheduler to take it up again
    FINISHED = "FINISHED"  # trained for its whole budget
    STOPPED = "STOPPED"  # by the health verdict, outdone by others, or by hand
    FAILED = "FAILED"  # threw, ran out of memory, or lost its worker too often
    INTERRUPTED = "INTERRUPTED"  # cut by a signal or the time budget; a resume continues it
    OTHER = "OTHER"  # a word of a newer program; a resume continues it

    @property
    def ended(self) -> bool:
        """True if a resume leaves the trial alone."""
        return self in (Status.FINISHED, Status.STOPPED, Status.FAILED)

    @classmethod
    def _missing_(cls, value: object) -> Status | None:
        return cls.OTHER if isinstance(value, str) else None


class Reason(StrEnum):
    """Why a trial ended before its budget, or the sweep before its trials. A word that is not listed is kept."""

    NONE = ""
    NUMERIC = Verdict.NUMERIC.value
    COLLAPSED = Verdict.COLLAPSED.value
    CODEBOOK_COLLAPSED = Verdict.CODEBOOK_COLLAPSED.value
    DIVERGED = Verdict.DIVERGED.value
    IGNORES_Z = Verdict.IGNORES_Z.value
    RUNG = "RUNG"  # others did better, at a rung or by the median
    GIVEN_UP = "GIVEN_UP"  # no plausible way to the best; until its sweeps had this word, RUNG
    BY_HAND = "BY_HAND"  # somebody asked for it while the sweep ran
    ERROR = Failure.ERROR.value
    OUT_OF_MEMORY = Failure.OUT_OF_MEMORY.value
    WORKER_LOST = "WORKER_LOST"
    SIGNAL = "SIGNAL"  # the driver was told to end
    TIME_BUDGET = "TIME_BUDGET"
    CRASH = "CRASH"  # the run broke off
    DRIVER_LOST = "DRIVER_LOST"  # the driver died without a word

    @property
    def is_sickness(self) -> bool:
        """True for a stop by the verdict, and for a word that is not listed."""
        return self not in (Reason.NONE, Reason.RUNG, Reason.GIVEN_UP, Reason.BY_HAND)

    @property
    def is_outdone(self) -> bool:
        """True for a stop because of what other trials reached."""
        return self in (Reason.RUNG, Reason.GIVEN_UP)

    @classmethod
    def _missing_(cls, value: object) -> Reason | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_, unknown._value_ = "OTHER", value
        return unknown


class SweepStatus(StrEnum):
    """Where a sweep stands, by the last `sweep` event of its journal."""

    NONE = ""  # no event yet
    STARTED = "started"
    RESUMED = "resumed"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    OTHER = "other"  # a word of a newer program

    @property
    def ended(self) -> bool:
        """True once the driver has said its last word."""
        return self in (SweepStatus.FINISHED, SweepStatus.INTERRUPTED, SweepStatus.FAILED)

    @classmethod
    def _missing_(cls, value: object) -> SweepStatus | None:
        return cls.OTHER if isinstance(value, str) else None


class Origin(StrEnum):
    """Where the configuration of a trial comes from; in an ablation the name of its variant stands there."""

    TRIED = "tried"  # the user knows it to be good
    DOCUMENTED = "documented"
    BASELINE = "baseline"
    SEARCH = "search"


class Outcome(StrEnum):
    """What became of a trial, in the words of the report."""

    FINISHED = "finished"
    CONTROL = "kept as control"  # condemned, but kept running to measure false stops
    UNMET = "misses a requirement"
    IGNORES_Z = "ignores z"
    RUNG = "stopped at a rung"
    GIVEN_UP = "given up"  # it had no plausible way to the best
    BY_HAND = "stopped by hand"
    COLLAPSED = "collapsed"
    NUMERIC = "numeric"
    DIVERGED = "diverged"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    PENDING = "waiting"
    OTHER = "other"  # a reason or verdict that a newer program gave


_OF_STOP = {
    Reason.RUNG: Outcome.RUNG,
    Reason.GIVEN_UP: Outcome.GIVEN_UP,
    Reason.BY_HAND: Outcome.BY_HAND,
}
_OF_STATUS = {
    Status.FAILED: Outcome.FAILED,
    Status.INTERRUPTED: Outcome.INTERRUPTED,
    Status.RUNNING: Outcome.RUNNING,
    Status.PENDING: Outcome.PENDING,
    Status.PAUSED: Outcome.PENDING,
}


def outcome(
    status: Status, reason: Reason, verdict: Verdict | None, control: bool, sweep_ended: bool, met: bool = True
) -> Outcome:
    """What became of a trial.

    Args:
        status, reason: of the journal.
        verdict: after the last epoch; None where there is none.
        control: it was condemned and kept running.
        sweep_ended: whatever has not ended by then was cut off.
        met: the trial meets all that the sweep requires.
    """
    if status is Status.STOPPED:
        return _OF_STOP.get(reason) or _of_sickness(reason) or Outcome.OTHER
    if status is Status.FINISHED:
        if control:
            return Outcome.CONTROL
        if verdict is Verdict.OTHER:
            return Outcome.OTHER
        return _of_sickness(verdict) or (Outcome.FINISHED if met else Outcome.UNMET)
    if sweep_ended and not status.ended:
        return Outcome.INTERRUPTED
    return _OF_STATUS.get(status, Outcome.OTHER)


def _of_sickness(told: Reason | Verdict | None) -> Outcome | None:
    """That of a verdict, or of a stop for one; None where it is no sickness that is known here."""
    return next((Outcome(sickness.outcome) for verdict, sickness in SICKNESSES.items() if verdict == told), None)
