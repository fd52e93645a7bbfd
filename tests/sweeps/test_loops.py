"""Loops of the user's own in real sweeps: killed, paused, stopped, failing, ended early."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Status
from tests.sweeps.conftest import DONE, ROOT, Sweeps
from tests.sweeps.test_faults import assert_whole, children, epochs_of, metrics_of
from trainables import epoch_log

MIXED = """
import time
import torch
from pathlib import Path
from search_spaces import Parameter, SearchSpace

SPACE = SearchSpace(
    "mixed",
    (
        Parameter("kind", "choice", "saves", choices=("saves", "forgets", "collapses", "throws", "ends")),
        Parameter("pause", "fixed", 0.0),
    ),
    metrics=("val/nelbo",),
    mode="min",
)

def train(config, monitor):
    kind, place = config["kind"], torch.zeros(())
    if monitor.state is not None:
        place = monitor.state["place"]
    try:
        for epoch in range(monitor.done, monitor.epochs):
            time.sleep(config["pause"])
            place = 0.9 * place + torch.rand(())
            if kind == "throws" and epoch == 2:
                raise KeyError("hiden")
            if kind == "ends" and epoch == 3:
                return
            if kind != "forgets":
                monitor.save({"place": place})
            mu = (1e-4 if kind == "collapses" else 1.0) * torch.randn(64, 4)
            logvar = torch.full_like(mu, 0.0 if kind == "collapses" else -3.0)
            monitor.epoch(mu, logvar, nelbo=float(place))
    finally:
        Path(PLACE, f"finally-{kind}").touch()
"""
SMALL = ("--epochs", "8", "--max-concurrent", "2")


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    """The file of the loop."""
    path = tmp_path / "mine" / "mixed.py"
    path.parent.mkdir()
    path.write_text(f"PLACE = {str(tmp_path)!r}\n{MIXED}")
    return str(path)


def test_every_end_of_a_loop_is_told_as_it_was(sweeps: Sweeps, mixed: str, tmp_path: Path) -> None:
    code, output = sweeps.run_alone(
        mixed, *SMALL, "--search", "grid", "--trials", "6", "--scheduler", "health-asha:eta=7,control=0",
        "--name", "ends", tiny=False,
    )  # fmt: skip
    assert code == ExitCode.FINISHED, output
    ended = {record.config["kind"]: record for record in sweeps.state("ends").trials.values()}
    assert {kind: str(record.status) for kind, record in ended.items()} == {
        "saves": "FINISHED", "forgets": "FINISHED", "collapses": "STOPPED", "throws": "FAILED", "ends": "FINISHED",
    }  # fmt: skip
    assert ended["collapses"].reason == "COLLAPSED"
    assert "0 of 4 units active" in ended["collapses"].detail
    assert "KeyError: 'hiden' (mixed.py:" in ended["throws"].detail
    assert (ended["ends"].epoch, ended["saves"].epoch) == (3, 8)
    assert {path.name for path in tmp_path.glob("finally-*")} == {f"finally-{kind}" for kind in ended}
    page = (sweeps.folder("ends") / "report.html").read_text()
    assert "goes on from what the loop last handed to monitor.save(state)" in page
    (parent,) = [run for run in sweeps.mlflow_runs() if "sweep.trial" not in run.data.tags]
    assert parent.data.tags["model"] == "mixed"
    assert "Send it later" not in output  # a loop has no model that the mirror could miss


def test_a_killed_loop_goes_on_to_the_same_numbers(sweeps: Sweeps, mixed: str) -> None:
    common = (mixed, *SMALL, "--space", "kind=saves,forgets", "--trials", "1", "--scheduler", "none")
    process = sweeps.start(*common, "--set", "pause=0.5", "--name", "killed", tiny=False)
    sweeps.wait(process, lambda: len(epochs_of(sweeps, "killed", 1)) >= 3)
    workers = [pid for pid, command in children(process.pid).items() if "Trainable" in command]
    os.kill(workers[0], signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode in DONE, output
    assert len([event for event in sweeps.events("killed") if event["event"] == "started"]) == 2
    assert_whole(sweeps, "killed", 1, 8)
    assert sweeps.run_alone(*common, "--name", "undisturbed", tiny=False)[0] in DONE
    unlike = {"config/pause"}
    killed, undisturbed = (metrics_of(sweeps, name, 1) for name in ("killed", "undisturbed"))
    assert [{key: row[key] for key in row.keys() - unlike} for row in killed] == [
        {key: row[key] for key in row.keys() - unlike} for row in undisturbed
    ]


def test_who_waits_goes_on_from_what_it_saved_or_begins_again(sweeps: Sweeps, mixed: str) -> None:
    code, output = sweeps.run_alone(
        mixed, *SMALL, "--space", "kind=saves,forgets", "--trials", "4", "--scheduler", "pasha", "--search", "random",
        "--name", "waits", tiny=False,
    )  # fmt: skip
    assert code in DONE, output
    events = sweeps.events("waits")
    paused = {event["trial"] for event in events if event["event"] == "paused"}
    assert paused
    taken_up = {trial for trial in paused if sum(e["event"] == "started" and e["trial"] == trial for e in events) > 1}
    assert taken_up
    for trial, record in sweeps.state("waits").trials.items():
        assert record.status in (Status.FINISHED, Status.STOPPED)
        assert epochs_of(sweeps, "waits", trial) == list(range(1, record.epoch + 1))


@pytest.mark.filterwarnings("ignore")
def test_a_collapsed_lightning_module_is_stopped(sweeps: Sweeps, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    path = shutil.copy(ROOT / "examples" / "my_lightning.py", tmp_path)
    code, output = sweeps.run_alone(
        str(path), "--epochs", "8", "--trials", "2", "--search", "grid", "--space", "beta=0.3,300",
        "--set", "learning_rate=0.01", "--scheduler", "health-asha:control=0", "--name", "lit", tiny=False,
    )  # fmt: skip
    assert code in DONE, output
    by_beta = {record.config["beta"]: record for record in sweeps.state("lit").trials.values()}
    assert by_beta[300.0].reason == "COLLAPSED"
    assert by_beta[300.0].epoch < 8
    first = epoch_log.read_trial(sweeps.folder("lit"), 1)
    assert first[-1]["val/loss"] < first[0]["val/loss"]
