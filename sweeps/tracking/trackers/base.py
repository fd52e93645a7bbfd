"""What a tracker is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Summary:
    """A pass. `problems` are what was refused or what the folder lacks, a line each; the rest is sent."""

    runs: int
    epochs: int
    ended: bool  # the sweep has
    problems: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """True if nothing is left to send, now or later."""
        return self.ended and not self.problems


class Tracker(ABC):
    """Shows the sweep in a folder somewhere else, and catches up with it at every pass.

    The folder is the truth: a tracker may be opened anew at any time, on any state of it, and sends nothing twice.

    Args:
        sweep: the folder.
        uri: where to send it.
    """

    schemes: ClassVar[tuple[str, ...]]  # of the addresses it takes

    def __init__(self, sweep: Path, uri: str) -> None:
        self.sweep, self.uri = sweep.resolve(), uri

    @classmethod
    @abstractmethod
    def check(cls, uri: str) -> str | None:
        """None if runs can be sent to `uri`, as far as that shows in a moment; else what is wrong and what to do."""

    @abstractmethod
    def sync(self, driver_lost: bool = False) -> Summary:
        """Send whatever the folder has and the other side lacks.

        Args:
            driver_lost: the sweep's driver is dead, so that what the journal says to be running is not.

        Raises:
            Exception: it cannot be reached or is broken; nothing is lost, it is tried again.
        """

    def describe(self, error: Exception) -> str:
        """An error of a pass in one line."""
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
