"""What people ask of a running sweep: a file each in its folder, all that two machines have to share.

A request is there until it is carried out, so it outlives the death of the driver; asked twice it is the same file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sweeps.records.folder import SweepFolder

_NAME = re.compile(r"stop(?:-(\d+))?")


@dataclass(frozen=True)
class Requests:
    """What is to be stopped: the whole sweep, and trials by number."""

    sweep: bool = False
    trials: set[int] = field(default_factory=set)


def stop(sweep: Path, trial: int | None = None) -> None:
    """Ask the driver of the sweep in folder `sweep` to end it; or one trial."""
    path = _file(sweep, trial)
    path.parent.mkdir(exist_ok=True)
    path.touch()


def read(sweep: Path) -> Requests:
    """What has been asked and not yet been done."""
    folder = SweepFolder(sweep).requests
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = [match[1] for name in names if (match := _NAME.fullmatch(name))]
    return Requests(None in found, {int(number) for number in found if number is not None})


def done(sweep: Path, trial: int | None = None) -> None:
    """It is carried out, or means nothing any more."""
    _file(sweep, trial).unlink(missing_ok=True)


def _file(sweep: Path, trial: int | None) -> Path:
    return SweepFolder(sweep).requests / ("stop" if trial is None else f"stop-{trial}")
