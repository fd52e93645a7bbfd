"""The epochs of a trial that somebody else trains: none is lost with the process that heard of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeps.trial_log import TrialLog
from trainables import epoch_log
from trainables.files import epochs_file

CONFIG = {"beta": 0.5, "kind": "plain"}


def row(epoch: int, value: float, verdict: str = "HEALTHY", **more: float) -> dict[str, Any]:
    return {"epoch": epoch, "verdict": verdict, "verdict_detail": "", "seed": 0, "val/x": value, **more}


@pytest.fixture
def log(tmp_path: Path) -> TrialLog:
    """Of three epochs, of which two are in the trial's file and one is a line yet."""
    log = TrialLog(tmp_path, 3, CONFIG, "val/x", "min")
    log.add(row(1, 0.5, **{"health/au": 4.0}))
    log.add(row(2, 0.1))
    log.settle()
    log.add(row(3, 0.2, verdict="COLLAPSED"))
    return log


def lines_of(folder: Path) -> Path:
    return epochs_file(folder, 3).with_suffix(epoch_log.LINES)


def epochs(folder: Path) -> list[int]:
    return [each["epoch"] for each in epoch_log.read_trial(folder, 3)]


def test_another_process_finds_every_epoch_that_was_told(log: TrialLog, tmp_path: Path) -> None:
    assert epochs(tmp_path) == [1, 2, 3]
    again = TrialLog(tmp_path, 3, CONFIG, "val/x", "min")
    assert again.rows == log.rows
    assert (again.epoch, again.condemned_at, again.metrics()) == (3, 3, {"val/x": 0.2})
    assert epochs(tmp_path) == [1, 2, 3]
    again.add(row(4, 0.3))
    again.settle()
    assert not lines_of(tmp_path).exists()
    (last,) = epoch_log.read_trial(tmp_path, 3)[3:]
    assert (last["best_epoch"], last["config/kind"]) == (2, "plain")


def test_the_line_that_a_process_died_in_is_left_out(log: TrialLog, tmp_path: Path) -> None:
    with open(lines_of(tmp_path), "a", encoding="utf-8") as lines:
        lines.write('{"epoch": 4, "verd')
    again = TrialLog(tmp_path, 3, CONFIG, "val/x", "min")
    again.add(row(4, 0.3))
    again.settle()
    assert epochs(tmp_path) == [1, 2, 3, 4]


def test_a_trial_that_went_back_has_every_epoch_once_and_a_best_one_of_them(log: TrialLog, tmp_path: Path) -> None:
    log.add(row(1, 0.4))
    assert (log.epoch, log.condemned_at, log.rows[-1]["best_epoch"]) == (1, None, 1)
    log.add(row(2, 0.6))
    assert log.rows[-1]["best_epoch"] == 1
    assert TrialLog(tmp_path, 3, CONFIG, "val/x", "min").rows == log.rows
    assert epochs(tmp_path) == [1, 2]
