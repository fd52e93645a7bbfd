"""Everything that may die, killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from sweeps.exit_codes import ExitCode
from sweeps.journal import Status
from tests.sweeps.conftest import Sweeps
from trainables import epoch_log


def epochs_of(sweeps: Sweeps, name: str, trial: int) -> list[int]:
    return [row["epoch"] for row in epoch_log.read_trial(sweeps.folder(name), trial)]


def metrics_of(sweeps: Sweeps, name: str, trial: int) -> list[dict]:
    rows = epoch_log.read_trial(sweeps.folder(name), trial)
    clocks = ("time/", "memory/", "seconds")
    return [{key: value for key, value in row.items() if not key.startswith(clocks)} for row in rows]


def children(pid: int) -> dict[int, str]:
    """All descendants of a process with their command lines."""
    lines = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    parents = {int(m[1]): (int(m[2]), m[3]) for m in re.finditer(r"^\s*(\d+)\s+(\d+)\s+(.*)$", lines, re.M)}
    found = {pid}
    while more := {child for child, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return {child: parents[child][1] for child in found if child in parents}


def assert_whole(sweeps: Sweeps, name: str, trials: int, epochs: int) -> None:
    """Every trial ran every epoch once, started from one suggestion, and has one MLflow run."""
    records = sweeps.state(name).trials
    assert sorted(records) == list(range(1, trials + 1))
    assert all(record.status is Status.FINISHED for record in records.values())
    assert all(epochs_of(sweeps, name, trial) == list(range(1, epochs + 1)) for trial in records)
    suggested = [event["trial"] for event in sweeps.events(name) if event["event"] == "suggested"]
    assert sorted(suggested) == sorted(records)
    runs = sweeps.mlflow_runs()
    assert sorted(run.data.tags.get("sweep.trial", "") for run in runs) == sorted(["", *map(str, records)])
    assert all(run.info.status == "FINISHED" for run in runs)


def test_killed_worker_goes_on_from_its_checkpoint_to_the_same_numbers(sweeps: Sweeps) -> None:
    common = ["--trials", "1", "--epochs", "8", "--scheduler", "none"]
    process = sweeps.start(*common, "--name", "killed")
    sweeps.wait(process, lambda: len(epochs_of(sweeps, "killed", 1)) >= 3)
    workers = [pid for pid, command in children(process.pid).items() if "Trainable" in command]
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == ExitCode.FINISHED, output
    starts = [event for event in sweeps.events("killed") if event["event"] == "started"]
    assert len(starts) == 2
    assert_whole(sweeps, "killed", 1, 8)

    assert sweeps.run(*common, "--name", "undisturbed")[0] == ExitCode.FINISHED
    assert metrics_of(sweeps, "killed", 1) == metrics_of(sweeps, "undisturbed", 1)


def test_killed_driver_resumes_without_loss_or_repetition(sweeps: Sweeps) -> None:
    process = sweeps.start("--trials", "4", "--epochs", "8", "--scheduler", "none", "--name", "driver")
    sweeps.wait(process, lambda: len(epochs_of(sweeps, "driver", 2)) >= 3)
    process.kill()
    process.wait()
    code, output = sweeps.resume("driver")
    assert code == ExitCode.FINISHED, output
    assert_whole(sweeps, "driver", 4, 8)
    code, output = sweeps.resume("driver", "--trials", "4")
    assert code == ExitCode.FINISHED
    assert_whole(sweeps, "driver", 4, 8)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_sweep_in_order(sweeps: Sweeps, number: signal.Signals) -> None:
    process = sweeps.start("--trials", "2", "--epochs", "200", "--scheduler", "none", "--name", "cut")
    sweeps.wait(process, lambda: len(epochs_of(sweeps, "cut", 1)) >= 2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "--resume cut" in output
    assert "Traceback" not in output
    state = sweeps.state("cut")
    assert state.status == "interrupted"
    assert {record.status for record in state.trials.values()} == {Status.INTERRUPTED}
    assert {record.reason for record in state.trials.values()} == {"SIGNAL"}


def test_time_budget_leaves_trials_resumable(sweeps: Sweeps) -> None:
    common = ["--trials", "2", "--epochs", "30", "--scheduler", "none", "--name", "budget"]
    code, output = sweeps.run(*common, "--time-budget", "12s")
    assert code == ExitCode.INTERRUPTED, output
    assert {record.reason for record in sweeps.state("budget").trials.values()} == {"TIME_BUDGET"}
    code, output = sweeps.resume("budget")
    assert code == ExitCode.FINISHED, output
    assert_whole(sweeps, "budget", 2, 30)


def test_a_resume_may_not_change_what_is_compared(sweeps: Sweeps) -> None:
    sweeps.run("--trials", "1", "--epochs", "1", "--name", "done")
    code, output = sweeps.resume("done", "--epochs", "5", "--seed", "3")
    assert code == ExitCode.REFUSED
    assert "--epochs: cannot change on a resume" in output
    assert "--seed: cannot change on a resume" in output
    code, output = sweeps.resume("nothing")
    assert code == ExitCode.REFUSED
    assert "sweeps there: done" in output
