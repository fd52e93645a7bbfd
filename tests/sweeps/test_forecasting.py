"""What the forecast of a sweep rests on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from sweeps import forecasting
from sweeps.completion import complete
from sweeps.config import SweepConfig
from sweeps.options import SweepOptions
from sweeps.records import journal, record
from sweeps.records.folder import RECORD
from sweeps.records.journal import Ended, Suggested
from sweeps.records.record import SweepRecord
from trainables import collapse, epoch_log
from trainables.collapse import FEATURES


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return complete(SweepOptions(model="imc_vae", name="new", storage=str(tmp_path)))


def sweep(storage: Path, name: str, model: str = "imc_vae", trials: int = 12, features: bool = True) -> Path:
    """A sweep whose finished trials collapsed from the seventh on, and that has a stopped and a failed one."""
    folder = storage / name
    folder.mkdir()
    config = complete(SweepOptions(model=model, name=name, storage=str(storage), epochs=2))
    record.write(SweepRecord(name, name, model, config), folder)
    log = journal.Journal(folder)
    for trial in range(1, trials + 3):
        seen = {feature: float(trial) for feature in FEATURES}
        forecast = {"sigma2": 1.0, "au": 1, "collapsed": False, "features": seen if features else {}}
        log.append(Suggested(trial, {}, "search", 5, forecast=forecast))
        status = {trials + 1: "STOPPED", trials + 2: "FAILED"}.get(trial, "FINISHED")
        reason = {"STOPPED": "RUNG", "FAILED": "ERROR"}.get(status, "")
        log.append(Ended(trial, status, reason, epoch=2))
        au = 4.0 if trial < 7 else 0.0
        rows = [{"epoch": 1, "health/au": 9.0, "health/z_gain": 0.5}]
        rows.append({"epoch": 2, "health/au": au, "health/z_gain": 0.2 if au else 0.001})
        epoch_log.write(folder, trial, {}, rows)
    return folder


def test_outcomes_are_those_of_the_last_epoch_of_trials_that_ran_to_it(tmp_path: Path):
    found = forecasting.outcomes(sweep(tmp_path, "old"))
    assert found == {trial: trial >= 7 for trial in range(1, 13)}


@pytest.mark.parametrize(
    ("status", "reason", "row", "expected"),
    [
        ("STOPPED", "COLLAPSED", {"health/au": 3.0, "health/z_gain": 0.2}, True),
        ("STOPPED", "DIVERGED", {"health/au": 0.0, "health/z_gain": 0.0}, None),
        ("FINISHED", "", {"health/au": 0.0, "health/z_gain": 0.05}, False),
        ("FINISHED", "", {"health/au": 2.0, "health/z_gain": 0.005}, True),
        ("FINISHED", "", {"health/au": 0.0}, None),
        ("FINISHED", "", {"health/codebook_usage": 0.9}, None),
    ],
)
def test_the_outcome_of_a_trial(tmp_path: Path, status: str, reason: str, row: dict, expected: bool | None):
    log = journal.Journal(tmp_path)
    log.append(Suggested(1, {}, "search", 5))
    log.append(Ended(1, status, reason, epoch=1))
    epoch_log.write(tmp_path, 1, {}, [{"epoch": 1, **row}])
    assert forecasting.outcomes(tmp_path).get(1) is expected


def test_without_own_sweeps_the_recorded_ones_speak(config: SweepConfig):
    found = forecasting.collapse_model(config)
    assert found.basis == "recorded"
    assert found.coefficients == pytest.approx(collapse.shipped("imc_vae").coefficients)
    assert "imc_vae-0" in found.source


def test_own_sweeps_of_the_model_are_learnt_from(tmp_path: Path, config: SweepConfig):
    sweep(tmp_path, "old")
    sweep(tmp_path, "other", model="conv_vae")
    sweep(tmp_path, "older", features=False)
    found = forecasting.collapse_model(config)
    assert (found.basis, found.own) == ("own sweeps", 12)
    assert found.source.startswith("12 trials of your own sweeps of this model and the recorded sweeps imc_vae-0")
    own = np.full(5, 12.0)
    assert found.probability(own) > collapse.shipped("imc_vae").probability(own)


def test_the_sweep_itself_is_not_asked(tmp_path: Path, config: SweepConfig):
    sweep(tmp_path, "new")
    assert forecasting.collapse_model(config).basis == "recorded"


def test_a_handful_of_trials_is_not_asked(tmp_path: Path, config: SweepConfig):
    sweep(tmp_path, "old", trials=9)
    assert forecasting.collapse_model(config).basis == "recorded"


def test_a_model_that_nobody_has_swept_has_theory_alone(tmp_path: Path):
    config = complete(SweepOptions(model="dip_vae_sbd", name="new", storage=str(tmp_path)))
    assert forecasting.collapse_model(config) is None
    sweep(tmp_path, "old", model="dip_vae_sbd")
    found = forecasting.collapse_model(config)
    assert (found.basis, found.source) == ("own sweeps", "12 trials of your own sweeps of this model")


def test_trials_stopped_at_a_rung_teach_what_their_verdict_says(tmp_path: Path):
    for number, (verdict, expected) in enumerate([("HEALTHY", False), ("GRACE", None)], 1):
        log = journal.Journal(tmp_path / f"{number}") if (tmp_path / f"{number}").mkdir() is None else None
        log.append(Suggested(1, {}, "search", 5))
        log.append(Ended(1, "STOPPED", "RUNG", epoch=1))
        row = {"epoch": 1, "verdict": verdict, "health/au": 0.0, "health/z_gain": 0.0}
        epoch_log.write(tmp_path / f"{number}", 1, {}, [row])
        assert forecasting.outcomes(tmp_path / f"{number}").get(1) is expected


def test_a_sweep_that_cannot_be_read_is_named_and_costs_nothing_else(
    tmp_path: Path, config: SweepConfig, caplog: pytest.LogCaptureFixture
):
    sweep(tmp_path, "old")
    broken = sweep(tmp_path, "broken")
    (broken / RECORD).write_text("{")
    with caplog.at_level(logging.WARNING):
        assert forecasting.collapse_model(config).own == 12
    assert "broken cannot be read" in caplog.text
