"""The settings of a sweep."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import search_spaces
from search_spaces import SearchSpace
from search_spaces.reference import CODE, MANIFEST
from search_spaces.space import Value
from sweeps.ablation import Ablation
from sweeps.confirm import Confirm
from trainables.metrics import TEST, VALIDATION
from trainables.requirements import Requirement


class ConfigError(ValueError):
    """Everything that is wrong with the settings of a sweep, one problem a line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class SweepConfig:
    """A sweep, fully specified. Built by `sweeps.completion`, written to `sweep.json`."""

    model: str
    name: str
    storage: str  # absolute folder that every node sees
    trials: int
    epochs: int
    seed: int
    search: str
    scheduler: str
    metric: list[str]
    mode: list[str]
    set: list[str] = field(default_factory=list)
    space: list[str] = field(default_factory=list)
    gpus_per_trial: float = 0.0
    cpus_per_trial: float = 1.0
    max_concurrent: int | None = None  # None: as many as fit
    time_budget: float | None = None  # seconds
    data: str | None = None  # None: the embedded data
    subset: int | None = None  # samples of each environment; None: all
    group: str | None = None  # a column or a pattern; see `trainables.data.groups`
    strict: bool = False  # refuse damaged data instead of leaving it out
    tracking_uri: str = ""
    ablation: Ablation | None = None  # instead of a search
    steps: int | None = None  # the budget as it was given, if in steps; see `sweeps.budget`
    require: list[str] = field(default_factory=list)  # what a trial must meet to be ranked
    tried: list[dict[str, Value]] = field(default_factory=list)  # whole configurations that run before all others
    learn_from: list[str] = field(default_factory=list)  # names or folders of sweeps; []: all of the model; or none
    confirm: Confirm | None = None  # of the best at the end; None: nothing
    test: bool = False  # trials are told on the test part at their end, with the weights of their best epoch
    until: int | None = None  # the epoch after which trials end, whatever their budget
    code: str = ""  # the reference of a model that is not of this project; `model` is its name

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return Path(self.storage) / self.name

    @property
    def reference(self) -> str:
        """What `search_spaces.resolve` finds the model by: the copy in the sweep's folder once there is one."""
        copy = self.folder / CODE
        return str(copy) if (copy / MANIFEST).exists() else self.code or self.model

    @property
    def requirements(self) -> list[Requirement]:
        """What a trial must meet to be ranked, at the epoch whose numbers are its own."""
        return [Requirement.parse(text) for text in self.require]

    @property
    def told_by(self) -> str:
        """What trials are told by at their end: the first metric, on the test part if it is looked at."""
        metric = self.metric[0]
        return f"{TEST}{metric.removeprefix(VALIDATION)}" if self.test else metric

    @property
    def own_loop(self) -> bool:
        """True for a model that trains by a loop of its own."""
        return search_spaces.resolve(self.reference).own_loop

    def search_space(self) -> SearchSpace:
        """The model's space with `set` and `space` applied."""
        return space_of(self.reference, self.data).changed(self.set, self.space)[0]

    def data_settings(self) -> dict[str, Any]:
        """How the data is to be prepared; see `trainables.data.cache.prepare`."""
        own = {"subset": self.subset, "strict": self.strict, "group": self.group}
        return self.search_space().data_settings() | own

    def to_dict(self) -> dict[str, Any]:
        """As in `sweep.json`."""
        return asdict(self)


def space_of(model: str, data: str | None) -> SearchSpace:
    """The space of a model as it is searched on data `data`; None: on its embedded data."""
    space = search_spaces.load(model)
    return space.on_embedded() if data is None else space


def storage_folder(storage: str | None) -> Path:
    """The folder of the sweeps, absolute."""
    return Path(storage or "results").absolute()
