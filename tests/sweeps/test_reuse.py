"""A trial that another sweep has run is not run again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sweeps import journal, record
from sweeps.config import Options, SweepConfig, complete
from sweeps.journal import TrialRecord
from sweeps.reuse import Finished
from trainables import epoch_log
from trainables.checkpoint import folder_of

KIND = {
    "model": "imc_vae",
    "config": {"epochs": 2},
    "data": {"fingerprint": "f"},
    "health": {},
    "code": {"commit": "c", "dirty": False},
}


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return complete(Options(model="imc_vae", name="new", storage=str(tmp_path)))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A sweep with a finished trial 3 and a stopped trial 4."""
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / record.FILE).write_text(json.dumps(KIND))
    log = journal.Journal(folder)
    for trial, status in ((3, "FINISHED"), (4, "STOPPED")):
        log.append("suggested", trial=trial, config={"a": trial}, origin="search", seed=5, control=False, forecast={})
        log.append("ended", trial=trial, status=status, reason="", detail="", epoch=2, metrics={})
    epoch_log.write(folder, 3, {"a": 3}, [{"epoch": 1, "val/x": 0.5}, {"epoch": 2, "val/x": 0.7}])
    folder_of(folder, 3).mkdir(parents=True)
    (folder_of(folder, 3) / "checkpoint.pt").write_text("weights")
    return folder


def test_a_finished_twin_is_taken_over(config: SweepConfig, old: Path):
    taken = Finished(config, KIND).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5))
    assert taken == "trial 3 of sweep old"
    rows = epoch_log.read_trial(config.folder, 9)
    assert [(row["trial"], row["epoch"], row["val/x"]) for row in rows] == [(9, 1, 0.5), (9, 2, 0.7)]
    assert (folder_of(config.folder, 9) / "checkpoint.pt").read_text() == "weights"


@pytest.mark.parametrize(("number", "seed"), [(3, 6), (4, 5), (8, 5)])
def test_another_seed_a_stopped_trial_and_another_configuration_are_not(
    config: SweepConfig, old: Path, number: int, seed: int
):
    assert Finished(config, KIND).take(config.folder, TrialRecord(9, {"a": number}, "x", seed=seed)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"code": {"commit": "d", "dirty": False}},
        {"code": {"commit": "c", "dirty": True}},
        {"data": {"fingerprint": "g"}},
        {"config": {"epochs": 3}},
        {"model": "other"},
    ],
)
def test_other_code_data_and_budget_are_not(config: SweepConfig, old: Path, changes: dict):
    assert Finished(config, KIND | changes).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5)) is None


def test_a_sweep_is_not_its_own_twin(config: SweepConfig, old: Path):
    assert Finished(replace(config, name="old"), KIND).take(config.folder, TrialRecord(9, {"a": 3}, "x", 5)) is None
