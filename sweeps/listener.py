"""Who hears what a driver does."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.result import SweepResult
    from sweeps.run_state import SweepRun
    from sweeps.tracking.process import TrackingProcess


class Listener:
    """Hears a driver, and says nothing; what it is told may be overridden one by one."""

    def said(self, text: str) -> None:
        """A sentence about what is done."""

    def noted(self, about: str, text: str) -> None:
        """Something about the `data` or the `model` that the user should know."""

    def warned(self, text: str) -> None:
        """A sentence about something that is wrong, or will be."""

    def watching(self, run: SweepRun, tracking: TrackingProcess) -> AbstractContextManager[object]:
        """Open while trials run."""
        return nullcontext()

    def ended(self, result: SweepResult) -> None:
        """The end is recorded; what is written to the sweep's folder now is still sent to MLflow."""
