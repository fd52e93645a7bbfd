"""The journal of a sweep: what was suggested, what became of it. The one truth that a resume starts from.

`<sweep>/trials.jsonl`, one JSON object a line, appended and flushed to disk by the driver alone *before* the
thing it tells happens (a suggestion) or as soon as it has (an end). A last line cut short by a crash is ignored; any
other line that cannot be read costs what it tells, and is named in `SweepState.problems`.

    {"event": "suggested", "trial": 3, "config": {…}, "seed": 0, "origin": "tried|documented|baseline|search|VARIANT",
     "control": false, "forecast": {"sigma2": …, "au": …, "kl_low": …, "kl_high": …, "collapsed": false,
     "collapse_probability": …, "basis": "theory|recorded|own sweeps", …}, "name": "a1b2c_00003",
     "foretold": 0.8, "time": …}
    {"event": "started", "trial": 3, "time": …}
    {"event": "paused", "trial": 3, "epoch": 2, "reason": "RUNG", "detail": "…", "time": …}   waits at its checkpoint
    {"event": "went on", "trial": 3, "epoch": 2, "detail": "…", "time": …}   it might have had to wait there
    {"event": "kept", "trial": 3, "epoch": 7, "reason": "COLLAPSED", "detail": "…", "time": …}  a control: not stopped
    {"event": "lost", "trial": 3, "reason": "WORKER_LOST|OUT_OF_MEMORY", "detail": "…", "time": …}  its worker died
    {"event": "ended", "trial": 3, "status": "FINISHED|STOPPED|FAILED|INTERRUPTED", "reason": "COLLAPSED",
     "detail": "a sentence with the numbers", "epoch": 7, "metrics": {…}, "time": …}
    {"event": "extended", "before": 50, "trials": 100, "time": …}   how many trials the sweep had and has
    {"event": "sweep", "status": "started|resumed|finished|interrupted|failed", "detail": "…", "best": 3, "time": …}
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeps.records.folder import SweepFolder
from sweeps.records.new_lines import Line, NewLines
from sweeps.records.outcomes import Reason, Status, SweepStatus
from trainables.files import append_lines, drop_torn_line
from trainables.metrics import TEST_ENVIRONMENT, of_older_program


@dataclass(frozen=True)
class Suggested:
    """A configuration was chosen for a trial. `name`: what another search calls it, '' in one of ours; `foretold`:
    the place that earlier sweeps on the same data expect of it, 1 for the best."""

    trial: int
    config: dict[str, Any]
    origin: str
    seed: int = 0
    control: bool = False
    forecast: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    foretold: float | None = None
    time: float = 0.0


@dataclass(frozen=True)
class Started:
    """A worker has begun, or begun again, to train a trial."""

    trial: int
    time: float = 0.0


@dataclass(frozen=True)
class Paused:
    """A trial has left its worker and waits at its checkpoint."""

    trial: int
    epoch: int
    reason: str = ""
    detail: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class WentOn:
    """A trial kept its worker where it might have had to wait."""

    trial: int
    epoch: int
    detail: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Kept:
    """A trial would have been stopped, but is a control and trains to its end."""

    trial: int
    epoch: int
    reason: str
    detail: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Lost:
    """The worker of a trial died."""

    trial: int
    reason: str
    detail: str = ""
    time: float = 0.0


@dataclass(frozen=True)
class Ended:
    """A trial is over, or cut off."""

    trial: int
    status: str
    reason: str = ""
    detail: str = ""
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    time: float = 0.0


@dataclass(frozen=True)
class SweepEvent:
    """The sweep started, went on, or ended."""

    status: str
    detail: str = ""
    best: int | None = None
    time: float = 0.0


@dataclass(frozen=True)
class Extended:
    """The sweep was given more trials: so many it had before, and has now."""

    before: int
    trials: int
    time: float = 0.0

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.time, UTC)
        return f"from {self.before} to {self.trials} trials on {when:%Y-%m-%d %H:%M} UTC"


TrialEvent = Suggested | Started | Paused | WentOn | Kept | Lost | Ended
Event = TrialEvent | SweepEvent | Extended
_NAMES: dict[type[Event], str] = {
    Suggested: "suggested",
    Started: "started",
    Paused: "paused",
    WentOn: "went on",
    Kept: "kept",
    Lost: "lost",
    Ended: "ended",
    SweepEvent: "sweep",
    Extended: "extended",
}
_KINDS: dict[str, TypeAdapter[Event]] = {name: TypeAdapter(kind) for kind, name in _NAMES.items()}


@dataclass
class TrialRecord:
    """One trial, folded from its events. `metrics` are those of its best epoch, the finite ones."""

    trial: int
    config: dict[str, Any]
    origin: str
    seed: int = 0
    control: bool = False
    forecast: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    foretold: float | None = None
    status: Status = Status.PENDING
    reason: Reason = Reason.NONE
    detail: str = ""
    epoch: int = 0
    paused: bool = False  # it waits, or waited when the sweep was cut off
    kept: Kept | None = None  # the stop that it was spared as a control
    metrics: dict[str, float] = field(default_factory=dict)
    suggested_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None


@dataclass
class SweepState:
    """A sweep, folded from its journal. `status` and `best` are those of the last `sweep` event; `extended`: when it
    was given more trials; `problems`: lines of the journal that could not be read."""

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    status: SweepStatus = SweepStatus.NONE
    detail: str = ""
    best: int | None = None
    extended: list[Extended] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Journal:
    """Appends events to a sweep's journal."""

    def __init__(self, sweep: Path) -> None:
        self.path = SweepFolder(sweep).journal
        drop_torn_line(self.path)

    def append(self, event: Event) -> None:
        """Append one event, with the time of now, and return once it is on disk."""
        told = asdict(replace(event, time=time.time()))
        append_lines(self.path, json.dumps({"event": _NAMES[type(event)], **told}, allow_nan=False))


class Reader:
    """Folds the journal of the sweep in folder `sweep` as it grows: every pass reads what was appended since the
    last, and all of it again where the file was replaced or cut."""

    def __init__(self, sweep: Path) -> None:
        self.lines = NewLines(SweepFolder(sweep).journal)
        self._state = SweepState()
        self.changed: set[int] = set()  # the trials of which the last pass has told something

    def read(self) -> SweepState:
        """The sweep as it stands; the same object as before, brought up to date."""
        lines, again = self.lines.read()
        if again:
            self._state = SweepState()
        self.changed = set()
        for event in _parsed(lines, self._state.problems):
            if isinstance(event, TrialEvent):
                self.changed.add(event.trial)
            _fold(self._state, event)
        return self._state


def read(sweep: Path) -> SweepState:
    """Fold the journal of the sweep in folder `sweep`."""
    return Reader(sweep).read()


def _fold(state: SweepState, event: Event) -> None:
    if isinstance(event, SweepEvent):
        state.status, state.detail, state.best = SweepStatus(event.status), event.detail, event.best
    elif isinstance(event, Extended):
        state.extended.append(event)
    elif isinstance(event, Suggested):
        state.trials[event.trial] = TrialRecord(
            event.trial, event.config, event.origin, event.seed, event.control, event.forecast,
            event.name, event.foretold, suggested_at=event.time,
        )  # fmt: skip
    elif (record := state.trials.get(event.trial)) is None:
        state.problems.append(f"trial {event.trial} has an event, but was never suggested; it is left out")
    else:
        _apply(record, event)


def _apply(record: TrialRecord, event: Started | Paused | WentOn | Kept | Lost | Ended) -> None:
    if isinstance(event, Started):
        record.status, record.reason, record.detail = Status.RUNNING, Reason.NONE, ""
        record.started_at = record.started_at or event.time
        record.paused, record.ended_at = False, None
    elif isinstance(event, Paused):
        record.status, record.paused, record.epoch = Status.PAUSED, True, event.epoch
        record.reason, record.detail = Reason(event.reason), event.detail
    elif isinstance(event, Kept):
        record.kept = event
    elif isinstance(event, Ended):
        record.status, record.reason, record.detail = Status(event.status), Reason(event.reason), event.detail
        renamed = of_older_program(event.metrics, record.config.get(TEST_ENVIRONMENT) is not None)
        record.metrics = {renamed.get(name, name): value for name, value in event.metrics.items()}
        record.epoch, record.ended_at = event.epoch, event.time


def events(sweep: Path, problems: list[str]) -> Iterator[Event]:
    """The journal of the sweep in folder `sweep`, event by event. What cannot be read is added to `problems`; what
    only a newer program tells is passed over."""
    return _parsed(NewLines(SweepFolder(sweep).journal).read()[0], problems)


def _parsed(lines: Iterable[Line], problems: list[str]) -> Iterator[Event]:
    for line in lines:
        try:
            written = json.loads(line.text)
            kind = _KINDS.get(written["event"])
            if kind is not None:
                yield kind.validate_python(_given(written))
        except (ValueError, TypeError, KeyError) as error:
            problems.append(f"{line} cannot be read and is left out ({_shortly(error)})")


def _given(written: Mapping[str, Any]) -> dict[str, Any]:
    """Without fields that are null where a default stands for them."""
    return {name: value for name, value in written.items() if value is not None}


def _shortly(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
    return f"{type(error).__name__}: {error}"
