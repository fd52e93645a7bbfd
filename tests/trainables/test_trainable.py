"""The Ray Trainable around loops of the user's own, driven as a worker's process drives it, without Ray."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ray.tune.utils.util import flatten_dict

from search_spaces import resolve
from search_spaces.reference import CODE, write_copy
from trainables import checkpoint, definition, drawing, epoch_log, own_loop
from trainables.data.cache import prepare
from trainables.health import HealthConfig
from trainables.trainable import TOLD, Told, TrialSettings, VaeTrainable

EPOCHS = 4
HEAD = """
import torch
from pathlib import Path
from search_spaces import Parameter, SearchSpace

SPACE = SearchSpace("mine", (Parameter("beta", "log", 1.0, low=0.1, high=9.0),), metrics=("val/nelbo",), mode="min")

def tell(monitor, scale=1.0):
    mu = scale * torch.randn(64, 2)
    return monitor.epoch(mu, torch.full_like(mu, -3.0 if scale > 0.1 else 0.0), nelbo=float(torch.rand(())))
"""
SAVING = """
def train(config, monitor):
    for epoch in range(monitor.done, monitor.epochs):
        monitor.save({"epoch": epoch})
        tell(monitor)
"""
FORGETFUL = """
def train(config, monitor):
    try:
        for epoch in range(monitor.epochs):
            tell(monitor)
    finally:
        Path(PLACE, "finally").touch()
"""


class Worker(VaeTrainable):
    """As a worker's process drives it; what it tells of an epoch."""

    def told(self) -> dict[str, Any]:
        result = self.step()
        return result[TOLD].row | {"done": result["done"]}


MakeWorker = Callable[..., Worker]


def threads() -> int:
    return sum(thread.name == "own-loop" for thread in threading.enumerate())


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[MakeWorker]:
    """A worker that trains a trial of a loop, whose source is given, in the sweep's folder `tmp_path / sweep`."""
    made: list[Worker] = []

    def of(source: str, **more: Any) -> Worker:
        one = Worker(settings(tmp_path, source, **more))
        made.append(one)
        return one

    yield of
    for one in made:
        one.cleanup()
    assert threads() == 0


def settings(
    tmp_path: Path, source: str, trial: int = 1, dataset: str = "", require: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """A trial's configuration."""
    path = tmp_path / "mine.py"
    path.write_text(f"PLACE = {str(tmp_path)!r}\n{HEAD}{source}")
    common = TrialSettings(
        str(path), str(tmp_path / "sweep"), dataset, EPOCHS, 0, 1, asdict(HealthConfig()), "val/nelbo", "min", require
    )
    config = {"trial": trial, "control": False, "pauses": [EPOCHS], "hyperparameters": {"beta": 1.0}}
    return config | {"settings": asdict(common)} | more


def test_a_trial_of_a_loop_leaves_what_any_trial_leaves(worker: MakeWorker, tmp_path: Path) -> None:
    one = worker(SAVING)
    results = [one.told() for _ in range(EPOCHS)]
    assert [result["done"] for result in results] == [False] * (EPOCHS - 1) + [True]
    logged = epoch_log.read_trial(tmp_path / "sweep", 1)
    assert [row["epoch"] for row in logged] == [1, 2, 3, 4]
    assert {row["verdict"] for row in logged} == {"HEALTHY"}
    best = min(logged, key=lambda row: row["val/nelbo"])
    assert logged[-1]["best_epoch"] == best["epoch"]
    assert all(later["seconds"] > row["seconds"] > 0 for row, later in pairwise(logged))
    assert checkpoint.load(tmp_path / "sweep" / "trials" / "00001")["own"] == {"epoch": 3}
    with pytest.raises(FileNotFoundError, match=r"has no model: .*monitor.save\(\{'model'"):
        checkpoint.load_model(tmp_path / "sweep" / "trials" / "00001")


def test_the_epoch_of_a_trial_is_the_best_that_meets_what_is_required(worker: MakeWorker, tmp_path: Path) -> None:
    free = worker(SAVING)
    losses = [free.told()["val/nelbo"] for _ in range(EPOCHS)]
    bound = sorted(losses)[1]  # the best misses it
    bounded = worker(SAVING, trial=2, require=[f"val/nelbo>={bound!r}"])
    told = [bounded.told() for _ in range(EPOCHS)]
    assert [row["val/nelbo"] for row in told] == losses
    assert told[-1]["best_epoch"] == losses.index(bound) + 1
    assert epoch_log.read_trial(tmp_path / "sweep", 1)[-1]["best_epoch"] == losses.index(min(losses)) + 1


def test_after_the_death_of_a_worker_a_loop_goes_on_from_what_it_saved(worker: MakeWorker, tmp_path: Path) -> None:
    first = worker(SAVING, pauses=[2])  # so that there is a checkpoint, fast as the epochs are
    before = [first.told() for _ in range(2)]
    second = worker(SAVING)  # the first is gone, and nobody has heard of its last epoch
    again = second.told()
    assert (again["epoch"], again["val/nelbo"]) == (2, before[-1]["val/nelbo"])
    assert [second.told()["epoch"] for _ in range(2)] == [3, 4]
    assert checkpoint.load(tmp_path / "sweep" / "trials" / "00001")["own"] == {"epoch": 3}
    assert [row["epoch"] for row in epoch_log.read_trial(tmp_path / "sweep", 1)] == [1, 2, 3, 4]


def test_a_loop_that_saves_nothing_begins_again(worker: MakeWorker, tmp_path: Path) -> None:
    first = worker(FORGETFUL)
    before = [first.told()["val/nelbo"] for _ in range(2)]
    second = worker(FORGETFUL)
    assert [second.told()["val/nelbo"] for _ in range(2)] == before
    assert checkpoint.load(tmp_path / "sweep" / "trials" / "00001") is None


def test_another_trial_ends_the_loop_of_the_one_before(worker: MakeWorker, tmp_path: Path) -> None:
    one = worker(FORGETFUL)
    one.told()
    assert not (tmp_path / "finally").exists()
    assert one.reset_config(settings(tmp_path, FORGETFUL, trial=2))
    assert (tmp_path / "finally").exists()
    assert threads() == 0
    one.told()
    assert len(epoch_log.read_trial(tmp_path / "sweep", 2)) == 1


def test_a_loop_that_will_not_end_costs_its_worker_and_is_noted(
    worker: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = """
def train(config, monitor):
    import time
    try:
        tell(monitor)
    except BaseException:
        time.sleep(1)
"""
    one = worker(stubborn)
    one.told()
    monkeypatch.setattr(own_loop, "PATIENCE", 0.05)
    assert not one.reset_config(settings(tmp_path, stubborn, trial=2))
    assert "did not end" in (tmp_path / "sweep" / "trials" / "00001" / "error.txt").read_text()
    monkeypatch.setattr(own_loop, "PATIENCE", 30)


def test_a_loop_that_ends_early_tells_its_last_epoch_as_the_last(worker: MakeWorker) -> None:
    one = worker("def train(config, monitor):\n    tell(monitor)\n    tell(monitor)\n")
    assert [(result["epoch"], result["done"]) for result in (one.told(), one.told(), one.told())] == [
        (1, False), (2, False), (2, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("def train(config, monitor):\n    tell(monitor)\n    config['hiden']\n", "KeyError: 'hiden' (mine.py:"),
        ("def train(config, monitor):\n    pass\n", "returned without a call of monitor.epoch"),
        (
            "def train(config, monitor):\n    mu = torch.randn(64, 2)\n    monitor.epoch(mu, mu - 3, loss=1.0)\n",
            "ranked by val/nelbo, which monitor.epoch(…) was not given; it has val/loss",
        ),
    ],
)
def test_a_loop_that_fails_says_where(worker: MakeWorker, source: str, detail: str) -> None:
    one = worker(source)
    results = [one.told(), one.told()]
    failed = next(result for result in results if "failure" in result)
    assert failed["done"]
    assert failed["failure"] == "ERROR"
    assert detail in failed["failure_detail"]


def test_a_collapse_is_told_and_a_control_runs_on(worker: MakeWorker) -> None:
    collapsing = "def train(config, monitor):\n    while not monitor.condemned:\n        tell(monitor, 1e-4)\n"
    one = worker(collapsing, control=True)
    results = [one.told() for _ in range(EPOCHS)]
    assert results[-1]["verdict"] == "COLLAPSED"
    assert [result["epoch"] for result in results] == [1, 2, 3, 4]


def test_an_epoch_is_one_value_to_ray_which_keeps_statistics_of_every_number(worker: MakeWorker) -> None:
    result = worker(SAVING).step()
    assert sorted(result) == ["done", TOLD]
    assert isinstance(flatten_dict(result)[TOLD], Told)
    assert "val/nelbo" in result[TOLD].row
    assert not any(name.startswith("latent/") for name in result[TOLD].row)


WITH_MODEL = """
import numpy as np
from torch import nn
from trainables.vae import Vae

class Model(Vae):
    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        self.encoder, self.decoder = nn.Linear(64, 8), nn.Linear(4, 64)

    def encode(self, x):
        return self.encoder(x.flatten(1)).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z).unflatten(1, self.shape)

def data(source):
    from sklearn.datasets import load_digits
    return (load_digits().images[:200] / 16).astype(np.float32)

def train(config, monitor):
    model = Model(config, (8, 8), {"mean": np.zeros((8, 8), np.float32), "std": np.ones((8, 8), np.float32)})
    for epoch in range(monitor.done, monitor.epochs):
        with torch.no_grad():
            model.decoder.bias.fill_(epoch + 1.0)
        monitor.save({"model": model.state_dict()})
        mu = torch.randn(64, 2)
        monitor.epoch(mu, mu - 3, nelbo=abs(epoch - 1.0))
"""


def test_with_a_model_in_the_file_a_loop_is_drawn_and_exported(worker: MakeWorker, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + WITH_MODEL)
    reference = resolve(str(tmp_path / "mine.py"))
    assert reference.prepares_data
    dataset = prepare(definition.load(reference.text).reader, None, tmp_path / "data")
    one = worker(WITH_MODEL, dataset=str(dataset.path))
    write_copy(resolve(str(tmp_path / "mine.py")), tmp_path / "sweep" / CODE)
    for _ in range(EPOCHS):
        assert "failure" not in one.told()
    folder = tmp_path / "sweep" / "trials" / "00001"
    assert drawing.draw(folder / "artifacts") == []
    assert (folder / "artifacts" / "reconstructions.png").exists()
    assert not (folder / "error.txt").exists()
    assert float(checkpoint.load_model(folder).decoder.bias.detach()[0]) == 2.0  # of its best epoch, the second


def test_a_trial_that_may_wait_leaves_what_its_pictures_need(worker: MakeWorker, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + WITH_MODEL)
    dataset = prepare(definition.load(resolve(str(tmp_path / "mine.py")).text).reader, None, tmp_path / "data")
    one = worker(WITH_MODEL, dataset=str(dataset.path), pauses=[2])
    arrays = tmp_path / "sweep" / "trials" / "00001" / "artifacts" / "pictures.npz"
    lines = tmp_path / "sweep" / "epochs" / "trial-00001.jsonl"
    one.told()
    assert not arrays.exists()
    assert lines.exists()
    one.told()
    assert arrays.exists()
    assert not lines.exists()
    assert not list(arrays.parent.glob("*.png"))
    one.told()
    assert lines.exists()


def test_a_control_saves_its_pictures_when_it_is_condemned_and_not_at_every_epoch_after(
    worker: MakeWorker, tmp_path: Path
) -> None:
    one = worker(
        "def train(config, monitor):\n    while monitor.done < 4:\n        tell(monitor, 1e-4)\n", control=True
    )
    saved: list[int] = []
    one._finish = lambda leaves: saved.append(len(one._rows)) if leaves else None  # type: ignore[method-assign]
    verdicts = [one.told()["verdict"] for _ in range(EPOCHS)]
    assert saved == [verdicts.index("COLLAPSED") + 1, EPOCHS]
