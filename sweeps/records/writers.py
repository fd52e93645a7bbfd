"""Which processes write a sweep's folder together: each has a file there, as long as it does."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from sweeps.records import lock
from sweeps.records.folder import SweepFolder
from trainables.files import write_text


class Writer:
    """This process, in the folder of a sweep."""

    def __init__(self, sweep: Path) -> None:
        self._folder = SweepFolder(sweep)
        self._own = self._folder.writer(socket.gethostname(), os.getpid())

    def enter(self) -> None:
        """It writes from now on; the files of those that have died go."""
        for path in self._folder.writers():
            if lock.of_the_dead(path):
                path.unlink(missing_ok=True)
        write_text(self._own, f"{os.getpid()}\n{socket.gethostname()}\n")

    def leave(self) -> None:
        """It writes no more."""
        self._own.unlink(missing_ok=True)

    def others(self) -> bool:
        """True if another process writes there. One of this host that has died does not; whether one of another host
        lives cannot be known here, so its file has to be removed by hand."""
        return any(path != self._own and not lock.of_the_dead(path) for path in self._folder.writers())
