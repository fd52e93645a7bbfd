import os
import subprocess
import sys
import time

import pytest
from mlflow import MlflowClient

from sweeps.tracking import state
from sweeps.tracking.process import TrackingProcess

DRIVER = """
import os, signal, sys
from pathlib import Path
from sweeps.tracking.process import TrackingProcess
tracking = TrackingProcess(Path(sys.argv[1]), sys.argv[2])
tracking.start()
print(tracking._process.pid, flush=True)
sys.stdin.read(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def wait_until(condition, seconds=40.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


@pytest.fixture
def statuses(server):
    """The statuses of a sweep's runs, by the names of the runs."""
    client = MlflowClient(server.uri)

    def read(sweep_id: str) -> dict[str, str]:
        experiment = client.get_experiment_by_name("imc_vae")
        found = client.search_runs([experiment.experiment_id], f"tags.`sweep.id` = '{sweep_id}'")
        return {run.info.run_name: run.info.status for run in found}

    return read


def test_follows_a_growing_folder_and_ends_when_all_is_sent(make_sweep, server, statuses):
    sweep = make_sweep(sweep_id="growing")
    tracking = TrackingProcess(sweep.path, server.uri)
    tracking.start()
    sweep.start(1)
    sweep.train(1, 2)
    wait_until(lambda: state.read(sweep.path).epochs == 2)
    assert statuses("growing") == {"demo": "RUNNING", "trial 1": "RUNNING"}
    assert tracking.poll() is None

    sweep.train(1, 4)
    sweep.end(1, "FINISHED")
    sweep.finish()
    (sweep.path / "report.html").write_text("<html></html>")

    assert tracking.finish(timeout_s=40)
    assert statuses("growing") == {"demo": "FINISHED", "trial 1": "FINISHED"}
    assert tracking.status_line() == "MLflow: 2 runs, 6 epochs sent"
    assert "report.html" in state.read(sweep.path).runs["sweep"]["artifacts"]
    first, last = (sweep.path / "mlflow.log").read_text().splitlines()
    assert first.endswith("epochs sent")
    assert last.endswith(f"{server.uri}: 2 runs, 6 epochs sent")


def test_a_killed_mirror_is_started_again_but_not_for_ever(make_sweep, server, statuses):
    sweep = make_sweep(sweep_id="mirror_killed")
    sweep.start(1)
    sweep.train(1, 2)
    tracking = TrackingProcess(sweep.path, server.uri, restarts=1)
    tracking.start()
    wait_until(lambda: state.read(sweep.path).epochs == 2)

    tracking._process.kill()
    tracking._process.wait()
    assert "exit code -9" in tracking.poll()
    sweep.train(1, 4)
    wait_until(lambda: state.read(sweep.path).epochs == 6)
    assert statuses("mirror_killed") == {"demo": "RUNNING", "trial 1": "RUNNING"}

    tracking._process.kill()
    tracking._process.wait()
    assert f"python -m sweeps.tracking {sweep.path}" in tracking.poll()
    assert tracking.poll() is None
    assert not tracking.finish(timeout_s=1)


def test_a_dead_server_is_waited_for(make_sweep, server, statuses):
    sweep = make_sweep(sweep_id="server_dead")
    sweep.start(1)
    sweep.train(1, 2)
    tracking = TrackingProcess(sweep.path, server.uri)
    server.kill()
    try:
        tracking.start()
        wait_until(lambda: state.read(sweep.path).error)
        assert tracking.poll() is None
        assert "MLflow server not reachable since" in tracking.status_line()
        assert f"everything is kept in {sweep.path}" in tracking.status_line()
        sweep.end(1, "STOPPED", "RUNG", "below the cutoff")
        sweep.finish()
        assert not tracking.finish(timeout_s=1)
        assert f"send it with `python -m sweeps.tracking {sweep.path} --once`" in tracking.status_line()
    finally:
        server.start()
    assert tracking.finish(timeout_s=40)
    assert statuses("server_dead") == {"demo": "FINISHED", "trial 1 RUNG": "KILLED"}
    lines = (sweep.path / "mlflow.log").read_text().splitlines()
    assert len(lines) == 2
    assert "Max retries exceeded" in lines[0]
    assert lines[1].endswith(f"{server.uri}: 2 runs, 2 epochs sent")


def test_outlives_its_driver_to_send_the_rest_and_says_that_the_driver_was_lost(make_sweep, server, statuses):
    sweep = make_sweep(sweep_id="driver_dead")
    sweep.start(1)
    sweep.train(1, 2)
    command = [sys.executable, "-c", DRIVER, str(sweep.path), server.uri]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        mirror = int(driver.stdout.readline())
        wait_until(lambda: state.read(sweep.path).epochs == 2)
        sweep.train(1, 1)
        driver.stdin.write(b"x")

    wait_until(lambda: state.read(sweep.path).driver_lost_at)
    wait_until(lambda: state.read(sweep.path).epochs == 3)
    wait_until(lambda: not os.path.exists(f"/proc/{mirror}") or _is_zombie(mirror))
    assert statuses("driver_dead") == {"demo": "KILLED", "trial 1 DRIVER_LOST": "KILLED"}


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def test_the_driver_imports_no_mlflow():
    code = (
        "import sys, sweeps.tracking.process; print([m for m in ('mlflow', 'torch', 'pyarrow') if m in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
