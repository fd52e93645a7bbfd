"""From what a user asks for to the settings of a sweep: completed with defaults, and checked as a whole."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import search_spaces
from search_spaces import SearchSpace, study
from sweeps import ablation, schedulers, searchers
from sweeps.config import ConfigError, SweepConfig, space_of, storage_folder
from sweeps.options import AblationOptions, ExtendOptions, ResumeOptions, SweepOptions, flag, given
from sweeps.tried import configurations
from trainables.requirements import Requirement

DEFAULT_SEEDS = 5
HELD_OUT = ("val/", "test/", "health/")  # how the names of metrics begin that a loop of one's own may be ranked by
NO_SCHEDULER = "none"
LONGEST_NAME = 100  # characters; names of files are made of it
MORE = ("trials", "extend")  # what an extension may change beside what a resume may
T = TypeVar("T")


def complete(options: SweepOptions | AblationOptions) -> SweepConfig:
    """The sweep, or the ablation, that `options` ask for, with every default filled in.

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
    space = space_of(model.text, options.data)
    search = options if isinstance(options, SweepOptions) else SweepOptions(scheduler=NO_SCHEDULER)
    changed, space_problems = space.changed(list(options.set), list(search.space))
    problems += space_problems + _loop_problems(model, space, options)
    embedded, storage = options.data is None and model.prepares_data, str(storage_folder(options.storage))
    metric, mode = _objectives(search, space)
    fixed = [text.partition("=")[0] for text in options.set]
    tried, tried_problems = configurations(changed, search.tried, fixed)
    problems += tried_problems
    if len(name := options.name or f"{model.name}-{time.strftime('%Y%m%d-%H%M%S')}") > LONGEST_NAME:
        problems.append(f"--name {name[:20]}…: {len(name)} characters; expected {LONGEST_NAME} at most")
    config = SweepConfig(
        model=model.name,
        code=model.text if model.root else "",
        name=name[:LONGEST_NAME],
        storage=storage,
        trials=_given(search.trials, space.demo_trials if embedded else space.trials),
        epochs=_given(options.epochs, space.demo_epochs if embedded else space.epochs),
        seed=_given(options.seed, 0),
        search=search.search or searchers.DEFAULT,
        scheduler=search.scheduler or schedulers.DEFAULT,
        metric=metric,
        mode=mode,
        set=list(options.set),
        space=list(search.space),
        require=list(search.require),
        tried=tried,
        gpus_per_trial=_given(options.gpus_per_trial, 0.0),
        cpus_per_trial=_given(options.cpus_per_trial, 1.0),
        max_concurrent=options.max_concurrent,
        time_budget=_seconds(options.time_budget, problems),
        data=_data(options.data),
        subset=options.subset,
        group=options.group,
        strict=options.strict,
        tracking_uri=options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _default_tracking(storage),
        steps=options.steps,
    )
    if options.steps is not None and options.epochs is not None:
        problems.append(f"--steps {options.steps} and --epochs {options.epochs}: expected one of them, the budget")
    problems += _problems(config, changed, is_search=isinstance(options, SweepOptions))
    if isinstance(options, AblationOptions):
        config = _as_ablation(config, changed, options, problems)
    if problems:
        raise ConfigError(problems)
    return config


def _loop_problems(
    model: search_spaces.Reference, space: SearchSpace, options: SweepOptions | AblationOptions
) -> list[str]:
    """What of `options` means nothing to a loop of the user's own, and what it cannot do without."""
    if not model.own_loop:
        return []
    problems, names = [], given(options)
    if "metric" not in names and not space.states_metrics:
        is_search = isinstance(options, SweepOptions)
        problems.append(
            f"{'--metric' if is_search else 'SPACE.metrics'} is missing: {model.name} trains by its own loop, so "
            "nobody else knows what to rank by; name what it hands to monitor.epoch(…), "
            f"{'as in --metric val/nelbo --mode min, or say so ' if is_search else ''}in its SPACE: "
            'metrics=("val/nelbo",), mode="min"'
        )
    if options.steps is not None:
        problems.append(f"--steps {options.steps}: {model.name} trains by its own loop; give the budget in --epochs")
    if not model.prepares_data:
        problems += [
            f"--{name}: {model.name} trains by its own loop, which reads its data itself; leave it out"
            for name in ("data", "subset", "group", "strict")
            if name in names
        ]
    return problems


def _objectives(options: SweepOptions, space: SearchSpace) -> tuple[list[str], list[str]]:
    """Metrics, and max or min of each."""
    metric = (options.metric or space.metric).split(",")
    mode = (options.mode or ("max" if options.metric else space.mode)).split(",")
    return metric, mode * len(metric) if len(mode) == 1 else mode


def _as_ablation(
    config: SweepConfig, space: SearchSpace, options: AblationOptions, problems: list[str]
) -> SweepConfig:
    """`config` with the comparisons that are asked for in place of a search; adds to `problems`."""
    varied, found = study.varied(space, options.vary)
    problems += found
    studies, claims, found = ablation.chosen(config.reference, options.study, options.file)
    problems += found
    if options.vary and not (options.study or options.file):
        studies, claims = [], []
    studies += varied
    compared: list[study.Study | study.Claim] = [*studies, *claims]
    problems += [problem for each in compared for problem in each.problems(space)]
    seeds = DEFAULT_SEEDS if options.seeds is None else options.seeds
    if seeds != ablation.AUTO and int(seeds) < 1:
        problems.append(f"--seeds {seeds}: expected at least 1, or {ablation.AUTO}")
    if problems:
        return config
    built = ablation.build(space, studies, claims, seeds)
    problems += [problem for variant in built.variants for problem in space.problems(variant.config)]
    if not built.comparisons:
        problems.append(f"{config.model} has no studies of its own: name some with --vary or --file")
    return replace(config, ablation=built, trials=built.trials, search=searchers.ABLATION)


def resumed(config: SweepConfig, options: ResumeOptions | SweepOptions | AblationOptions) -> SweepConfig:
    """A recorded sweep with what the options change.

    Raises:
        ConfigError: with all problems at once, among them options that would change what is compared.
    """
    allowed = (*ResumeOptions.__dataclass_fields__, "resume")
    return again(config, options, [refused(name) for name in given(options) if name not in allowed])


def extended(config: SweepConfig, options: ExtendOptions | SweepOptions) -> SweepConfig:
    """A recorded sweep with more trials, and what else the options change.

    Raises:
        ConfigError: with all problems at once, among them options that would change what is compared.
    """
    problems = [refused(name) for name in given(options) if name not in (*ResumeOptions.__dataclass_fields__, *MORE)]
    if config.ablation:
        problems.append(f"--extend {config.name}: an ablation has as many trials as its variants and seeds")
    elif options.trials is None or options.trials <= config.trials:
        asked = "--trials is missing" if options.trials is None else f"--trials {options.trials}"
        problems.append(f"{asked}: expected more than the {config.trials} that {config.name} has already")
    return again(replace(config, trials=_given(options.trials, config.trials)), options, problems)


def again(
    config: SweepConfig, options: ResumeOptions | SweepOptions | AblationOptions, problems: list[str]
) -> SweepConfig:
    """`config` with the place and the limits of `options`.

    Raises:
        ConfigError: `problems`, and those that come up here.
    """
    if options.model not in (None, config.model):
        problems.append(f"MODEL {options.model}: the sweep {config.name} is of {config.model}")
    storage = str(storage_folder(options.storage)) if options.storage else config.storage
    own_tracking = config.tracking_uri == _default_tracking(config.storage)
    tracking_uri = _default_tracking(storage) if own_tracking else config.tracking_uri
    config = replace(
        config,
        storage=storage,
        data=_data(options.data) if options.data else config.data,
        max_concurrent=_given(options.max_concurrent, config.max_concurrent),
        tracking_uri=options.tracking_uri or tracking_uri,
        time_budget=_seconds(options.time_budget, problems),
    )
    problems += _problems(config, config.search_space(), is_search=config.ablation is None)
    if problems:
        raise ConfigError(problems)
    return config


def refused(name: str) -> str:
    """Why a resume does not take an option."""
    if name == "seeds":
        return "--seeds: cannot change on a resume; start a new ablation, which takes over what was run"
    if name == "trials":
        return "--trials: cannot change on a resume; --extend NAME --trials N goes on with more"
    return f"{flag(name)}: cannot change on a resume; start a new sweep with --name instead"


def _problems(config: SweepConfig, space: SearchSpace, is_search: bool) -> list[str]:
    own_loop = config.own_loop
    allowed = "a name with val/, test/ or health/" if own_loop else f"one of {', '.join(space.metrics)}"
    checks = [
        (config.trials >= 1, f"--trials {config.trials}: expected at least 1"),
        (
            config.trials >= len(config.tried) or config.trials < 1,
            f"--trials {config.trials}: expected at least {len(config.tried)}, the configurations of --try",
        ),
        (config.steps is None or config.steps >= 1, f"--steps {config.steps}: expected at least 1"),
        (config.epochs >= 1, f"--epochs {config.epochs}: expected at least 1"),
        (config.seed >= 0, f"--seed {config.seed}: expected 0 or more"),
        (
            not is_search or config.search in searchers.known(),
            f"--search {config.search}: expected one of {', '.join(searchers.known())}",
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
            not is_search or bool(space.searched),
            "--set fixes every hyperparameter: leave at least one to search",
        ),
    ]
    found = [problem for fine, problem in checks if not fine]
    return found + _requirement_problems(config.require) + _scheduler_problems(config.scheduler)


def _requirement_problems(required: list[str]) -> list[str]:
    problems = []
    for text in required:
        try:
            Requirement.parse(text)
        except ValueError as error:
            problems.append(f"--require {text}: {error}")
    return problems


def _scheduler_problems(text: str) -> list[str]:
    try:
        schedulers.parse(text)
    except ValueError as error:
        return [str(error)]
    return []


def _given(value: T | None, default: T) -> T:
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
