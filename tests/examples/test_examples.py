"""Every example: as short as promised, without a fault, trained for an epoch, saved and loaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import ModelError
from sweeps import new
from sweeps.config import ConfigError
from trainables import artifacts, checkpoint, drawing
from trainables.conformance import check, check_loop
from trainables.data.cache import prepare
from trainables.definition import load
from trainables.loop import Trainer

EXAMPLES = ("my_vae", "my_counts", "my_vq", "my_pythae")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_model(name: str, copied: Callable[[str], Path], tmp_path: Path) -> None:
    if name == "my_pythae":
        pytest.importorskip("pythae")
    path = copied(name)
    assert len(path.read_text().splitlines()) < 60
    check_and_train(path, tmp_path)


@pytest.mark.filterwarnings("ignore")  # Lightning's own
@pytest.mark.parametrize("name", ["my_loop", "my_lightning"])
def test_an_example_is_a_loop(name: str, copied: Callable[[str], Path]) -> None:
    """As short as promised; an epoch of it hands over what it is ranked by, and shows its decoder."""
    if name == "my_lightning":
        pytest.importorskip("lightning")
    path = copied(name)
    assert len(path.read_text().splitlines()) < 60
    found = check_loop(load(str(path)))
    assert found.problems == []
    assert [note.partition(" ")[0] for note in found.notes] == ([] if name == "my_loop" else ["monitor.save(state)"])


def test_what_a_loop_lacks_is_found_by_running_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    head = (
        "import torch\nfrom search_spaces import Parameter, SearchSpace\n"
        'SPACE = SearchSpace("mine", (Parameter("beta", "log", 1.0, low=0.1, high=9.0),), metrics=("val/nelbo",))\n'
    )
    loops = {
        "def train(config): pass": [
            "train cannot be called as train(config, monitor): too many positional arguments"
        ],
        "def train(config, monitor): config['b']": ["train(config, monitor): KeyError: 'b' (mine.py:4)"],
        "def train(config, monitor):\n    mu = torch.randn(64, 2)\n    monitor.epoch(mu, mu, nelbo=1.0)": [
            "searched, but train has not read it in its first epoch: beta; all its values would train the same model"
        ],
    }
    for number, (loop, problems) in enumerate(loops.items()):
        path = tmp_path / f"mine{number}.py"
        path.write_text(head + loop)
        assert [each.replace(f"mine{number}", "mine") for each in check_loop(load(str(path))).problems] == problems
    path.write_text(head + loop.replace("nelbo=1.0", "nelbo=config['beta']"))
    notes = check_loop(load(str(path))).notes
    assert ["decode and target" in notes[0], "monitor.save(state)" in notes[1]] == [True, True]


def test_the_start_that_new_writes_is_a_model(tmp_path: Path) -> None:
    path = tmp_path / "faces.py"
    new.write(path)
    assert load(str(path)).name == "faces"
    check_and_train(path, tmp_path)
    with pytest.raises(ConfigError, match="that file exists"):
        new.write(path)
    with pytest.raises(ConfigError, match="expected a name of a-z"):
        new.write(tmp_path / "imc_vae.py")


def check_and_train(path: Path, folder: Path) -> None:
    """Conforms at every corner; an epoch gives a finite score; the weights come back."""
    model = load(str(path))
    dataset = prepare(model.reader, None, folder / "data", {"subset": 64})
    x = torch.from_numpy(dataset.read(dataset.train[:8]))
    found = check(model, x, dataset.statistics, corners=True)
    assert found.problems == []
    trial = Trainer(str(path), model.space.documented(), dataset, 2, 0, "cpu")
    row = trial.run_epoch()
    assert all(math.isfinite(row[name]) for name in ("val/elbo_gain", "val/loss", "health/z_gain", "train/loss"))
    artifacts.write(trial, folder / "drawn")
    assert drawing.draw(folder / "drawn" / "artifacts") == []
    assert (folder / "drawn" / "artifacts" / "reconstructions.png").stat().st_size > 1000
    assert ((folder / "drawn" / "artifacts" / "samples.png").exists()) == (trial.model.posterior == "gaussian")


def test_a_number_derived_from_large_statistics_is_the_same_when_loaded(tmp_path: Path) -> None:
    """It was 0.0: statistics of more than 64 values came back as zeros."""
    path = tmp_path / "derived.py"
    path.write_text(DERIVED)
    model = load(str(path))
    dataset = prepare(model.reader, None, tmp_path / "data", {})
    trial = Trainer(str(path), model.space.documented(), dataset, 1, 0, "cpu")
    trial.run_epoch()
    state = trial.state_dict()
    assert trial.model.offset == pytest.approx(0.5, abs=0.05)
    folder = tmp_path / "sweep" / "trials" / "00001"
    checkpoint.save(folder, state)
    from search_spaces.reference import CODE, write_copy

    write_copy(model.reference, tmp_path / "sweep" / CODE)
    path.unlink()
    assert checkpoint.load_model(folder).offset == trial.model.offset
    from trainables import export

    export.export(folder, tmp_path / "out", "card")
    assert export.load(tmp_path / "out").offset == trial.model.offset


def test_a_copy_that_was_changed_is_refused(copied: Callable[[str], Path], tmp_path: Path) -> None:
    from search_spaces.reference import write_copy

    write_copy(load(str(copied("my_vae"))).reference, tmp_path / "code")
    assert load(str(tmp_path / "code")).name == "my_vae"
    (tmp_path / "code" / "my_vae.py").write_text("SPACE = None\n")
    with pytest.raises(ModelError, match="was changed since it was made"):
        load(str(tmp_path / "code"))


def test_arrays_that_numpy_saved_need_no_function(tmp_path: Path) -> None:
    path = tmp_path / "plain.py"
    path.write_text(DERIVED.partition("def data")[0])
    x, y = np.random.default_rng(0).random((40, 80), np.float32), np.arange(40) % 3
    np.savez(tmp_path / "a.npz", x=x, y=y)
    dataset = prepare(load(str(path)).reader, str(tmp_path / "a.npz"), tmp_path / "data")
    assert dataset.shape == (80,)
    assert dataset.labels == [str(label) for label in y]


DERIVED = """
import numpy as np
from torch import nn
from search_spaces import Parameter, SearchSpace
from trainables.vae import Vae

SPACE = SearchSpace("derived", (Parameter("latent_dim", "choice", 2, choices=(2, 3)),))

class Model(Vae):
    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        self.offset = float(statistics["mean"].mean())
        self.encoder = nn.Linear(shape[0], 2 * config["latent_dim"])
        self.decoder = nn.Linear(config["latent_dim"], shape[0])

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z) + self.offset

def data(source):
    return np.random.default_rng(0).random((40, 80))
"""
