"""How a sweep ends when something in its folder cannot be read any more."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich import console as rich

from sweeps import api
from sweeps.config import ConfigError
from sweeps.console import Console
from sweeps.cost import Cost
from sweeps.driver import Driver
from sweeps.exit_codes import ExitCode
from sweeps.options import ResumeOptions
from sweeps.preparation import Prepared
from sweeps.records import journal, record
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Reason, SweepStatus
from sweeps.records.record import SweepRecord
from sweeps.result import SweepResult, recorded_result
from sweeps.run_state import SweepRun
from sweeps.tracking.process import TrackingProcess
from tests.sweeps.test_run_state import start, sweep
from trainables import epoch_log
from trainables.files import epochs_file


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    """A sweep whose three trials are over; the third is the best."""
    run = sweep(tmp_path)
    config = run.config
    record.write(SweepRecord(config.name, "5eeb", config.model, config, health=run.health), config.folder)
    for _ in range(3):
        trial = start(run)
        row = {"verdict": "HEALTHY", "verdict_detail": "", "best_epoch": 9, "val/elbo_gain": 0.1 * trial}
        rows = [{"epoch": epoch, "seconds": 1.0 * epoch, **row} for epoch in range(1, 10)]
        epoch_log.write(config.folder, trial, run.records[trial].config, rows)
        run.ended(trial, rows[-1])
    return run


def close(run: SweepRun) -> tuple[ExitCode, str]:
    """Exit status and output of its end; the mirror is not running."""
    file = io.StringIO()
    driver = Driver(Prepared(run.config, None, {}, (), Cost()), Console(rich.Console(file=file, width=200)))
    result = driver.close(run, TrackingProcess(run.config.folder, run.config.tracking_uri), "")
    return result.status, file.getvalue()


def test_where_none_ended_healthy_nothing_is_confirmed_and_that_is_said(tmp_path: Path) -> None:
    run = sweep(tmp_path, confirm=2)
    record.write(SweepRecord("run", "5eeb", run.config.model, run.config, health=run.health), run.config.folder)
    for _ in range(3):
        run.ended(start(run), {"epoch": 9, "val/elbo_gain": 0.1, "verdict": "COLLAPSED", "verdict_detail": ""})
    code, output = close(run)
    assert code is ExitCode.NO_HEALTHY_TRIAL
    assert "No configuration to confirm: none ended healthy." in output
    assert not SweepFolder(run.config.folder).confirmation.exists


def test_a_search_that_is_cut_off_is_not_confirmed(tmp_path: Path, run: SweepRun) -> None:
    again = sweep(tmp_path, confirm=2, trials=4)
    again.stopping = Reason.SIGNAL
    code, output = close(again)
    assert code is ExitCode.INTERRUPTED
    assert "Confirmed" not in output
    assert not SweepFolder(run.config.folder).confirmation.exists


def test_a_confirmation_that_cannot_start_costs_the_search_nothing(
    run: SweepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(driver: Driver) -> SweepResult:
        assert driver.config.name == "run/confirm"
        raise ConfigError(["--storage: 0.1 GiB free, up to 0.2 GiB needed"])

    monkeypatch.setattr(Driver, "run", refused)
    again = sweep(run.config.folder.parent, confirm=1)
    record.write(SweepRecord("run", "5eeb", "imc_vae", again.config, health=run.health), again.config.folder)
    code, output = close(again)
    assert code is ExitCode.FINISHED
    assert "Not confirmed: --storage: 0.1 GiB free, up to 0.2 GiB needed." in output
    assert "Best: trial 3" in output
    assert "Go on: python sweeps/run.py --resume run" in output
    assert recorded_result(again.config.folder).resumable


def test_a_sweep_that_ends_well(run: SweepRun):
    code, output = close(run)
    state = journal.read(run.config.folder)
    assert (code, state.status, state.best) == (ExitCode.FINISHED, SweepStatus.FINISHED, 3)
    assert "Best: trial 3" in output
    assert "cannot be read" not in output
    assert not SweepFolder(run.config.folder).errors.exists()


def test_an_unreadable_epoch_file_costs_its_trial_alone(run: SweepRun):
    folder = SweepFolder(run.config.folder)
    epochs_file(folder.path, 3).write_bytes(b"x")
    code, output = close(run)
    state = journal.read(folder.path)
    assert (code, state.status, state.best) == (ExitCode.FINISHED, SweepStatus.FINISHED, 3)
    assert "trial-00003.parquet cannot be read" in output
    assert "trial-00003.parquet cannot be read" in folder.report.read_text()


def test_an_unreadable_record_costs_neither_the_end_nor_the_exit_status(run: SweepRun):
    folder = SweepFolder(run.config.folder)
    folder.record.write_text("{")
    code, output = close(run)
    state = journal.read(folder.path)
    assert (code, state.status, state.best) == (ExitCode.FINISHED, SweepStatus.FINISHED, 3)
    assert f"Report: failed (SweepError: {folder.record}: cannot be read as JSON" in output
    assert folder.errors.read_text().count("cannot be read as JSON") >= 2


def test_a_sweep_is_resumed_where_it_lies_now(run: SweepRun, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    run.config.folder.rename(elsewhere / "renamed")
    config = api.resumed("renamed", ResumeOptions(storage=str(elsewhere)))
    assert (config.folder, config.trials) == (elsewhere / "renamed", 3)
    assert str(elsewhere) in config.tracking_uri
