"""A small real data set and a small configuration, on one thread."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import search_spaces
from trainables import definition
from trainables.data.cache import prepare
from trainables.data.store import Dataset
from trainables.loop import Trainer

SMALL = {"hidden_dim": 16, "layers": 1, "heads": 2, "latent_dim": 8, "batch_size": 64, "learning_rate": 1e-3}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """1797 handwritten digits as 4 × 4 grids of 4 channels."""
    return prepare(definition.load("imc_vae").reader, "digits", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def config() -> Callable[..., dict[str, Any]]:
    """The documented configuration, small, with changes."""
    return lambda **changes: search_spaces.load("imc_vae").documented() | SMALL | changes


@pytest.fixture(scope="session")
def few(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """200 of the digits."""
    from trainables.data.samples import Samples
    from trainables.data.splitting import split
    from trainables.data.store import open_dataset, write_dataset

    samples = Samples(digits.x[:200].copy(), "few digits", digits.labels[:200])
    path: Path = tmp_path_factory.mktemp("few") / "few.arrow"
    write_dataset(path, samples, definition.load("imc_vae").reader.statistics(samples, split(200).train))
    return open_dataset(path)


@pytest.fixture
def trainer(few: Dataset, config: Callable[..., dict[str, Any]]) -> Callable[..., Trainer]:
    """A trainer of the small configuration on the few digits."""
    return lambda epochs=4, seed=0, dataset=few, **changes: Trainer(
        "imc_vae", config(**changes), dataset, epochs, seed, "cpu"
    )
