"""A likelihood's best constant is fitted by the first trial of a sweep, and read by the others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from trainables import epoch_log, likelihood
from trainables.data.cache import prepare
from trainables.definition import load
from trainables.health import HealthConfig
from trainables.references import FOLDER
from trainables.trainable import TrialSettings, VaeTrainable

MODEL = str(Path(__file__).parents[2] / "examples" / "my_counts.py")


def test_two_trials_fit_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[float] = []
    fit = likelihood.constant_nll

    def counted(*arguments: object) -> float:
        fitted.append(fit(*arguments))
        return fitted[-1]

    monkeypatch.setattr(likelihood, "constant_nll", counted)
    definition = load(MODEL)
    dataset = prepare(definition.reader, None, tmp_path / "data", {"subset": 64})
    sweep = tmp_path / "sweep"
    common = TrialSettings(
        MODEL, str(sweep), str(dataset.path), 1, 0, 1, asdict(HealthConfig()), "val/elbo_gain", "max", []
    )
    for trial, latent_dim in ((1, 4), (2, 8)):
        config = definition.space.documented() | {"latent_dim": latent_dim}
        told = {"trial": trial, "control": False, "pauses": [1], "hyperparameters": config}
        worker = VaeTrainable(told | {"settings": asdict(common)})
        assert "failure" not in (result := worker.step()), result
        worker.cleanup()
    rows = [epoch_log.read_trial(sweep, trial)[0] for trial in (1, 2)]
    assert [row["val/nll_constant"] for row in rows] == 2 * fitted
    assert len(list((sweep / FOLDER).iterdir())) == 1
