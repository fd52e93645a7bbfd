"""What every model must do on its embedded data: train, be judged, forecast, drawn, saved and resumed."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch

import search_spaces
from trainables import artifacts, checkpoint, models
from trainables.data.cache import prepare
from trainables.forecast import Forecaster
from trainables.health import HealthConfig, judge
from trainables.loop import Trainer

SMALLEST = {"image_size": 16, "width": 8, "hidden_dim": 32, "encoder": "resnet18"}
SIDES = {"vae_dg": 32, "conv_vae": 32}  # of images, where 16 is too small
EPOCHS = 2


def small(name: str, folder: Path, **changes: object) -> Trainer:
    """A trial of the documented configuration, as small as it goes."""
    space = search_spaces.load(name).on_embedded()
    sizes = SMALLEST | {"image_size": SIDES.get(name, SMALLEST["image_size"])}
    config = space.documented()
    config |= {key: value for key, value in sizes.items() if key in config}
    config |= {"loss_scales": 1} if "loss_scales" in config else {}
    settings = {parameter: config[parameter] for parameter in space.data_settings()} | {"subset": 24}
    dataset = prepare(models.load(name).READER, None, folder, settings)
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
    assert (tmp_path / "artifacts" / "reconstructions.png").stat().st_size > 1000

    loaded = checkpoint.load_model(tmp_path / "trial").state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)
