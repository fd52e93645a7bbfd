"""What a model reads beside x reaches its methods, its score, its pictures; and what it lacks is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.reference import CODE, write_copy
from trainables import artifacts, checkpoint
from trainables.conformance import check
from trainables.data import blocks
from trainables.data.cache import prepare
from trainables.definition import load
from trainables.loop import Trainer

COUNTS = """
import numpy as np
import torch
from scipy import sparse
from torch import nn
from search_spaces import Parameter, SearchSpace
from trainables.data.samples import Samples
from trainables.vae import Vae

SPACE = SearchSpace("cells", (Parameter("kl_weight", "log", 0.1, low=0.01, high=1.0),))

class Model(Vae):
    latent_dim = 3

    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        (genes,), batches = shape, len(statistics["batch"])
        self.encoder = nn.Linear(genes, 6)
        self.decoder = nn.Linear(3, genes)
        self.of_batch = nn.Embedding(batches, genes)

    def encode(self, x, size):
        return self.encoder((x / size[:, None]).log1p()).chunk(2, dim=1)

    def decode(self, z, batch, size):
        return (self.decoder(z) + self.of_batch(batch)).softmax(dim=1) * size[:, None]

    def reconstruction(self, prediction, target):
        return nn.functional.poisson_nll_loss(prediction, target, log_input=False, reduction="none").sum(1)

def data(source):
    rng = np.random.default_rng(0)
    batch = rng.choice(["lab a", "lab b"], 300)
    shares = rng.dirichlet(np.ones(3), 300) @ rng.dirichlet(np.full(20, 0.3), 3)
    shares *= np.where(batch == "lab b", 1, 3)[:, None] ** np.arange(20).clip(0, 1)
    size = rng.uniform(50, 400, 300).astype(np.float32)
    counts = rng.poisson(shares / shares.sum(1, keepdims=True) * size[:, None])
    return Samples(sparse.csr_array(counts), fields={"batch": batch, "size": size})
"""
IGNORES_Z = COUNTS.replace("(self.decoder(z) + self", "(0 * self.decoder(z) + self")
MASKED = """
import numpy as np
import torch
from torch import nn
from search_spaces import Parameter, SearchSpace
from trainables.vae import Vae

SPACE = SearchSpace("masked", (Parameter("kl_weight", "log", 0.1, low=0.01, high=1.0),))

class Model(Vae):
    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        self.encoder, self.decoder = nn.Linear(8, 4), nn.Linear(2, 8)

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z)

    def reconstruction(self, prediction, target, mask):
        return (mask * (prediction - target).square()).sum(1)

    def content(self, x, mask):
        return mask.float()

class Items:
    def __len__(self):
        return 100

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        x, mask = rng.standard_normal(2) @ np.arange(16).reshape(2, 8) / 8, rng.random(8) > 0.4
        return {"x": np.where(mask, x, HIDDEN), "mask": mask}

def data(source):
    return Items()
"""


def trial(text: str, folder: Path, epochs: int = 3, **changes: Any) -> Trainer:
    """A trial of a model of that text on the data that it brings along, without a fault."""
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(text)
    definition = load(str(folder / "mine.py"))
    dataset = prepare(definition.reader, None, folder)
    one = Trainer(str(folder / "mine.py"), definition.space.documented() | changes, dataset, epochs, 0, "cpu")
    batch = one.loader.batch(one.train_index[:8])
    found = check(definition, batch.x, dataset.statistics, corners=True, fields=batch.fields)
    assert (found.problems, found.notes) == ([], [])
    return one


def told(one: Trainer, epochs: int) -> dict[str, Any]:
    """The last of so many rows, times aside."""
    row = [one.run_epoch() for _ in range(epochs)][-1]
    return {name: value for name, value in row.items() if not name.startswith("time/")}


def test_counts_with_library_size_and_batch_train_are_drawn_saved_and_loaded(tmp_path: Path) -> None:
    one = trial(COUNTS, tmp_path, 30, learning_rate=0.03)
    row = told(one, 30)
    assert row["health/z_gain"] > 0.1
    assert row["val/elbo_gain"] > 0
    artifacts.write(one, tmp_path)
    checkpoint.save(tmp_path / "sweep" / "trials" / "00001", one.state_dict())
    write_copy(one.definition.reference, tmp_path / "sweep" / CODE)
    model = checkpoint.load_model(tmp_path / "sweep" / "trials" / "00001")
    batch = one.loader.batch(one.evaluation_index[:5])
    shown = model.reconstruct(batch.x, torch.Generator().manual_seed(0), batch.fields)
    torch.testing.assert_close(shown.sum(dim=1), batch.fields["size"])
    other = {**batch.fields, "batch": 1 - batch.fields["batch"]}
    drawn = [model.generate(5, torch.Generator().manual_seed(0), fields) for fields in (batch.fields, other)]
    assert not torch.allclose(drawn[0], drawn[1])


def test_a_decoder_that_knows_the_batch_but_ignores_z_gains_nothing_from_z(tmp_path: Path) -> None:
    """Against decodes of other samples with *their* fields it would: those are of other batches and sizes."""
    row = told(trial(IGNORES_Z, tmp_path, 10, learning_rate=0.03), 10)
    assert row["health/z_gain"] == pytest.approx(0.0, abs=1e-6)
    assert row["val/elbo_gain"] <= 0
    assert row["val/r2"] > 0.3, "what it was given does tell samples apart, so this test could fail"


def test_what_a_mask_hides_changes_no_number_but_the_encoders(tmp_path: Path) -> None:
    """Hidden values of the target, however large, reach neither loss nor score; the encoder is blind to x here."""
    blind = MASKED.replace("self.encoder(x)", "self.encoder(0 * x)")
    rows = [told(trial(blind.replace("HIDDEN", hidden), tmp_path / hidden), 2) for hidden in ("0.0", "999.0")]
    assert rows[0] == rows[1]
    unmasked = blind.replace("(mask * (", "(0 * mask + (")
    rows = [
        told(trial(unmasked.replace("HIDDEN", hidden), tmp_path / f"all{hidden}"), 2) for hidden in ("0.0", "9.0")
    ]
    assert rows[0] != rows[1]


def test_a_masked_model_learns(tmp_path: Path) -> None:
    row = told(trial(MASKED.replace("HIDDEN", "0.0"), tmp_path, 40, learning_rate=0.03), 40)
    assert row["val/r2"] > 0.5
    assert row["health/z_gain"] > 0.2


def test_data_in_pieces_trains_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = told(trial(COUNTS.replace("sparse.csr_array(counts)", "counts.astype('float32')"), tmp_path / "whole"), 2)
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", 500)
    pieces = trial(COUNTS.replace("sparse.csr_array(counts)", "counts.astype('float64')"), tmp_path / "pieces")
    assert not isinstance(pieces.dataset.x, np.ndarray)
    assert told(pieces, 2) == whole
