"""Finding the cluster; and, slow, `ray job submit` against two nodes on this machine, where no other Ray may run."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps.cluster import connection as ray_cluster
from sweeps.config import ConfigError
from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Status
from tests.sweeps.conftest import DONE, ROOT, RUN, TINY, Sweeps

RAY = Path(sys.executable).with_name("ray")
PORT, DASHBOARD = 6411, 8411
AGENTS = (52411, 52412)  # the usual one is taken where another Ray runs on this machine
ENVIRONMENT = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{DASHBOARD}"}


def ray(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(RAY), *arguments], cwd=cwd, env=ENVIRONMENT, text=True, capture_output=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A head with one CPU and a second node with two, a pretended GPU each.

    Each has a temporary folder of its own: two nodes of one machine that share one delete each other's packages.
    """
    folders = [tempfile.mkdtemp(prefix=name, dir="/tmp") for name in ("a", "b")]  # socket paths must be short
    head = ["--head", "--port", str(PORT), "--dashboard-port", str(DASHBOARD), "--num-cpus", "1"]
    worker = ["--address", f"127.0.0.1:{PORT}", "--num-cpus", "2"]
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for options, folder, agent in zip((head, worker), folders, AGENTS, strict=True):
            command = [str(RAY), "start", *options, "--num-gpus", "1", "--temp-dir", folder, "--block"]
            command += ["--dashboard-agent-listen-port", str(agent)]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            nodes.append(subprocess.Popen([*command, "--disable-usage-stats"], env=ENVIRONMENT, **quiet))
            wait_for_nodes(len(nodes))
        yield
    finally:
        for node in reversed(nodes):
            node.terminate()
            node.wait()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_nodes(count: int) -> None:
    """Until the job server answers and `count` nodes are up."""
    deadline = time.monotonic() + 90
    while alive() < count:
        assert time.monotonic() < deadline, f"{count} nodes did not start"
        time.sleep(1)


def alive() -> int:
    """How many nodes the dashboard reports; 0 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{DASHBOARD}/nodes?view=summary", timeout=5) as answer:
            nodes = json.load(answer)["data"]["summary"]
    except OSError:
        return 0
    return sum(node.get("raylet", {}).get("state") == "ALIVE" for node in nodes)


def submit(sweeps: Sweeps, name: str, *arguments: str, working_dir: bool) -> subprocess.CompletedProcess[str]:
    upload = ["--working-dir", "."] if working_dir else []
    entry = "sweeps/run.py" if working_dir else str(RUN)
    command = [sys.executable, entry, "imc_vae", "--data", "digits", *TINY, "--name", name]
    deadline = time.monotonic() + 90
    while True:
        done = ray("job", "submit", *upload, "--", *command, "--storage", str(sweeps.storage), *arguments)
        if "No available agent" not in done.stderr + done.stdout or time.monotonic() > deadline:
            return done
        time.sleep(2)  # a young cluster has nodes before it takes jobs


@pytest.fixture
def listener() -> Iterator[int]:
    """A port at which somebody takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_an_absent_cluster_is_refused_at_once(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    code, output = sweeps.run_alone("--trials", "1", "--name", "absent")
    assert code == ExitCode.REFUSED
    assert f"error: RAY_ADDRESS {address}: no Ray cluster answers there" in output
    assert "unset RAY_ADDRESS to run on this machine alone" in output
    assert "Traceback" not in output
    assert time.monotonic() - started < 60  # Ray alone would take minutes
    assert not sweeps.folder("absent").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "localhost:{}"])
def test_whoever_listens_is_left_to_ray(address: str, listener: int) -> None:
    ray_cluster._reach(address.format(listener))
    with pytest.raises(ConnectionRefusedError):
        ray_cluster._reach(address.format(closed_port()))


@pytest.mark.parametrize("address", ["auto", "local", "elsewhere://cluster"])
def test_what_only_ray_can_find_is_left_to_ray(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: pytest.fail("nobody to knock at"))
    ray_cluster._reach(address)


def test_ray_client_has_a_port_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    knocked = []
    monkeypatch.setattr(socket, "create_connection", lambda *where: knocked.append(where) or socket.socket())
    ray_cluster._reach("ray://head.example")
    ray_cluster._reach("[::1]:6379")
    assert [place for place, _ in knocked] == [("head.example", 10001), ("::1", 6379)]


@pytest.mark.parametrize("address", ["http://head:8265", "https://head", "head", "head:port", ":6379"])
def test_the_address_of_something_else_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="expected HOST:6379 of the head node"):
        ray_cluster._reach(address)


@pytest.mark.slow
@pytest.mark.parametrize("working_dir", [True, False])
def test_a_job_runs_on_both_nodes_with_shared_gpus(cluster: None, sweeps: Sweeps, working_dir: bool) -> None:
    done = submit(
        sweeps, "job", "--trials", "3", "--epochs", "2", "--gpus-per-trial", "0.5", "--scheduler", "none",
        working_dir=working_dir,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 at once" in done.stdout  # three CPUs, four halves of a GPU
    assert [record.status for record in sweeps.state("job").trials.values()] == [Status.FINISHED] * 3


@pytest.mark.slow
def test_the_exit_status_tells_of_a_refusal(cluster: None, sweeps: Sweeps) -> None:
    done = submit(sweeps, "toobig", "--trials", "1", "--gpus-per-trial", "3", working_dir=True)
    assert done.returncode != 0
    assert "--gpus-per-trial 3: the largest node has 1 GPUs" in done.stdout + done.stderr


def test_a_temporary_folder_too_long_for_sockets_is_refused_with_the_cure(
    sweeps: Sweeps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    code, output = sweeps.run_alone("--trials", "1", "--name", "long")
    assert code == ExitCode.REFUSED
    assert f"{folder} is too long for a socket; set a shorter TMPDIR" in output
    assert "Traceback" not in output


def test_a_cluster_that_was_started_on_this_machine_is_left_alone(sweeps: Sweeps, tmp_path: Path) -> None:
    """Its address file outlives it; who means it sets RAY_ADDRESS."""
    stale = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"
    stale.parent.mkdir(exist_ok=True)
    before = stale.read_text() if stale.exists() else None
    stale.write_text(f"127.0.0.1:{closed_port()}")
    try:
        code, output = sweeps.run_alone("--trials", "1", "--epochs", "1", "--name", "here", *sweeps.untracked)
    finally:
        stale.unlink() if before is None else stale.write_text(before)
    assert code in DONE, output
