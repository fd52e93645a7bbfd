"""A sweep on the terminal: what is said, the live view, the last words, and the report."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich import console as rich

from sweeps.config import storage_folder
from sweeps.listener import Listener
from sweeps.records.folder import SweepFolder

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sweeps.result import SweepResult
    from sweeps.run_state import SweepRun
    from sweeps.tracking.process import TrackingProcess


T = TypeVar("T")
LOG_WIDTH = 160  # columns, of tables in a file or pipe


class Reporting(Listener):
    """Writes the report of a sweep that has ended, so that MLflow gets it too."""

    def ended(self, result: SweepResult) -> None:
        """Write `report.html`."""
        result.report()


class Console(Listener):
    """Prints, and writes the report."""

    def __init__(self, console: rich.Console | None = None) -> None:
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else LOG_WIDTH
        self._console = console or rich.Console(
            markup=False, width=width
        )  # error messages have brackets of their own

    def said(self, text: str) -> None:
        """A line."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def noted(self, about: str, text: str) -> None:
        """A line of its own, so that none is overlooked."""
        self._console.print(f"Note on the {about}: {text}.", style="bold yellow", highlight=False, soft_wrap=True)

    def warned(self, text: str) -> None:
        """A yellow line."""
        self._console.print(text, style="yellow", highlight=False, soft_wrap=True)

    def show(self, what: RenderableType) -> None:
        """A table, or whatever else rich can draw."""
        self._console.print(what)

    def watching(self, run: SweepRun, tracking: TrackingProcess) -> AbstractContextManager[object]:
        """The live view."""
        from sweeps.progress import Progress

        return Progress(run, tracking, self._console)

    def ended(self, result: SweepResult) -> None:
        """The report, what was found, and how to go on. What cannot be read or drawn costs itself alone."""
        from sweeps import summary

        page, trouble = self._tried(result, "report", result.report)
        _, unread = self._tried(result, "summary", lambda: summary.show(self._console, result))
        if unread:
            self.said(f"{result.folder.name}: {result.detail}. Summary: {unread}")
        self.said(f"Report: {page or trouble}")
        if result.resumable:
            self.said(f"Go on: {resume_command(result.folder)}")

    def _tried(self, result: SweepResult, what: str, act: Callable[[], T]) -> tuple[T | None, str]:
        """What `act` returns, and ''; or None and how it failed, with the traceback in the sweep's folder."""
        try:
            return act(), ""
        except Exception as error:
            folder = SweepFolder(result.folder)
            folder.note_error(what, error)
            return None, f"failed ({type(error).__name__}: {error}; {folder.errors} has the traceback)"


def resume_command(folder: Path) -> str:
    """What goes on with the sweep in `folder`, for a shell in the folder that this one was started in."""
    storage = [] if folder.parent == storage_folder(None) else ["--storage", str(folder.parent)]
    return shlex.join(["python", "sweeps/run.py", "--resume", folder.name, *storage])
