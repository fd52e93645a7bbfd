"""A sweep on the terminal: what is said, the live view, the last words, and the report."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from rich import console as rich

from sweeps.listener import Listener
from sweeps.records.folder import SweepFolder

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sweeps.result import SweepResult
    from sweeps.run_state import SweepRun
    from sweeps.tracking.process import TrackingProcess


class Reporting(Listener):
    """Writes the report of a sweep that has ended, so that MLflow gets it too."""

    def ended(self, result: SweepResult) -> None:
        """Write `report.html`."""
        result.report()


class Console(Listener):
    """Prints, and writes the report."""

    def __init__(self) -> None:
        self._console = rich.Console(markup=False)  # error messages have brackets of their own

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
        """The report, what was found, and how to go on."""
        from sweeps import summary

        page = self._report(result)
        summary.show(self._console, result)
        self.said(f"Report: {page}")
        if result.resumable:
            self.said(f"Go on: python sweeps/run.py --resume {result.folder.name}")

    def _report(self, result: SweepResult) -> Path | str:
        """Its path, or why there is none: a fault of the report costs the page alone."""
        import traceback

        try:
            return result.report()
        except Exception as error:
            log = SweepFolder(result.folder).errors
            with open(log, "a", encoding="utf-8") as file:
                file.write("".join(traceback.format_exception(error)))
            return f"failed ({type(error).__name__}: {error}; {log} has the traceback)"
