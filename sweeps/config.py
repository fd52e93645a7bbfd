"""The settings of a sweep: what the command line says, completed with defaults and checked as a whole."""

from __future__ import annotations

import os
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import search_spaces
from search_spaces import SearchSpace, study
from search_spaces.reference import CODE, MANIFEST
from sweeps import ablation, schedulers
from sweeps.searchers.search import ABLATION, SEARCHES

MINIMUM_TRIALS = 1
UNSTATED = SearchSpace("", ()).metrics  # of a space that says nothing of metrics
HELD_OUT = ("val/", "test/", "health/")  # how the names of metrics begin that a loop of one's own may be ranked by


class ConfigError(ValueError):
    """Everything that is wrong with the settings of a sweep, one problem a line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True)
class SweepConfig:
    """A sweep, fully specified. Built by `complete`, written to `sweep.json`."""

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
    set: list[str]
    space: list[str]
    gpus_per_trial: float
    cpus_per_trial: float
    max_concurrent: int | None  # None: as many as fit
    time_budget: float | None  # seconds
    data: str | None  # None: the embedded data
    subset: int | None  # samples of each environment; None: all
    strict: bool  # refuse damaged data instead of leaving it out
    tracking_uri: str
    ablation: dict[str, Any] | None = None  # `sweeps.ablation.Ablation`, instead of a search
    steps: int | None = None  # the budget as it was given, if in steps; see `sweeps.budget`
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
    def own_loop(self) -> bool:
        """True for a model that trains by a loop of its own."""
        return search_spaces.resolve(self.reference).own_loop

    def search_space(self) -> SearchSpace:
        """The model's space with `set` and `space` applied."""
        return _space(self.reference, self.data).changed(self.set, self.space)[0]

    def data_settings(self) -> dict[str, Any]:
        """How the data is to be prepared; see `trainables.data.cache.prepare`."""
        return self.search_space().data_settings() | {"subset": self.subset, "strict": self.strict}

    def to_dict(self) -> dict[str, Any]:
        """As in `sweep.json`."""
        return asdict(self)


@dataclass
class Options:
    """What the command line may say; None or empty where it says nothing."""

    model: str | None = None
    trials: int | None = None
    epochs: int | None = None
    steps: int | None = None
    time_budget: str | None = None
    seed: int | None = None
    search: str | None = None
    scheduler: str | None = None
    metric: str | None = None
    mode: str | None = None
    set: tuple[str, ...] = ()
    space: tuple[str, ...] = ()
    gpus_per_trial: float | None = None
    cpus_per_trial: float | None = None
    max_concurrent: int | None = None
    data: str | None = None
    subset: int | None = None
    strict: bool = field(default=False)
    name: str | None = None
    storage: str | None = None
    tracking_uri: str | None = None
    resume: str | None = None
    plan: bool = field(default=False)
    trial: str | None = None
    new: str | None = None
    study: str | None = None
    vary: tuple[str, ...] = ()
    file: str | None = None
    seeds: int | str | None = None  # given: an ablation instead of a search; a number or ablation.AUTO

    def given(self) -> list[str]:
        """The names of the options that were given, the model aside."""
        nothing = (None, (), False)
        return [
            name
            for name, value in vars(self).items()
            if name not in ("model", "seeds") and not any(value is none or value == none == () for none in nothing)
        ]


# What a resume may change: place and limits, never what is being compared.
RESUMABLE = {"resume", "storage", "trials", "time_budget", "max_concurrent", "tracking_uri"}


def complete(options: Options) -> SweepConfig:
    """The sweep that `options` ask for, with every default filled in.

    Raises:
        ConfigError: with all problems at once.
    """
    problems: list[str] = []
    if options.model is None:
        known = ", ".join(search_spaces.names())
        raise ConfigError([f"MODEL is missing: python sweeps/run.py MODEL, with one of {known}, or my_vae.py"])
    try:
        model = search_spaces.resolve(options.model)
    except search_spaces.ModelError as error:
        raise ConfigError(error.problems) from None
    space = _space(model.text, options.data)
    embedded = options.data is None and model.prepares_data
    changed, space_problems = space.changed(list(options.set), list(options.space))
    problems += space_problems + _loop_problems(model, space, options)
    metric = (options.metric or space.metric).split(",")
    mode = (options.mode or ("max" if options.metric else space.mode)).split(",")
    mode = mode * len(metric) if len(mode) == 1 else mode
    storage = str(Path(options.storage or "results").absolute())
    config = SweepConfig(
        model=model.name,
        code=model.text if model.root else "",
        name=options.name or f"{model.name}-{time.strftime('%Y%m%d-%H%M%S')}",
        storage=storage,
        trials=_given(options.trials, space.demo_trials if embedded else space.trials),
        epochs=_given(options.epochs, space.demo_epochs if embedded else space.epochs),
        seed=_given(options.seed, 0),
        search=options.search or "tpe",
        scheduler=options.scheduler or schedulers.DEFAULT,
        metric=metric,
        mode=mode,
        set=list(options.set),
        space=list(options.space),
        gpus_per_trial=_given(options.gpus_per_trial, 0.0),
        cpus_per_trial=_given(options.cpus_per_trial, 1.0),
        max_concurrent=options.max_concurrent,
        time_budget=_seconds(options.time_budget, problems),
        data=_data(options.data),
        subset=options.subset,
        strict=options.strict,
        tracking_uri=options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _default_tracking(storage),
        steps=options.steps,
    )
    if options.steps is not None and options.epochs is not None:
        problems.append(f"--steps {options.steps} and --epochs {options.epochs}: expected one of them, the budget")
    problems += _problems(config, changed)
    if options.seeds is not None:
        config = _as_ablation(config, changed, options, problems)
    if problems:
        raise ConfigError(problems)
    return config


def _loop_problems(model: search_spaces.Reference, space: SearchSpace, options: Options) -> list[str]:
    """What of `options` means nothing to a loop of the user's own, and what it cannot do without."""
    if not model.own_loop:
        return []
    problems = []
    if options.metric is None and space.metrics == UNSTATED:
        problems.append(
            f"--metric is missing: {model.name} trains by its own loop, so nobody else knows what to rank by; name "
            "what it hands to monitor.epoch(…), as in --metric val/nelbo --mode min, or say so in its SPACE: "
            'metrics=("val/nelbo",), mode="min"'
        )
    if options.steps is not None:
        problems.append(f"--steps {options.steps}: {model.name} trains by its own loop; give the budget in --epochs")
    if not model.prepares_data:
        problems += [
            f"--{name}: {model.name} trains by its own loop, which reads its data itself; leave it out"
            for name in ("data", "subset", "strict")
            if name in options.given()
        ]
    return problems


def _as_ablation(config: SweepConfig, space: SearchSpace, options: Options, problems: list[str]) -> SweepConfig:
    """`config` with the comparisons that are asked for in place of a search; adds to `problems`."""
    varied, found = study.varied(space, options.vary)
    problems += found
    studies, claims, found = ablation.chosen(config.reference, options.study, options.file)
    problems += found
    if options.vary and not (options.study or options.file):
        studies, claims = [], []
    studies += varied
    problems += [problem for each in [*studies, *claims] for problem in each.problems(space)]
    if options.seeds != ablation.AUTO and int(options.seeds) < 1:
        problems.append(f"--seeds {options.seeds}: expected at least 1, or {ablation.AUTO}")
    if problems:
        return config
    built = ablation.build(space, studies, claims, options.seeds)
    problems += [problem for variant in built.variants for problem in space.problems(variant["config"])]
    if not built.comparisons:
        problems.append(f"{config.model} has no studies of its own: name some with --vary or --file")
    return replace(config, ablation=built.to_dict(), trials=built.trials, search=ABLATION)


def resumed(config: SweepConfig, options: Options) -> SweepConfig:
    """A recorded sweep with what `options` may change on a resume.

    Raises:
        ConfigError: an option was given that would change what is compared.
    """
    problems = [
        f"--{name.replace('_', '-')}: cannot change on a resume; start a new sweep with --name instead"
        for name in options.given()
        if name not in RESUMABLE
    ]
    if options.seeds is not None:
        problems.append("--seeds: cannot change on a resume; start a new ablation, which takes over what was run")
    if config.ablation and options.trials is not None:
        problems.append("--trials: an ablation has as many as its variants and seeds; leave it out")
    if options.model not in (None, config.model):
        problems.append(f"MODEL {options.model}: the sweep {config.name} is of {config.model}")
    changes = {
        "storage": str(Path(options.storage).absolute()) if options.storage else config.storage,
        "trials": _given(options.trials, config.trials),
        "max_concurrent": _given(options.max_concurrent, config.max_concurrent),
        "tracking_uri": options.tracking_uri or config.tracking_uri,
        "time_budget": _seconds(options.time_budget, problems),
    }
    config = replace(config, **changes)
    problems += _problems(config, config.search_space())
    if problems:
        raise ConfigError(problems)
    return config


def _problems(config: SweepConfig, space: SearchSpace) -> list[str]:
    own_loop = config.own_loop
    allowed = "a name with val/, test/ or health/" if own_loop else f"one of {', '.join(space.metrics)}"
    checks = [
        (config.trials >= MINIMUM_TRIALS, f"--trials {config.trials}: expected at least {MINIMUM_TRIALS}"),
        (config.steps is None or config.steps >= 1, f"--steps {config.steps}: expected at least 1"),
        (config.epochs >= 1, f"--epochs {config.epochs}: expected at least 1"),
        (config.seed >= 0, f"--seed {config.seed}: expected 0 or more"),
        (
            config.ablation is not None or config.search in SEARCHES,
            f"--search {config.search}: expected one of {', '.join(SEARCHES)}",
        ),
        (config.gpus_per_trial >= 0, f"--gpus-per-trial {config.gpus_per_trial:g}: expected 0 or more, as in 0.25"),
        (config.cpus_per_trial > 0, f"--cpus-per-trial {config.cpus_per_trial:g}: expected more than 0"),
        (
            config.max_concurrent is None or config.max_concurrent >= 1,
            f"--max-concurrent {config.max_concurrent}: expected at least 1",
        ),
        (config.subset is None or config.subset >= 1, f"--subset {config.subset}: expected at least 1"),
        (
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", config.name) is not None,
            f"--name {config.name}: expected letters, digits, '.', '_' and '-', starting with a letter or digit",
        ),
        (
            all(mode in ("max", "min") for mode in config.mode),
            f"--mode {','.join(config.mode)}: expected max or min",
        ),
        (
            len(config.mode) == len(config.metric),
            f"--mode {','.join(config.mode)}: expected one per metric of {','.join(config.metric)}",
        ),
        *(
            (
                metric.startswith(HELD_OUT) if own_loop else metric in space.metrics,
                f"--metric {metric}: expected {allowed}; "
                "a training loss cannot rank trials that weigh its terms differently",
            )
            for metric in config.metric
        ),
        (
            "@" not in config.tracking_uri.partition("://")[2].partition("/")[0],
            "--tracking-uri: expected no user name or password in the address; "
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
        ),
        (
            config.ablation is not None or bool(space.searched),
            "--set fixes every hyperparameter: leave at least one to search",
        ),
    ]
    return [problem for fine, problem in checks if not fine] + _scheduler_problems(config.scheduler)


def _scheduler_problems(text: str) -> list[str]:
    try:
        schedulers.parse(text)
    except ValueError as error:
        return [str(error)]
    return []


def _space(model: str, data: str | None) -> SearchSpace:
    space = search_spaces.load(model)
    return space.on_embedded() if data is None else space


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _data(source: str | None) -> str | None:
    """A file or folder as an absolute path; a named data set as it is."""
    return str(Path(source).absolute()) if source is not None and Path(source).exists() else source


def _default_tracking(storage: str) -> str:
    from sweeps.tracking.process import default_uri

    return default_uri(Path(storage))


def _seconds(text: str | None, problems: list[str]) -> float | None:
    """`90`, `90s`, `30m`, `1.5h`, `2d` in seconds."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]] if found else 0.0
    if seconds <= 0:
        problems.append(f"--time-budget {text}: expected a duration such as 90s, 30m or 1.5h")
    return seconds or None
