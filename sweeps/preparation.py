"""What every sweep needs before it is planned or run: its data, and a model that does what it must.

The documented configuration is built once, for all that is told of it: notes, cost, the reference of a score in nats.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import resolve
from sweeps import budget, cost, logged, notes
from sweeps.config import ConfigError, SweepConfig
from sweeps.cost import Cost
from trainables.data.errors import DataError
from trainables.data.store import Dataset
from trainables.data.unprepared import Unprepared

if TYPE_CHECKING:
    from trainables.loop import Trainer
    from trainables.references import References

DATA_FOLDER = "data"  # of the storage: the Arrow files


@dataclass(frozen=True)
class Prepared:
    """A sweep that could be planned and run.

    Args:
        config: with its budget in epochs.
        dataset: prepared, unless a loop of the user's own reads it itself.
        notes: what the user should know of data and model.
        said: sentences on what was chosen for the user.
        cost: of a trial.
        references: what a score in nats compares with; None without data that is prepared.
    """

    config: SweepConfig
    dataset: Dataset | Unprepared
    notes: notes.Notes
    said: tuple[str, ...]
    cost: Cost
    references: References | None = None


def prepare(config: SweepConfig) -> Prepared:
    """Prepare the sweep of `config`; writes the Arrow file of the data to the storage where there is none yet.

    Raises:
        ConfigError: the data cannot be used, the model does not do what it must, or does not log what is required;
            with all problems.
    """
    dataset = _dataset(config)
    said = [_what_data(config, dataset), *filter(None, [dataset.grouping])]
    if isinstance(dataset, Unprepared):
        _conformance(config, dataset)
        return Prepared(config, dataset, {"data": [], "model": [notes.OWN_LOOP]}, tuple(said), Cost())
    if config.steps is not None:
        config, chosen = budget.in_epochs(config, dataset)
        said.append(f"{chosen}.")
    said += _ranking(config)
    conforming = _conformance(config, dataset)
    with _threads(config):
        trainer = _documented(config, dataset)
        if missing := logged.problems(config, trainer):
            raise ConfigError(missing)
        found = notes.gather(dataset, trainer)
        found["model"] += conforming
        return Prepared(config, dataset, found, tuple(said), _cost(config, trainer), trainer.references)


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
    train, val, test = map(len, (dataset.train, dataset.val, dataset.test))
    size = f"{train} samples to train, {val} to validate, {test} to test, {shape} each"
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
    """The notes on a model of the user's own, once it is found to do what a model must; tests hold the others to it.

    Raises:
        ConfigError: it does not; with all problems.
    """
    import torch

    from trainables import conformance, definition
    from trainables.loader import Loader

    model = definition.load(config.reference)
    if model.reference.root is None:
        return []
    found = conformance.check_train(model)
    if not isinstance(dataset, Unprepared):
        batch = Loader(dataset, torch.device("cpu")).batch(dataset.train[: conformance.SAMPLES])
        space = config.search_space()
        found.add(conformance.check(replace(model, space=space), batch.x, dataset.statistics, fields=batch.fields))
    _refuse(config, found.problems)
    return found.notes


def _documented(config: SweepConfig, dataset: Dataset) -> Trainer:
    """The documented configuration, built.

    Raises:
        ConfigError: it cannot be, or its likelihood gives a score nothing to compare with.
    """
    from trainables.conformance import Found, step
    from trainables.likelihood import LikelihoodError
    from trainables.loop import Trainer

    found, sweep = Found(), config.folder if config.folder.exists() else None
    with step("Model(config, shape, statistics)", found):
        documented = config.search_space().documented()
        trainer = Trainer(config.reference, documented, dataset, config.epochs, config.seed, sweep=sweep)
    _refuse(config, found.problems)
    try:
        if trainer.model.nats and not config.own_loop:
            trainer.references.of(trainer.evaluation_index)
    except LikelihoodError as error:
        _refuse(config, [str(error)])
    return trainer


def _cost(config: SweepConfig, trainer: Trainer) -> Cost:
    """Of a trial; not known of a loop of the user's own, which is not run.

    Raises:
        ConfigError: the documented configuration cannot be trained on the data.
    """
    from trainables.conformance import Found, step

    measured, found = Cost(), Found()
    if not config.own_loop:
        with step("the first steps of training", found):
            measured = cost.measure(trainer)
    _refuse(config, found.problems)
    return measured


@contextmanager
def _threads(config: SweepConfig) -> Iterator[None]:
    """Torch with the threads of a trial, so that its numbers and its cost are those of a trial."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, int(config.cpus_per_trial)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse(config: SweepConfig, problems: list[str]) -> None:
    if problems:
        raise ConfigError([f"{config.model}: {problem}" for problem in problems])
