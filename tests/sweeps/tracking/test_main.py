import os
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from sweeps.tracking import state


def run(*arguments):
    command = [sys.executable, "-m", "sweeps.tracking", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_sends_the_leftovers_of_an_ended_sweep(make_sweep, server):
    sweep = make_sweep(sweep_id="leftovers")
    sweep.start(1)
    sweep.train(1, 6)
    sweep.end(1, "FINISHED")
    sweep.finish()

    sent = run(sweep.path, "--tracking-uri", server.uri)

    assert sent.returncode == 0, sent.stderr
    assert sent.stderr.endswith(f"{server.uri}: 2 runs, 6 epochs sent\n")
    run_id = state.read(sweep.path).runs["1"]["run_id"]
    assert MlflowClient(server.uri).get_run(run_id).info.status == "FINISHED"


def test_once_says_what_could_not_be_sent(sweep):
    failed = run(sweep.path, "--once", "--tracking-uri", "http://127.0.0.1:9")

    assert failed.returncode == 1
    assert "http://127.0.0.1:9: API request" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_folder_that_is_no_sweep_is_refused(tmp_path):
    refused = run(tmp_path)

    assert refused.returncode == 2
    assert refused.stderr == (
        f"error: {tmp_path}/sweep.json does not exist: expected the folder of a sweep, for example results/NAME\n"
    )


def test_two_mirrors_of_one_sweep_are_refused(sweep):
    with state.exclusive(sweep.path, wait=False):
        refused = run(sweep.path, "--once")

    assert refused.returncode == 2
    held = f"process {os.getpid()} of this host holds {sweep.path}/.mirror.lock"
    assert refused.stderr == f"error: another process is already sending {sweep.path} to MLflow: {held}\n"


def test_the_lock_is_free_again_when_its_holder_is_gone(sweep):
    with state.exclusive(sweep.path, wait=False), pytest.raises(state.AlreadyMirrored):
        state.exclusive(sweep.path, wait=False).__enter__()
    with state.exclusive(sweep.path, wait=False):
        pass
