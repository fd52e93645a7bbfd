"""The mirror as a process beside the sweep's driver. Imports no mlflow, so the driver starts fast."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from sweeps.records.folder import SweepFolder
from sweeps.tracking import state

_REPOSITORY = Path(__file__).resolve().parents[2]


def default_uri(storage: Path) -> str:
    """The MLflow store of a storage folder without a server: SQLite, opened with `mlflow ui`."""
    return f"sqlite:///{storage.resolve() / 'mlflow.db'}"


class _Mirror(subprocess.Popen[bytes]):
    """The mirror's process, whose standard input is a pipe."""

    stdin: IO[bytes]


class TrackingProcess:
    """`python -m sweeps.tracking`, at low priority; started again if it dies.

    Its standard input stays open as long as the driver may have more to send: that it closes, by `finish` or by the
    death of the driver, is how the mirror learns that what lies in the folder now is all.
    """

    def __init__(self, sweep: Path, tracking_uri: str, restarts: int = 3) -> None:
        self.sweep = sweep.resolve()
        self.tracking_uri = tracking_uri
        self._restarts_left = restarts
        self._process: _Mirror | None = None

    def start(self) -> None:
        """Start it; it sees what the folder holds already."""
        command = [sys.executable, "-m", "sweeps.tracking", str(self.sweep)]
        command += ["--tracking-uri", self.tracking_uri, "--driver", str(os.getpid())]
        path = os.pathsep.join(filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH", "")]))
        with open(SweepFolder(self.sweep).mirror_log, "ab") as log:
            self._process = _Mirror(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,  # the terminal's Ctrl-C is for the driver
            )

    def poll(self) -> str | None:
        """Start the mirror again if it died; a sentence about that, None while it is well."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        self._process.stdin.close()
        self._process = None
        if self._restarts_left == 0:
            return f"the MLflow process died (exit code {code}) too often; {self._promise()}"
        self._restarts_left -= 1
        self.start()
        log = SweepFolder(self.sweep).mirror_log
        return f"the MLflow process died (exit code {code}, see {log}); started it again"

    def finish(self, timeout_s: float) -> bool:
        """Tell the mirror that nothing more comes and wait until all is sent; False if that took too long.

        After False the mirror goes on by itself: it tries once more when this process has ended.
        """
        deadline = time.monotonic() + timeout_s
        while self._process is not None:
            self._process.stdin.close()
            try:
                code = self._process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return False
            if code >= 0 or self._restarts_left == 0:
                self._process = None
                return code == 0
            self._restarts_left -= 1
            self.start()
        return False

    def status_line(self) -> str:
        """One line for people: how much is sent, or since when it is not and what that means."""
        now = state.read(self.sweep)
        if not now.error:
            return f"MLflow: {len(now.runs)} runs, {now.epochs} epochs sent"
        since = time.strftime("%H:%M", time.localtime(now.failing_since))
        if now.reachable:
            return f"MLflow does not take everything since {since} ({now.error}); {self._promise()}"
        return f"MLflow server not reachable since {since}; {self._promise()}"

    def _promise(self) -> str:
        if self._process is not None and self._process.poll() is None and not self._process.stdin.closed:
            return f"everything is kept in {self.sweep} and will be sent"
        return f"everything is kept; send it with `python -m sweeps.tracking {self.sweep} --once`"
