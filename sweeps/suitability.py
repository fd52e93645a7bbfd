"""Whether data and configurations suit each other: asked before Ray starts, of every split that trials will have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from search_spaces.space import SearchSpace, Value
from sweeps.config import SweepConfig
from trainables.data.splitting import FEWEST
from trainables.metrics import TEST_ENVIRONMENT

if TYPE_CHECKING:
    from trainables.data.store import Dataset
    from trainables.loop import Parts

SURE = 64  # evaluated samples from which active units and mutual information are told; fewer are told with a warning
LISTED = 5  # classes


@dataclass
class Suitability:
    """What forbids a start, and what the user should know."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def of(config: SweepConfig, dataset: Dataset) -> Suitability:
    """Of the parts that the trials of a sweep will train and be judged on."""
    from trainables.data.errors import DataError
    from trainables.loop import parts

    found = Suitability()
    for environment in _held_out(config):
        changed = "" if environment is None else f"with {TEST_ENVIRONMENT}={environment}"
        try:
            split = parts(dataset, {TEST_ENVIRONMENT: environment}, config.seed)
        except DataError as error:
            found.problems += [f"{TEST_ENVIRONMENT}={environment}: {problem}" for problem in error.problems]
            continue
        _judge_sizes(found, split, changed)
        _judge_classes(found, dataset, split, changed)
    return found


def undefined(metrics: Mapping[str, float]) -> list[str]:
    """The measures of an evaluation that are no number, by name; none where the loss is none either, for then it is
    the training that failed."""
    if not math.isfinite(metrics.get("val/loss", 0.0)):
        return []
    return sorted(name for name, value in metrics.items() if isinstance(value, float) and math.isnan(value))


def _held_out(config: SweepConfig) -> list[Value]:
    """The environments that are held out in any configuration that may run; None where none is."""
    space = config.search_space()
    names = {parameter.name: parameter for parameter in space.parameters}
    if TEST_ENVIRONMENT not in names:
        return [None]
    if config.ablation is not None:
        values = [variant.config[TEST_ENVIRONMENT] for variant in config.ablation.variants]
    else:
        values = [*(names[TEST_ENVIRONMENT].choices or ()), *_openings(space)]
    return list(dict.fromkeys(values))


def _openings(space: SearchSpace) -> list[Value]:
    starts = [space.documented(), *([space.baseline()] if space.has_baseline else [])]
    return [start[TEST_ENVIRONMENT] for start in starts]


def _judge_sizes(found: Suitability, split: Parts, changed: str) -> None:
    sizes = f"{len(split.train)} samples to train, {len(split.evaluation)} to judge every epoch by"
    if changed:
        sizes += f", {len(split.environment)} of the environment that is held out"
        found.notes.append(f"{changed}: {sizes}")
    for what, index in (("train", split.train), ("judge a trial by", split.evaluation)):
        if len(index) < FEWEST:
            cure = "hold out another environment, or give more data" if changed else "give more data"
            found.problems.append(f"{_where(changed)}{_samples(index)} to {what}; expected {FEWEST} or more: {cure}")
    if FEWEST <= len(split.evaluation) < SURE:
        found.notes.append(
            f"{_where(changed)}{len(split.evaluation)} samples are judged at every epoch; with fewer than {SURE} the "
            "number of active units and the mutual information are unsure"
        )


def _judge_classes(found: Suitability, dataset: Dataset, split: Parts, changed: str) -> None:
    """Of a model that classifies."""
    if "class_counts" not in dataset.statistics or dataset.labels is None:
        return
    labels = np.array([label or "" for label in dataset.labels])
    trained = _classes(labels[split.train])
    if len(trained) < 2:
        only = f"one class ({trained[0]})" if trained else "no labelled sample"
        found.problems.append(
            f"{_where(changed)}{only} to train the classifier on; expected two or more: a folder for each class"
        )
        return
    for what, index in (("judged by", split.evaluation), ("of the environment that is held out", split.environment)):
        unseen = [name for name in _classes(labels[index]) if name not in trained]
        if unseen:
            found.notes.append(
                f"{_where(changed)}samples {what} have classes that no training sample has: {_listed(unseen)}; the "
                "classifier cannot find them"
            )
    if len(split.evaluation) >= FEWEST and len(_classes(labels[split.evaluation])) == 1:
        found.notes.append(
            f"{_where(changed)}the samples judged by are of one class; val/accuracy tells nothing of the others"
        )


def _classes(labels: np.ndarray) -> list[str]:
    return sorted({str(label) for label in labels if label})


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _samples(index: np.ndarray) -> str:
    return f"{len(index) or 'no'} sample{'' if len(index) == 1 else 's'}"


def _where(changed: str) -> str:
    return f"{changed}: " if changed else ""
