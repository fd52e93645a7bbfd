"""`<sweep>/mlflow.json`: how far the mirror is, for the driver and for people. No mlflow in here.

Losing the file costs nothing but uploading the artifacts once more: what else was sent is asked of the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sweeps.records import lock
from sweeps.records.folder import SweepFolder
from trainables.files import write_text


@dataclass
class MirrorState:
    """What was sent. `runs` maps "sweep" and trial numbers to run id, epochs, status and uploaded artifacts."""

    tracking_uri: str = ""
    experiment_id: str = ""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    epochs: int = 0  # of all trials
    complete: bool = False  # the sweep has ended and MLflow has all of it
    error: str = ""  # of the last attempt, '' when it succeeded
    reachable: bool = True
    failing_since: float | None = None  # unix seconds
    driver_lost_at: int | None = None  # size of the journal, in bytes, when its driver was found dead


class AlreadyMirrored(RuntimeError):
    """Another process is sending this sweep."""


def read(sweep: Path) -> MirrorState:
    """The state of the sweep in folder `sweep`; a blank one if nothing was sent yet."""
    path = SweepFolder(sweep).mirror
    if not path.exists():
        return MirrorState()
    try:
        return TypeAdapter(MirrorState).validate_json(path.read_bytes())
    except ValidationError:  # losing it costs nothing, see above
        return MirrorState()


def write(sweep: Path, state: MirrorState) -> None:
    """Replace the state of the sweep in folder `sweep`."""
    write_text(SweepFolder(sweep).mirror, json.dumps(asdict(state), indent=1))


@contextmanager
def exclusive(sweep: Path, wait: bool) -> Iterator[None]:
    """Hold the sweep's lock.

    Raises:
        AlreadyMirrored: another process holds it, and `wait` is False.
    """
    try:
        with lock.exclusive(SweepFolder(sweep).mirror_lock, wait):
            yield
    except lock.Held as held:
        raise AlreadyMirrored(f"another process is already sending {sweep} to MLflow: {held}") from None
