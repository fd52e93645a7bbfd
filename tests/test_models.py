"""What every model must do on its embedded data: train, be judged, forecast, drawn, saved and resumed."""

from __future__ import annotations

import copy
import json
import math
import platform
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

import search_spaces
from trainables import artifacts, checkpoint, definition, drawing
from trainables.data.cache import prepare
from trainables.forecast import Forecaster
from trainables.health import HealthConfig, judge
from trainables.loop import Trainer

SMALLEST = {"image_size": 16, "width": 8, "hidden_dim": 32, "encoder": "resnet18"}
SIDES = {"vae_dg": 32, "conv_vae": 32}  # of images, where 16 is too small
EPOCHS = 2
GOLDEN = Path(__file__).with_name("golden.json")  # made by python tests/test_models.py


def small(name: str, folder: Path, **changes: object) -> Trainer:
    """A trial of the documented configuration, as small as it goes."""
    space = search_spaces.load(name).on_embedded()
    sizes = SMALLEST | {"image_size": SIDES.get(name, SMALLEST["image_size"])}
    config = space.documented()
    config |= {key: value for key, value in sizes.items() if key in config}
    config |= {"loss_scales": 1} if "loss_scales" in config else {}
    settings = {parameter: config[parameter] for parameter in space.data_settings()} | {"subset": 24}
    dataset = prepare(definition.load(name).reader, None, folder, settings)
    return Trainer(name, config | changes, dataset, EPOCHS, 0, "cpu")


@pytest.mark.parametrize("name", search_spaces.names())
def test_a_trial_of_every_model(name: str, tmp_path: Path) -> None:
    trial = small(name, tmp_path)
    first = trial.run_epoch()
    checkpoint.save(tmp_path / "trial", trial.state_dict())
    weights = copy.deepcopy(trial.model.state_dict())
    rows = [first, trial.run_epoch()]
    space = search_spaces.load(name)
    assert set(space.metrics) <= set(rows[-1]), "a metric that trials may be ranked by is not measured"
    assert {target.metric for target in space.targets} <= set(rows[-1]), "a stated target is not measured"
    assert all(math.isfinite(rows[-1][metric]) for metric in space.metrics)
    assert not judge(rows, EPOCHS, HealthConfig(**space.thresholds)).verdict.condemned

    resumed = small(name, tmp_path)
    resumed.load_state_dict(checkpoint.load(tmp_path / "trial"))
    again = resumed.run_epoch()
    assert {key: value for key, value in again.items() if not key.startswith("time/")} == {
        key: value for key, value in rows[-1].items() if not key.startswith("time/")
    }

    forecast = Forecaster.of(trial.definition, trial.dataset).forecast(trial.config)
    codebook = "health/codebook_usage" in first
    assert (forecast is None) == codebook

    artifacts.write(trial, tmp_path)
    assert drawing.draw(tmp_path / "artifacts") == []
    assert (tmp_path / "artifacts" / "reconstructions.png").stat().st_size > 1000

    loaded = checkpoint.load_model(tmp_path / "trial").state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)


def place() -> dict[str, str]:
    """What decides the last digit of a number beside the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"torch": torch.__version__, "machine": platform.machine(), "cpu": cpu}


def rows(name: str, folder: Path) -> list[dict[str, Any]]:
    """The epochs of a small trial, times aside; floats as hexadecimal."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    trial = small(name, folder)
    found = [
        {key: exact(value) for key, value in trial.run_epoch().items() if not key.startswith("time/")}
        for _ in range(EPOCHS)
    ]
    torch.set_num_threads(threads)
    return found


def exact(value: Any) -> Any:
    """A value of a row so that JSON keeps every digit."""
    if isinstance(value, float):
        return value.hex() if math.isfinite(value) else str(value)
    return [exact(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", search_spaces.names())
def test_the_numbers_are_the_recorded_ones_to_the_last_digit(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    if golden["place"] != place():
        pytest.skip(f"recorded on {golden['place']}")
    assert rows(name, tmp_path) == golden["rows"][name]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as storage:
        made = {name: rows(name, Path(storage)) for name in search_spaces.names()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(found)}" for name, found in made.items())
    GOLDEN.write_text(f'{{"place": {json.dumps(place())}, "rows": {{\n{lines}\n}}}}\n')
