"""What every sweep needs before it is planned or run: its data, and a model that does what it must.

The documented configuration is built once, for all that is told of it: notes, cost, the reference of a score in nats.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import resolve
from sweeps import budget, cost, logged, notes, suitability
from sweeps.config import ConfigError, SweepConfig
from sweeps.cost import Cost
from sweeps.records.record import DataRecord
from trainables.data import kept
from trainables.data.errors import DataError
from trainables.data.store import Dataset, open_dataset
from trainables.data.unprepared import Unprepared

if TYPE_CHECKING:
    from trainables.loop import Trainer
    from trainables.references import References


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


def prepare(config: SweepConfig, known: DataRecord | None = None) -> Prepared:
    """Prepare the sweep of `config`; writes the Arrow file of the data to the storage where there is none yet.

    Args:
        config: the sweep.
        known: the data that an earlier one was trained on, where this one must have the same: their prepared copy
            stands in for files that are gone.

    Raises:
        ConfigError: the data cannot be used, the model does not do what it must, or does not log what is required;
            with all problems.
    """
    dataset, said = _dataset(config, known)
    said = [_what_data(config, dataset), *filter(None, [dataset.grouping]), *said]
    if isinstance(dataset, Unprepared):
        _conformance(config, dataset)
        return Prepared(config, dataset, {"data": [], "model": [notes.OWN_LOOP]}, tuple(said), Cost())
    if config.steps is not None:
        config, chosen = budget.in_epochs(config, dataset)
        said.append(f"{chosen}.")
    said += _ranking(config)
    suited = suitability.of(config, dataset)
    if suited.problems:
        raise ConfigError([f"--data {problem}" for problem in suited.problems])
    conforming = _conformance(config, dataset)
    with _threads(config):
        trainer = _documented(config, dataset)
        measured, metrics = _measured(config, trainer)
        found = notes.gather(dataset, trainer)
        found["data"] += [*suited.notes, *_undefined(config, metrics)]
        found["model"] += conforming
        return Prepared(config, dataset, found, tuple(said), measured, trainer.references)


def _dataset(config: SweepConfig, known: DataRecord | None) -> tuple[Dataset | Unprepared, list[str]]:
    """The data, and what is to be said of where they come from."""
    from trainables import definition
    from trainables.data.cache import prepare

    if not resolve(config.reference).prepares_data:
        return Unprepared(), []
    folder = Path(config.storage) / kept.FOLDER
    try:
        return prepare(definition.load(config.reference).reader, config.data, folder, config.data_settings()), []
    except DataError as error:
        if (copy := _copy(folder, known)) is not None:
            gone = (
                f"{config.data} cannot be read any more; going on with its prepared copy {copy.path}, the same data"
            )
            return copy, [f"{gone}."]
        hint = ["--data: if they were moved, give their new place"] if known else []
        raise ConfigError([*(f"--data {line}" for line in str(error).splitlines()), *hint]) from None


def _copy(folder: Path, known: DataRecord | None) -> Dataset | None:
    """The prepared copy of data in `folder`, wherever that was when they were recorded; None without the same."""
    if known is None or not known.path:
        return None
    with suppress(DataError):  # damaged, or not there
        found = open_dataset(folder / Path(known.path).name)
        return found if found.fingerprint == known.fingerprint else None
    return None


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


def _measured(config: SweepConfig, trainer: Trainer) -> tuple[Cost, dict[str, float]]:
    """What a trial costs, and the metrics after a few steps; not known of a loop of the user's own, which is not run.

    Raises:
        ConfigError: the documented configuration cannot be trained on the data, or does not log what is required.
    """
    from trainables.conformance import Found, step

    if config.own_loop:
        return Cost(), {}
    found = Found()
    with step("the first steps of training", found):
        measured, metrics = cost.measure(trainer)
    _refuse(config, found.problems)
    if missing := logged.problems(config, metrics):
        raise ConfigError(missing)
    return measured, metrics


def _undefined(config: SweepConfig, metrics: dict[str, float]) -> list[str]:
    """The note on measures that are no number on these data.

    Raises:
        ConfigError: trials would be ranked by one.
    """
    names = suitability.undefined(metrics)
    if ranked := [name for name in config.metric if name in names]:
        raise ConfigError([f"--metric {name} is undefined on these data; expected another" for name in ranked])
    return [f"undefined on these data, and left out: {', '.join(names)}"] if names else []


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
