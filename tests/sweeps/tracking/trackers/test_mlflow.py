"""Whether runs can be sent to an address, said before a sweep starts."""

import http.server
import threading
import time

import pytest

from sweeps.tracking import trackers
from sweeps.tracking.process import default_uri
from sweeps.tracking.trackers import mlflow


def test_a_healthy_server_passes(server):
    assert trackers.check(server.uri) is None
    assert trackers.check(server.uri + "/") is None


def test_a_server_that_is_not_there_is_named_with_what_to_do():
    message = trackers.check("http://127.0.0.1:9")

    assert "http://127.0.0.1:9 does not answer" in message
    assert "Connection refused" in message
    assert "--tracking-uri" in message


@pytest.mark.parametrize(
    ("code", "expected"), [(404, "is an MLflow server there?"), (401, "MLFLOW_TRACKING_USERNAME")]
)
def test_what_another_server_answers_is_told(code, expected):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(code)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        message = trackers.check(f"http://127.0.0.1:{other.server_port}")
        thread.join()

    assert expected in message


def test_a_server_that_accepts_but_never_answers_is_given_up_on(monkeypatch):
    monkeypatch.setattr(mlflow, "TIMEOUT", 0.5)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as silent:
        started = time.monotonic()
        message = trackers.check(f"http://127.0.0.1:{silent.server_port}")

    assert time.monotonic() - started < 5
    assert "does not answer (timed out)" in message


@pytest.mark.parametrize("uri", ["localhost:5000", "mlruns", "file:///tmp/mlruns", "http//host"])
def test_what_is_no_address_is_refused(uri):
    assert f"tracking_uri '{uri}' is not a place to write to" in trackers.check(uri)


def test_a_database_needs_a_folder_that_can_be_written(tmp_path):
    assert trackers.check(default_uri(tmp_path)) is None
    assert trackers.check(f"sqlite:///{tmp_path}/missing/mlflow.db") == (
        f"the folder {tmp_path}/missing of the MLflow database does not exist: create it, or name another. "
        "Expected a server (http://HOST:5000) or a database (sqlite:////FOLDER/mlflow.db, postgresql://…): "
        "set it with --tracking-uri or MLFLOW_TRACKING_URI."
    )
