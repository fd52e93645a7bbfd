"""MLflow: servers and databases."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweeps.tracking.trackers.base import Summary, Tracker

TIMEOUT = 5.0  # seconds for a server to answer a check
SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a repeated request to create a run would make two of it
    "MLFLOW_HTTP_REQUEST_TIMEOUT": os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT", "20"),
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
EXPECTED = (
    "Expected a server (http://HOST:5000) or a database (sqlite:////FOLDER/mlflow.db, postgresql://…): "
    "set it with --tracking-uri or MLFLOW_TRACKING_URI."
)


class Mlflow(Tracker):
    """A run a trial in an experiment a model; see `sweeps.tracking.mirror`."""

    schemes = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")

    def __init__(self, sweep: Path, uri: str) -> None:
        super().__init__(sweep, uri)
        os.environ.update(SETTINGS)
        from sweeps.tracking.mirror import Mirror

        self._mirror = Mirror(sweep, uri)

    @classmethod
    def check(cls, uri: str) -> str | None:
        """Ask a server whether it is well; look whether a database file can be written."""
        parts = urlsplit(uri)
        if parts.scheme in ("http", "https"):
            return _check_http(uri, TIMEOUT)
        if parts.scheme.partition("+")[0] == "sqlite":
            return _check_sqlite(Path(unquote(parts.path.removeprefix("/"))))
        return None

    def sync(self, driver_lost: bool = False) -> Summary:
        """One pass of the mirror."""
        return self._mirror.sync(driver_lost)

    def describe(self, error: Exception) -> str:
        """What MLflow says speaks for itself."""
        from sweeps.tracking.server import describe

        return describe(error)


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
            return f"{url} answers {error.code} {error.reason}: is an MLflow server there? {EXPECTED}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"the MLflow server {uri} does not answer ({reason}): start it, or correct the address. {EXPECTED}"


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
        return f"the folder {target} of the MLflow database does not exist: create it, or name another. {EXPECTED}"
    if not os.access(target, os.W_OK):
        return f"no permission to write {target}, the MLflow database: change that, or name another. {EXPECTED}"
    return None
