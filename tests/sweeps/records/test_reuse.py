"""A trial that another sweep has run is not run again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces import resolve
from search_spaces.reference import CODE, write_copy
from sweeps.completion import complete
from sweeps.config import SweepConfig
from sweeps.options import AblationOptions, SweepOptions
from sweeps.preparation import prepare
from sweeps.records import journal, record
from sweeps.records.journal import Ended, Suggested, TrialRecord
from sweeps.records.reuse import DECIDE_NUMBERS, Finished
from trainables import epoch_log
from trainables.checkpoint import folder_of
from trainables.health import HealthConfig

KIND = {
    "name": "old",
    "model": "imc_vae",
    "config": {"epochs": 2, "metric": ["val/elbo_gain"], "mode": ["max"]},
    "data": {"fingerprint": "f"},
    "health": {},
    "code": {"fingerprint": "s", "commit": "c", "dirty": False},
    "packages": dict.fromkeys(DECIDE_NUMBERS, "1.0"),
}
OUTSIDE_A_CHECKOUT = {"commit": None, "dirty": None}


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return complete(SweepOptions(model="imc_vae", name="new", storage=str(tmp_path)))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A sweep with a finished trial 3 and a stopped trial 4."""
    folder = tmp_path / "old"
    folder.mkdir()
    record.write(record.of(KIND), folder)
    log = journal.Journal(folder)
    for trial, status in ((3, "FINISHED"), (4, "STOPPED")):
        log.append(Suggested(trial, {"a": trial}, "search", 5))
        log.append(Ended(trial, status, epoch=2))
    epoch_log.write(folder, 3, {"a": 3}, [{"epoch": 1, "val/x": 0.5}, {"epoch": 2, "val/x": 0.7}])
    folder_of(folder, 3).mkdir(parents=True)
    (folder_of(folder, 3) / "checkpoint.pt").write_text("weights")
    return folder


def test_a_finished_twin_is_taken_over(config: SweepConfig, old: Path):
    taken = Finished(config, record.of(KIND)).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5))
    assert taken == "trial 3 of sweep old"
    rows = epoch_log.read_trial(config.folder, 9)
    assert [(row["trial"], row["epoch"], row["val/x"]) for row in rows] == [(9, 1, 0.5), (9, 2, 0.7)]
    assert (folder_of(config.folder, 9) / "checkpoint.pt").read_text() == "weights"


@pytest.mark.parametrize(("number", "seed"), [(3, 6), (4, 5), (8, 5)])
def test_another_seed_a_stopped_trial_and_another_configuration_are_not(
    config: SweepConfig, old: Path, number: int, seed: int
):
    assert (
        Finished(config, record.of(KIND)).take(config.folder, TrialRecord(9, {"a": number}, "x", seed=seed)) is None
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"code": {"fingerprint": "t", "commit": "c", "dirty": False}},
        {"code": {"fingerprint": "t", **OUTSIDE_A_CHECKOUT}},
        {"code": {"commit": "c", "dirty": False}},
        {"code": {"fingerprint": None, "commit": "c", "dirty": False}},
        {"packages": KIND["packages"] | {"torch": "2.0"}},
        {"packages": {}},
        {"data": {"fingerprint": "g"}},
        {"config": KIND["config"] | {"epochs": 3}},
        {"config": KIND["config"] | {"metric": ["val/psnr"]}},  # another epoch would be the best
        {"config": KIND["config"] | {"require": ["val/x>=0.6"]}},  # another epoch may be the best
        {"model": "other"},
    ],
)
def test_other_code_data_and_budget_are_not(config: SweepConfig, old: Path, changes: dict):
    assert (
        Finished(config, record.of(KIND | changes)).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5)) is None
    )


def test_a_sweep_is_not_its_own_twin(config: SweepConfig, old: Path):
    assert (
        Finished(replace(config, name="old"), record.of(KIND)).take(config.folder, TrialRecord(9, {"a": 3}, "x", 5))
        is None
    )


@pytest.mark.parametrize(
    "code", [{"commit": "d", "dirty": False}, {"commit": "c", "dirty": True}, OUTSIDE_A_CHECKOUT]
)
def test_the_same_sources_are_the_same_code_whatever_git_says(config: SweepConfig, old: Path, code: dict):
    own = KIND | {"code": {"fingerprint": "s", **code}}
    assert Finished(config, record.of(own)).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5)) is not None


def test_what_is_unknown_on_both_sides_is_not_the_same(config: SweepConfig, old: Path):
    for unknown in (
        {"code": {"fingerprint": None, **OUTSIDE_A_CHECKOUT}},
        {"code": OUTSIDE_A_CHECKOUT},
        {"packages": {}},
    ):
        record.write(record.of(KIND | unknown), old)
        assert (
            Finished(config, record.of(KIND | unknown)).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5))
            is None
        )


def test_two_copies_outside_a_checkout_are_told_apart_by_one_line(config: SweepConfig, old: Path, tmp_path: Path):
    codes = {}
    for name in ("original", "copy", "changed"):
        root = tmp_path / "code" / name
        for package in record.SOURCES:
            shutil.copytree(record.ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        if name == "changed":
            with open(root / "trainables" / "kl.py", "a", encoding="utf-8") as source:
                source.write("CHANGED = True\n")
        imports = "import json; from dataclasses import asdict; from sweeps.records import record"
        command = f"{imports}; print(json.dumps(asdict(record.code())))"
        environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", command], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        codes[name] = json.loads(done.stdout)
    assert codes["original"] | OUTSIDE_A_CHECKOUT == codes["original"]
    record.write(record.of(KIND | {"code": codes["original"]}), old)
    taken = {
        name: Finished(config, record.of(KIND | {"code": code})).take(
            config.folder, TrialRecord(9, {"a": 3}, "x", seed=5)
        )
        for name, code in codes.items()
    }
    assert [name for name in taken if taken[name]] == ["original", "copy"]


def test_a_sweep_that_went_on_with_other_code_is_of_no_one_code(config: SweepConfig):
    written = replace(record.of(KIND), code=record.code(), packages=record.packages())
    assert record.resumed(written, config) == replace(written, config=config)
    others = (
        replace(written, code=replace(written.code, fingerprint="other")),
        replace(written, packages=written.packages | {"torch": "2.0"}),
    )
    for other in others:
        gone_on = record.resumed(other, config)
        assert gone_on.code.fingerprint is None
        assert gone_on.code.before == [other.code]
        assert Finished(config, gone_on).take(config.folder, TrialRecord(9, {"a": 3}, "x", seed=5)) is None


def begun(model: Path, name: str, storage: Path) -> SweepConfig:
    """An ablation of a model of the user's own, as a driver leaves it when its trials begin."""
    options = AblationOptions(model=str(model), name=name, storage=str(storage), vary=("latent_dim=4,8",), seeds=1)
    prepared = prepare(complete(options))
    write_copy(resolve(prepared.config.code), prepared.config.folder / CODE)
    record.write(record.new(prepared.config, prepared.dataset, HealthConfig()), prepared.config.folder)
    return prepared.config


def taken_by(config: SweepConfig) -> list[str | None]:
    """Where each of its trials would be taken over from."""
    assert config.ablation
    finished = Finished(config, record.read(config.folder))
    return [
        finished.take(config.folder, TrialRecord(number, variant.config, variant.name))
        for number, variant in enumerate(config.ablation.variants, 1)
    ]


@pytest.mark.parametrize("changed", ["my_vae.py", "layers.py"])
def test_trials_of_an_own_model_are_not_those_of_the_changed_one(changed: str, tmp_path: Path):
    model = tmp_path / "mine" / "my_vae.py"
    model.parent.mkdir()
    text = (record.ROOT / "examples" / "my_vae.py").read_text()
    model.write_text(text.replace("import numpy", "from layers import ACTIVATION\nimport numpy"))
    (model.parent / "layers.py").write_text("from torch import nn\n\nACTIVATION = nn.ReLU\n")
    first = begun(model, "first", tmp_path / "results")
    log = journal.Journal(first.folder)
    assert first.ablation
    for number, variant in enumerate(first.ablation.variants, 1):
        log.append(Suggested(number, variant.config, variant.name))
        log.append(Ended(number, "FINISHED", epoch=1))
        epoch_log.write(first.folder, number, variant.config, [{"epoch": 1, "verdict": "HEALTHY", "val/x": 0.5}])
        folder_of(first.folder, number).mkdir(parents=True)

    assert taken_by(begun(model, "same", tmp_path / "results")) == [f"trial {n} of sweep first" for n in (1, 2)]
    file = model.parent / changed
    was = file.read_text()
    file.write_text(was.replace("nn.ReLU", "nn.Tanh"))
    assert file.read_text() != was
    assert taken_by(begun(model, "changed", tmp_path / "results")) == [None, None]
    file.write_text(was)
    assert taken_by(begun(model, "back", tmp_path / "results")) == [f"trial {n} of sweep first" for n in (1, 2)]
