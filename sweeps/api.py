"""Sweeps from Python: the same options as the command line, a `SweepResult` back, nothing printed.

    from sweeps import sweep

    result = sweep("imc_vae", data="grids.parquet", trials=30)
    result.best.record.config, result.table(), result.report(), result.model()

All raise `sweeps.config.ConfigError`, which names everything that is wrong, before anything starts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sweeps import completion, stopping
from sweeps.config import ConfigError, SweepConfig, storage_folder
from sweeps.console import Reporting
from sweeps.driver import Driver, recorded
from sweeps.listener import Listener
from sweeps.longer import check_data, settings
from sweeps.options import AblationOptions, ExtendOptions, ResumeOptions, SweepOptions
from sweeps.preparation import Prepared, prepare
from sweeps.records.folder import SweepFolder, sweeps_in
from sweeps.records.record import RecordError
from sweeps.repetition import Repetition
from sweeps.result import SweepResult

if TYPE_CHECKING:
    from sweeps.plan import Plan

Options = TypeVar("Options", bound=SweepOptions | AblationOptions | ResumeOptions)


def sweep(model: str, *, listener: Listener | None = None, **options: Any) -> SweepResult:
    """Search the hyperparameters of a VAE.

    Args:
        model: a name as in imc_vae, a file as in my_vae.py, or package.module.
        listener: hears what happens; `sweeps.console.Console()` prints it.
        options: the fields of `sweeps.options.SweepOptions`.
    """
    return start(_of(SweepOptions, model=model, **options), listener or Reporting())


def ablate(model: str, *, listener: Listener | None = None, **options: Any) -> SweepResult:
    """Compare variants of a VAE by seed; `options` are the fields of `sweeps.options.AblationOptions`."""
    return start(_of(AblationOptions, model=model, **options), listener or Reporting())


def plan(model: str, **options: Any) -> Plan:
    """What `sweep` would run, with forecasts, time and disk; runs nothing."""
    return Driver(prepare(completion.complete(_of(SweepOptions, model=model, **options)))).plan()


def resume(name: str, *, listener: Listener | None = None, **options: Any) -> SweepResult:
    """Go on with a sweep or an ablation; `options` are the fields of `sweeps.options.ResumeOptions`."""
    return go_on(name, _of(ResumeOptions, **options), listener or Reporting())


def extend(name: str, *, listener: Listener | None = None, **options: Any) -> SweepResult:
    """Go on with a sweep, with more trials or with longer ones; `options` are the fields of
    `sweeps.options.ExtendOptions`."""
    return go_on_further(name, _of(ExtendOptions, **options), listener or Reporting())


def start(options: SweepOptions | AblationOptions, listener: Listener) -> SweepResult:
    """Run a new sweep or ablation."""
    config = completion.complete(options)
    _require_new(config)
    return Driver(prepare(config), listener).run()


def go_on(name: str, options: ResumeOptions | SweepOptions | AblationOptions, listener: Listener) -> SweepResult:
    """Resume the sweep called `name`."""
    return Driver(_prepared_again(resumed(name, options)), listener, resuming=True).run()


def go_on_further(name: str, options: ExtendOptions | SweepOptions, listener: Listener) -> SweepResult:
    """Resume the sweep called `name` with more trials; or train its configurations again for more epochs."""
    config, options = _recorded("--extend", name, options)
    if options.epochs is None:
        return Driver(_prepared_again(completion.extended(config, options)), listener, resuming=True).run()
    longer, said = settings(config, options)
    _require_new(longer)
    listener.said(said)
    prepared = prepare(longer, recorded(config.folder, "--extend").data)
    check_data(config, longer.folder.parent, prepared.dataset.fingerprint)
    return Driver(prepared, listener).run()


def _prepared_again(config: SweepConfig) -> Prepared:
    return prepare(config, recorded(config.folder, "--resume").data)


def _require_new(config: SweepConfig) -> None:
    if SweepFolder(config.folder).exists:
        recorded(config.folder, "--name")
        choices = f"go on with it by --resume {config.name}, or choose another name"
        raise ConfigError([f"--name {config.name}: that sweep exists; {choices}"])
    if config.folder.exists():
        raise ConfigError([f"--name {config.name}: {config.folder} is there and holds no sweep; choose another name"])


def resumed(name: str, options: ResumeOptions | SweepOptions | AblationOptions) -> SweepConfig:
    """The settings with which the sweep called `name` goes on, wherever it was made."""
    return completion.resumed(*_recorded("--resume", name, options))


def _recorded(option: str, name: str, options: Options) -> tuple[SweepConfig, Options]:
    """The settings of the sweep called `name`, which `option` names, and `options` with the place where it is."""
    place = storage_folder(options.storage)
    if not SweepFolder(place / name).exists:
        known = [each.path.name for each in sweeps_in(place)]
        there = f"sweeps there: {', '.join(known)}" if known else "there are no sweeps there"
        raise ConfigError([f"{option} {name}: no such sweep in {place}; {there}"])
    return replace(recorded(place / name, option).config, name=name), replace(options, storage=str(place))


def stop(name: str, trial: int | None = None, *, storage: str | Path | None = None) -> None:
    """End a running sweep in order, or one of its trials, wherever its driver runs; returns before it has ended."""
    stopping.ask(name if trial is None else f"{name}:{trial}", _plain(storage))


def repeat(repetition: Repetition, name: str | None, listener: Listener) -> SweepResult:
    """Run one recorded trial again, alone, in a sweep called `name`; tells how its numbers compare."""
    config = repetition.config(name)
    if config.folder.exists():
        raise ConfigError([f"--name {config.name}: that sweep exists; choose another name"])
    prepared = prepare(config, recorded(repetition.original, "--trial").data)
    repetition.check_data(prepared.dataset.fingerprint)
    result = Driver(prepared, listener, alone=True).run()
    listener.said(f"{repetition.comparison(config.folder)}.")
    return result


def load(name: str, storage: str | None = None) -> SweepResult:
    """A sweep that was run before.

    Raises:
        analysis.sweep.SweepError: there is none of that name, or its record cannot be read.
    """
    from analysis.sweep import SweepError, find
    from sweeps.result import recorded_result

    try:
        return recorded_result(find(name, storage_folder(storage)))
    except RecordError as error:
        raise SweepError(str(error)) from None


def _of(kind: type[Options], **options: Any) -> Options:
    known = kind.__dataclass_fields__
    problems = [
        f"{name}: no such option; expected one of {', '.join(known)}" for name in options if name not in known
    ]
    if problems:
        raise ConfigError(problems)
    return kind(**{name: _plain(value) for name, value in options.items()})


def _plain(value: Any) -> Any:
    """Paths and lists as the options have them."""
    if isinstance(value, Path):
        return str(value)
    return tuple(value) if isinstance(value, list) else value
