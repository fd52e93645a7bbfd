"""A trial that is told on the test part at its end, driven as a worker's process drives it, without Ray."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from trainables import checkpoint, definition, epoch_log
from trainables.data.cache import prepare
from trainables.data.store import Dataset
from trainables.health import HealthConfig
from trainables.loop import Trainer
from trainables.trainable import TOLD, TrialSettings, VaeTrainable

MODEL = str(Path(__file__).resolve().parents[2] / "examples" / "my_vae.py")
EPOCHS, SEED = 4, 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(definition.load(MODEL).reader, None, tmp_path_factory.mktemp("data"))


def worker(folder: Path, dataset: Dataset, test: bool = True) -> VaeTrainable:
    """Of a trial whose best epoch is the worst by its score, so that it is not the last."""
    common = TrialSettings(
        *(MODEL, str(folder), str(dataset.path), EPOCHS, SEED, 1, asdict(HealthConfig())),
        metric="val/elbo_gain",
        mode="min",
        require=[],
        test=test,
    )
    return VaeTrainable({
        "trial": 1, "control": False, "pauses": [], "hyperparameters": documented(), "settings": asdict(common),
    })  # fmt: skip


def documented() -> dict[str, Any]:
    return search_spaces.load(MODEL).documented() | {"kl_warmup": 0.0, "kl_weight": 0.3}


def told(one: VaeTrainable) -> dict[str, Any]:
    return one.step()[TOLD].row


def on_test(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith("test/")}


def test_only_the_last_epoch_tells_and_with_the_weights_of_the_best_one(tmp_path: Path, dataset: Dataset) -> None:
    one = worker(tmp_path, dataset)
    rows = [told(one) for _ in range(EPOCHS)]
    assert [bool(on_test(row)) for row in rows] == [False] * (EPOCHS - 1) + [True]
    best = rows[-1]["best_epoch"]
    assert best < EPOCHS
    again = Trainer(MODEL, documented(), dataset, EPOCHS, SEED)
    state = checkpoint.of_best_epoch(checkpoint.load(checkpoint.folder_of(tmp_path, 1)))
    again.model.load_state_dict(state["model"])
    again.epoch = state["epoch"]
    assert state["epoch"] == best
    assert on_test(rows[-1]) == again.test()
    assert {"test/elbo_gain", "test/mse"} <= set(on_test(rows[-1]))


def test_the_log_has_none_of_it_and_the_training_is_the_same(tmp_path: Path, dataset: Dataset) -> None:
    for name, test in (("with", True), ("without", False)):
        one = worker(tmp_path / name, dataset, test)
        assert bool(on_test([told(one) for _ in range(EPOCHS)][-1])) is test
    logs = [epoch_log.read_trial(tmp_path / name, 1) for name in ("with", "without")]
    with_it, without = ([row["val/elbo_gain"] for row in log] for log in logs)
    assert with_it == without
    assert not any(on_test(row) for row in logs[0])


def test_a_trial_that_had_ended_before_its_driver_heard_tells_the_same(tmp_path: Path, dataset: Dataset) -> None:
    one = worker(tmp_path, dataset)
    last = [told(one) for _ in range(EPOCHS)][-1]
    assert told(worker(tmp_path, dataset)) == last
