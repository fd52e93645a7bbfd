"""The pictures of trials, drawn in the tracker's process: no worker waits for them."""

from __future__ import annotations

import logging

from sweeps.records.folder import SweepFolder
from trainables import drawing

_log = logging.getLogger("sweeps.tracking")


class Pictures:
    """Draws the pictures of trials that have ended, each once.

    Args:
        folder: of the sweep.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._drawn: set[int] = set()

    def draw(self, trial: int) -> None:
        """Draw what the trial has saved and is not drawn yet; what cannot be is told in the log, once."""
        if trial in self._drawn:
            return
        for problem in drawing.draw(self._folder.artifacts(trial)):
            _log.warning("trial %d: %s", trial, problem)
        self._drawn.add(trial)
