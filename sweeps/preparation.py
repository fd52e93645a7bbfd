"""What every sweep needs before it is planned or run: its data, and a model that does what it must."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces import resolve
from sweeps import budget, logged, notes
from sweeps.config import ConfigError, SweepConfig
from trainables.data.errors import DataError
from trainables.data.store import Dataset
from trainables.data.unprepared import Unprepared

DATA_FOLDER = "data"  # of the storage: the Arrow files


@dataclass(frozen=True)
class Prepared:
    """A sweep that could be planned and run.

    Args:
        config: with its budget in epochs.
        dataset: prepared, unless a loop of the user's own reads it itself.
        notes: what the user should know of data and model.
        said: sentences on what was chosen for the user.
    """

    config: SweepConfig
    dataset: Dataset | Unprepared
    notes: notes.Notes
    said: tuple[str, ...]


def prepare(config: SweepConfig) -> Prepared:
    """Prepare the sweep of `config`; writes the Arrow file of the data to the storage where there is none yet.

    Raises:
        ConfigError: the data cannot be used, the model does not do what it must, or does not log what is required;
            with all problems.
    """
    dataset = _dataset(config)
    said = [_what_data(config, dataset)]
    if config.steps is not None and not isinstance(dataset, Unprepared):
        config, chosen = budget.in_epochs(config, dataset)
        said.append(f"{chosen}.")
    said += _ranking(config)
    conforming = _conformance(config, dataset)
    if not isinstance(dataset, Unprepared) and (missing := logged.problems(config, dataset)):
        raise ConfigError(missing)
    found = notes.gather(config, dataset)
    found["model"] += conforming
    return Prepared(config, dataset, found, tuple(said))


def _dataset(config: SweepConfig) -> Dataset | Unprepared:
    from trainables import definition
    from trainables.data.cache import prepare

    if not resolve(config.reference).prepares_data:
        return Unprepared()
    try:
        reader, folder = definition.load(config.reference).reader, Path(config.storage) / DATA_FOLDER
        return prepare(reader, config.data, folder, config.data_settings())
    except DataError as error:
        raise ConfigError([f"--data {line}" for line in str(error).splitlines()]) from None


def _what_data(config: SweepConfig, dataset: Dataset | Unprepared) -> str:
    if isinstance(dataset, Unprepared):
        return f"{config.model} trains by its own loop, on data that it reads itself."
    shape = " × ".join(map(str, dataset.shape))
    size = f"{len(dataset.train)} samples to train, {len(dataset.val)} to validate, {shape} each"
    if dataset.embedded:
        return f"No --data given: using {config.model}'s embedded data ({size}) and a budget for a laptop."
    return f"Data {dataset.source}: {size}."


def _ranking(config: SweepConfig) -> list[str]:
    """What is not plain in how trials are ranked and stopped."""
    first, *more = config.metric
    said = []
    if config.require:
        said.append(f"Ranked are trials with {' and '.join(config.require)} at the epoch whose weights are kept.")
    if more and config.scheduler != "none":
        said.append(f"{first} alone decides who is stopped; the front of all metrics is of those that finish.")
    return said


def _conformance(config: SweepConfig, dataset: Dataset | Unprepared) -> list[str]:
    """The notes on the model, once it is found to do what a model must.

    Raises:
        ConfigError: it does not; with all problems.
    """
    import torch

    from trainables import conformance, definition
    from trainables.loader import Loader

    model = definition.load(config.reference)
    model = replace(model, space=config.search_space())
    found = conformance.check_train(model)
    if isinstance(dataset, Unprepared):
        problems = found.problems
    else:
        batch = Loader(dataset, torch.device("cpu")).batch(dataset.train[: conformance.SAMPLES])
        found.add(conformance.check(model, batch.x, dataset.statistics, fields=batch.fields))
        problems = found.problems or _likelihood_problems(config, dataset)
    if problems:
        raise ConfigError([f"{config.model}: {problem}" for problem in problems])
    return found.notes


def _likelihood_problems(config: SweepConfig, dataset: Dataset) -> list[str]:
    """Why a score in nats has nothing to compare with, if so."""
    from trainables import definition, likelihood
    from trainables.loop import parts

    model = definition.load(config.reference)
    if model.Model is None or not model.Model.nats:
        return []
    index = parts(dataset, config.search_space().documented(), config.seed).evaluation
    try:
        likelihood.reference(model, dataset, index)
    except likelihood.LikelihoodError as error:
        return [str(error)]
    return []
