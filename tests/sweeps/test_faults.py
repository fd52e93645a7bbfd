"""Everything that may die, killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeps import api
from sweeps.config import ConfigError
from sweeps.driver import Driver
from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Status
from tests.sweeps.conftest import DONE, ROOT, TINY, Sweeps
from tests.sweeps.tracking.conftest import Server
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
    assert process.returncode in DONE, output
    starts = [event for event in sweeps.events("killed") if event["event"] == "started"]
    assert len(starts) == 2
    assert_whole(sweeps, "killed", 1, 8)

    assert sweeps.run(*common, "--name", "undisturbed")[0] in DONE
    assert metrics_of(sweeps, "killed", 1) == metrics_of(sweeps, "undisturbed", 1)


def test_killed_driver_resumes_without_loss_or_repetition(sweeps: Sweeps) -> None:
    process = sweeps.start("--trials", "4", "--epochs", "8", "--scheduler", "none", "--name", "driver")
    sweeps.wait(process, lambda: len(epochs_of(sweeps, "driver", 2)) >= 3)
    process.kill()
    process.wait()
    code, output = sweeps.resume("driver")
    assert code == ExitCode.FINISHED, output
    assert_whole(sweeps, "driver", 4, 8)
    code, output = sweeps.resume("driver")
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


def test_a_trial_and_then_the_sweep_are_stopped_by_hand(sweeps: Sweeps) -> None:
    process = sweeps.start("--trials", "3", "--epochs", "200", "--scheduler", "none", "--name", "hand")
    sweeps.wait(process, lambda: len(epochs_of(sweeps, "hand", 1)) >= 2)
    code, output = sweeps.run("--stop", "hand:1", tiny=False)
    assert code == ExitCode.FINISHED, output
    sweeps.wait(process, lambda: sweeps.state("hand").trials[1].status is Status.STOPPED)
    last = sweeps.state("hand").trials[1].epoch
    assert sweeps.state("hand").trials[1].detail == f"stopped by hand at epoch {last}"
    sweeps.wait(process, lambda: 3 in sweeps.state("hand").trials)  # its worker is free for another
    assert sweeps.run("--stop", "hand:1", tiny=False)[0] == ExitCode.REFUSED
    assert sweeps.run("--stop", "hand", tiny=False)[0] == ExitCode.FINISHED
    output, _ = process.communicate(timeout=120)
    assert process.returncode == ExitCode.INTERRUPTED, output
    assert "--resume hand" in output
    assert "Traceback" not in output
    state = sweeps.state("hand")
    assert {trial: (record.status, record.reason) for trial, record in state.trials.items()} == {
        1: (Status.STOPPED, "BY_HAND"),
        2: (Status.INTERRUPTED, "BY_HAND"),
        3: (Status.INTERRUPTED, "BY_HAND"),
    }
    assert len(epochs_of(sweeps, "hand", 1)) == last
    assert sweeps.run("--stop", "hand", tiny=False)[0] == ExitCode.REFUSED


def test_time_budget_leaves_trials_resumable(sweeps: Sweeps) -> None:
    common = ["--trials", "2", "--epochs", "30", "--scheduler", "none", "--name", "budget"]
    code, output = sweeps.run(*common, "--time-budget", "12s")
    assert code == ExitCode.INTERRUPTED, output
    assert {record.reason for record in sweeps.state("budget").trials.values()} == {"TIME_BUDGET"}
    code, output = sweeps.resume("budget")
    assert code == ExitCode.FINISHED, output
    assert_whole(sweeps, "budget", 2, 30)


def test_a_resume_may_not_change_what_is_compared(sweeps: Sweeps) -> None:
    sweeps.run("--trials", "1", "--epochs", "1", "--name", "done", *sweeps.untracked)
    code, output = sweeps.resume("done", "--epochs", "5", "--seed", "3")
    assert code == ExitCode.REFUSED
    assert "--epochs: cannot change on a resume" in output
    assert "--seed: cannot change on a resume" in output
    code, output = sweeps.resume("nothing")
    assert code == ExitCode.REFUSED
    assert "sweeps there: done" in output


IMPOSSIBLE = 10**13  # latent dimensions: the first layer alone would need more than any address space
HOG = 40_000  # latent dimensions: a layer of 6 GiB
SMALL = ["imc_vae", "--data", "digits", "--set", "hidden_dim=32", "--set", "layers=1", "--scheduler", "none"]
ONE_IS_LARGE = ["--search", "random", "--seed", "5", "--trials", "4"]  # of two sizes, by the draws of this seed


def assert_only_the_large_one_failed(sweeps: Sweeps, name: str, size: int) -> int:
    """Its number."""
    records = sweeps.state(name).trials
    (large,) = [trial for trial, record in records.items() if record.config["latent_dim"] == size]
    found = {trial: (record.status, record.reason) for trial, record in records.items()}
    finished = dict.fromkeys(range(1, 5), (Status.FINISHED, ""))
    assert found == finished | {large: (Status.FAILED, "OUT_OF_MEMORY")}
    failed = next(run for run in sweeps.mlflow_runs() if run.data.tags.get("sweep.trial") == str(large))
    assert (failed.info.status, failed.data.tags["stop.reason"]) == ("FAILED", "OUT_OF_MEMORY")
    return large


def test_a_trial_that_finds_no_memory_fails_alone(sweeps: Sweeps) -> None:
    sizes = ["--space", f"latent_dim=16,{IMPOSSIBLE}"]
    code, output = sweeps.run(*SMALL, *sizes, *ONE_IS_LARGE, "--epochs", "1", "--name", "memory", tiny=False)
    assert code in DONE, output
    large = assert_only_the_large_one_failed(sweeps, "memory", IMPOSSIBLE)
    detail = sweeps.state("memory").trials[large].detail
    assert re.search(r"DefaultCPUAllocator: can't allocate memory: you tried to allocate \d+ bytes", detail)
    assert detail in output  # with the brackets that it has
    assert "Traceback" not in output


@pytest.mark.slow
def test_who_is_ended_by_the_memory_monitor_fails_alone(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {line.split()[0]: int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()}
    limit = (
        1 - (memory["MemAvailable:"] - 3 * 2**20) / memory["MemTotal:"]
    )  # 3 GiB from here; the large one wants more
    assert limit < 0.9, "this machine has too little free memory for the test"
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{limit:.3f}")
    sizes = ["--space", f"latent_dim=16,{HOG}", "--max-concurrent", "2"]
    code, output = sweeps.run_alone(*SMALL, *sizes, *ONE_IS_LARGE, "--epochs", "3", "--name", "hog", tiny=False)
    assert code in DONE, output
    assert_only_the_large_one_failed(sweeps, "hog", HOG)
    assert "its worker died 3 times in a row; at last Ray ended it because its node ran out of memory" in output


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own."""
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


def test_killed_tracking_server_costs_nothing(sweeps: Sweeps, mlflow_server: Server) -> None:
    trials, epochs, name = 2, 20, "served"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's dependencies
        from mlflow import MlflowClient
    client = MlflowClient(mlflow_server.uri)

    def runs() -> dict[str, object]:
        found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        by_trial = {run.data.tags.get("sweep.trial", "sweep"): run for run in found}
        assert len(by_trial) == len(found)
        return by_trial

    def trained() -> int:
        return len(epochs_of(sweeps, name, 1))

    arguments = ["--trials", str(trials), "--epochs", str(epochs), "--scheduler", "none", "--name", name]
    process = sweeps.start(*arguments, "--tracking-uri", mlflow_server.uri)
    sweeps.wait(process, lambda: "1" in (found := runs()) and int(found["1"].data.tags.get("epochs", 0)) > 0)
    mlflow_server.kill()
    before = trained()
    sweeps.wait(process, lambda: trained() >= before + 3)
    mlflow_server.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == ExitCode.FINISHED, output
    assert "trying again" in (sweeps.folder(name) / "mlflow.log").read_text()

    found = runs()
    assert sorted(found) == ["1", "2", "sweep"]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    for trial in range(1, trials + 1):
        rows = epoch_log.read_trial(sweeps.folder(name), trial)
        assert len(rows) == epochs
        for metric in ("val/elbo_gain", "health/kl_raw"):
            sent = client.get_metric_history(found[str(trial)].info.run_id, metric)
            assert [(point.step, point.value) for point in sent] == [(row["epoch"], row[metric]) for row in rows]


VANISHING = """
import sys
sys.path.insert(0, {root!r})
from sweeps import run
from sweeps.driver import Driver

def vanish(driver, *rest):
    (driver.config.folder / "sweep.json").rename(driver.config.folder.parent / "hidden.json")
    raise OSError("Transport endpoint is not connected")

Driver.close = vanish
run.main()
"""


def test_results_stay_when_the_record_cannot_be_seen_at_the_end(sweeps: Sweeps) -> None:
    """A mount that goes away and comes back, say."""
    given = ["imc_vae", "--data", "digits", *TINY, "--trials", "1", "--epochs", "2", "--name", "vanished"]
    done = subprocess.run(
        [sys.executable, "-c", VANISHING.format(root=str(ROOT)), *given, "--storage", str(sweeps.storage)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "Transport endpoint is not connected" in done.stderr
    assert epochs_of(sweeps, "vanished", 1) == [1, 2]
    assert list((sweeps.folder("vanished") / "trials" / "00001").iterdir())
    (sweeps.storage / "hidden.json").rename(sweeps.folder("vanished") / "sweep.json")
    code, output = sweeps.resume("vanished")
    assert code in DONE, output
    assert_whole(sweeps, "vanished", 1, 2)


def test_a_sweep_that_never_began_leaves_its_name_free_and_removes_nothing_else(tmp_path: Path, monkeypatch) -> None:
    def failing(leave: str):
        def run(driver: Driver) -> None:
            if leave:
                (driver.config.folder / leave).write_text("result")
            raise ConfigError(["refused"])

        return run

    for leave in ("", ".probe-0", "trials.jsonl", "anything"):
        monkeypatch.setattr(Driver, "_run", failing(leave))
        with pytest.raises(ConfigError, match="refused"):
            api.sweep("imc_vae", data="digits", name="refused", storage=tmp_path)
        assert (tmp_path / "refused").exists() == (leave in ("trials.jsonl", "anything"))
        if leave in ("trials.jsonl", "anything"):
            assert (tmp_path / "refused" / leave).read_text() == "result"
            (tmp_path / "refused").rename(tmp_path / f"kept-{leave}")
