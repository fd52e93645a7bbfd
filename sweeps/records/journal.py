"""The journal of a sweep: what was suggested, what became of it. The one truth that a resume starts from.

`<sweep>/trials.jsonl`, one JSON object a line, appended and flushed to disk by the driver alone *before* the
thing it tells happens (a suggestion) or as soon as it has (an end). A line cut short by a crash is ignored.

    {"event": "suggested", "trial": 3, "config": {…}, "seed": 0, "origin": "documented|baseline|search|VARIANT",
     "control": false, "forecast": {"sigma2": …, "au": …, "kl_low": …, "kl_high": …, "collapsed": false,
     "collapse_probability": …, "basis": "theory|recorded|own sweeps", …}, "time": …}
    {"event": "started", "trial": 3, "time": …}
    {"event": "paused", "trial": 3, "epoch": 2, "reason": "RUNG", "detail": "…", "time": …}   waits at its checkpoint
    {"event": "lost", "trial": 3, "reason": "WORKER_LOST|OUT_OF_MEMORY", "detail": "…", "time": …}  its worker died
    {"event": "ended", "trial": 3, "status": "FINISHED|STOPPED|FAILED|INTERRUPTED", "reason": "COLLAPSED",
     "detail": "a sentence with the numbers", "epoch": 7, "metrics": {…}, "time": …}
    {"event": "sweep", "status": "started|resumed|finished|interrupted|failed", "detail": "…", "best": 3, "time": …}
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

FILE = "trials.jsonl"

OUT_OF_MEMORY = "OUT_OF_MEMORY"  # a reason
OUTSIDE = "a script of one's own"  # the search of a sweep that `sweeps.recorder` alone has written down


class Status(StrEnum):
    """Where a trial stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"  # waits at its checkpoint for the scheduler to take it up again
    FINISHED = "FINISHED"  # trained for its whole budget
    STOPPED = "STOPPED"  # pruned: by the health verdict or at a rung
    FAILED = "FAILED"  # threw, ran out of memory, or lost its worker too often
    INTERRUPTED = "INTERRUPTED"  # cut by a signal or the time budget; a resume continues it

    @property
    def ended(self) -> bool:
        """True if a resume leaves the trial alone."""
        return self in (Status.FINISHED, Status.STOPPED, Status.FAILED)


@dataclass
class TrialRecord:
    """One trial, folded from its events. `metrics` are those of its best epoch, the finite ones."""

    trial: int
    config: dict[str, Any]
    origin: str
    seed: int = 0
    control: bool = False
    forecast: dict[str, Any] = field(default_factory=dict)
    status: Status = Status.PENDING
    reason: str = ""
    detail: str = ""
    epoch: int = 0
    paused: bool = False  # it waits, or waited when the sweep was cut off
    metrics: dict[str, float] = field(default_factory=dict)
    suggested_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None


@dataclass
class SweepState:
    """A sweep, folded from its journal. `status` and `best` are those of the last `sweep` event."""

    trials: dict[int, TrialRecord] = field(default_factory=dict)
    status: str = ""
    detail: str = ""
    best: int | None = None


class Journal:
    """Appends events to a sweep's journal."""

    def __init__(self, sweep: Path) -> None:
        self.path = sweep / FILE
        _drop_torn_line(self.path)

    def append(self, event: str, **fields: Any) -> None:
        """Append one event and return once it is on disk."""
        line = json.dumps({"event": event, **fields, "time": time.time()}, allow_nan=False)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def read(sweep: Path) -> SweepState:
    """Fold the journal of the sweep in folder `sweep`."""
    state = SweepState()
    for event in events(sweep):
        if event["event"] == "sweep":
            state.status, state.detail = event["status"], event.get("detail", "")
            state.best = event.get("best")
        else:
            _apply(state.trials, event)
    return state


def _apply(trials: dict[int, TrialRecord], event: dict[str, Any]) -> None:
    index = event["trial"]
    if event["event"] == "suggested":
        fields = {key: event[key] for key in ("config", "origin", "seed", "control", "forecast") if key in event}
        trials[index] = TrialRecord(index, suggested_at=event["time"], **fields)
        return
    record = trials[index]
    if event["event"] == "started":
        record.status = Status.RUNNING
        record.started_at = record.started_at or event["time"]
        record.reason = record.detail = ""
        record.paused, record.ended_at = False, None
    elif event["event"] == "paused":
        record.status, record.paused, record.epoch = Status.PAUSED, True, event["epoch"]
        record.reason, record.detail = event["reason"], event["detail"]
    elif event["event"] == "ended":
        record.status = Status(event["status"])
        record.reason, record.detail = event["reason"], event["detail"]
        record.epoch, record.metrics, record.ended_at = event["epoch"], event["metrics"], event["time"]


def events(sweep: Path) -> Iterator[dict[str, Any]]:
    """The journal of the sweep in folder `sweep`, event by event."""
    path = sweep / FILE
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)


def _drop_torn_line(path: Path) -> None:
    """Cut what a crash left behind the last complete line, so that the next event starts on its own line."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)
