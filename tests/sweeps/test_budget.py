"""Steps as a budget."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sweeps import budget
from sweeps.completion import complete
from sweeps.config import ConfigError
from sweeps.exit_codes import ExitCode
from sweeps.options import SweepOptions
from tests.sweeps.conftest import Sweeps
from trainables import definition
from trainables.data.cache import prepare
from trainables.loop import Trainer


def of(model: str, folder: Path, **options: object):
    config = complete(SweepOptions(model=model, storage=str(folder), **options))
    return config, prepare(definition.load(model).reader, config.data, folder, config.data_settings())


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (45, 1), (46, 2), (450, 10), (451, 11)])
def test_steps_are_the_epochs_that_hold_them(tmp_path: Path, steps: int, epochs: int) -> None:
    config, dataset = of("imc_vae", tmp_path, data="digits", steps=steps)
    assert (len(dataset.train), config.search_space().documented()["batch_size"]) == (1437, 32)
    found, said = budget.in_epochs(config, dataset)
    assert found == replace(config, epochs=epochs)
    assert said.startswith(f"{steps} steps are {epochs} epochs of 45 (1437 training samples, 32 a step as documented")


def test_the_environment_held_out_is_not_trained_on(tmp_path: Path) -> None:
    config, dataset = of("vae_dg", tmp_path, steps=100, set=("encoder=resnet18", "width=4"), subset=40)
    found, _ = budget.in_epochs(config, dataset)
    documented = config.search_space().documented()
    trained = Trainer("vae_dg", documented, dataset, found.epochs, 0, "cpu")
    assert trained.steps >= 100 > trained.steps - trained.batches
    assert len(trained.train_index) < len(dataset.train)


def test_one_budget_is_enough_and_must_be_positive() -> None:
    with pytest.raises(ConfigError, match=r"--steps 10 and --epochs 3: expected one of them"):
        complete(SweepOptions(model="imc_vae", steps=10, epochs=3))
    with pytest.raises(ConfigError, match=r"--steps 0: expected at least 1"):
        complete(SweepOptions(model="imc_vae", steps=0))


@pytest.mark.slow
def test_a_sweep_of_steps_says_and_records_its_epochs(sweeps: Sweeps) -> None:
    code, output = sweeps.run("--trials", "1", "--steps", "60", "--name", "stepped", "--scheduler", "none")
    assert code in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL), output
    assert "60 steps are 2 epochs of 45" in output
    recorded = json.loads((sweeps.folder("stepped") / "sweep.json").read_text())["config"]
    assert (recorded["steps"], recorded["epochs"]) == (60, 2)
    assert sweeps.state("stepped").trials[1].epoch == 2
    code, output = sweeps.resume("stepped", "--steps", "90")
    assert code == ExitCode.REFUSED
    assert "--steps: cannot change on a resume" in output


@pytest.mark.slow
def test_a_trial_leaves_pictures_of_its_way_for_the_report(sweeps: Sweeps) -> None:
    code, output = sweeps.run("--trials", "1", "--epochs", "8", "--name", "drawn", "--scheduler", "none")
    assert code in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL), output
    artifacts = sweeps.folder("drawn") / "trials" / "00001" / "artifacts"
    drawn = sorted(path.name for path in artifacts.glob("reconstructions-epoch-*.png"))
    assert drawn == [f"reconstructions-epoch-{epoch:05d}.png" for epoch in (2, 4, 6)]
    page = (sweeps.folder("drawn") / "report.html").read_text()
    assert ("Reconstructions after epoch 4" in page) == (code == ExitCode.FINISHED)
