"""The mirror as a process beside the sweep's driver. Imports no mlflow, so the driver starts fast."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from sweeps.tracking import state

_REPOSITORY = Path(__file__).resolve().parents[2]
_KNOWN_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
_EXPECTED = (
    "Expected a server (http://HOST:5000) or a database (sqlite:////FOLDER/mlflow.db, postgresql://…): "
    "set it with --tracking-uri or MLFLOW_TRACKING_URI."
)


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
        with open(self.sweep / state.LOG, "ab") as log:
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
        return f"the MLflow process died (exit code {code}, see {self.sweep / state.LOG}); started it again"

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


def check_server(tracking_uri: str, timeout_s: float = 5.0) -> str | None:
    """None if runs can be sent to `tracking_uri`, as far as that shows in a moment; else what is wrong and what
    to do.
    """
    parts = urlsplit(tracking_uri)
    scheme = parts.scheme.partition("+")[0]
    if scheme not in _KNOWN_SCHEMES:
        return f"tracking_uri '{tracking_uri}' is not a place MLflow can write to. {_EXPECTED}"
    if scheme in ("http", "https"):
        return _check_http(tracking_uri, timeout_s)
    if scheme == "sqlite":
        return _check_sqlite(Path(unquote(parts.path.removeprefix("/"))))
    return None


def _check_http(uri: str, timeout_s: float) -> str | None:
    url = uri.rstrip("/") + "/health"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s, context=_tls()):
            return None
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (401, 403):
                return (
                    f"the MLflow server {uri} asks for a login ({error.code}): set MLFLOW_TRACKING_USERNAME and "
                    "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
                )
            return f"{url} answers {error.code} {error.reason}: is an MLflow server there? {_EXPECTED}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"the MLflow server {uri} does not answer ({reason}): start it, or correct the address. {_EXPECTED}"


def _tls() -> ssl.SSLContext:
    """As MLflow's own client does it."""
    context = ssl.create_default_context(cafile=os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"))
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_sqlite(database: Path) -> str | None:
    target = database if database.exists() else database.absolute().parent
    if not target.exists():
        return f"the folder {target} of the MLflow database does not exist: create it, or name another. {_EXPECTED}"
    if not os.access(target, os.W_OK):
        return f"no permission to write {target}, the MLflow database: change that, or name another. {_EXPECTED}"
    return None
