"""One trial of a sweep run again, alone, and its numbers beside those of the first time."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from search_spaces.reference import CODE, MANIFEST
from sweeps.ablation import Ablation, Variant
from sweeps.config import ConfigError, Options, SweepConfig
from sweeps.records import journal, record
from sweeps.records.folder import SweepFolder
from sweeps.records.record import RecordError, SweepRecord
from sweeps.searchers import ABLATION
from trainables import epoch_log, metrics


def recorded(folder: Path, option: str) -> SweepRecord:
    """The record of the sweep in `folder`, which `option` names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return record.read(folder)
    except RecordError as error:
        raise ConfigError([f"{option} {folder.name}: {line}" for line in str(error).splitlines()]) from None


def config_of(options: Options) -> SweepConfig:
    """A sweep of the single trial that `--trial NAME:k` names, with its configuration, seed, data and budget.

    Raises:
        ConfigError: there is no such trial, or further options are given.
    """
    name, number, folder = _named(options)
    more = [f"--{each.replace('_', '-')}" for each in options.given() if each not in ("trial", "storage", "name")]
    if more:
        raise ConfigError([f"{', '.join(more)}: cannot be given with --trial, which repeats what was recorded"])
    config = recorded(folder, "--trial").config
    trial = journal.read(folder).trials[number]
    variant = Variant(f"trial {number} of {name}", trial.config)
    copy = folder / CODE
    return replace(
        config,
        code=str(copy) if (copy / MANIFEST).exists() else config.code,
        name=options.name or f"{name}-trial-{number}",
        storage=str(folder.parent),
        seed=trial.seed,
        trials=1,
        search=ABLATION,
        scheduler="none",
        time_budget=None,
        ablation=Ablation(1, [variant], []),
    )


def check_data(options: Options, fingerprint: str) -> None:
    """Refuse to repeat a trial on other data than it was recorded on.

    Raises:
        ConfigError: the data has changed.
    """
    name, _, folder = _named(options)
    if (data := recorded(folder, "--trial").data).fingerprint != fingerprint:
        raise ConfigError([f"--trial {options.trial}: {data.source} has changed since {name} was recorded"])


def comparison(options: Options, folder: Path) -> str:
    """How the epochs in `folder`, those of the repetition, compare with the recorded ones; a sentence."""
    name, number, original = _named(options)
    before, after = epoch_log.read_trial(original, number), epoch_log.read_trial(folder, 1)
    common = list(zip(before, after, strict=False))
    if not common:
        return f"trial {number} of {name} has no recorded epoch to compare with"
    differing = [
        (row["epoch"], name) for row, again in common for name in _compared(row) if row[name] != again.get(name)
    ]
    if not differing:
        return f"All {len(common)} recorded epochs of trial {number} of {name} are reproduced to the last digit"
    worst = max(_difference(row[name], again.get(name)) for row, again in common for name in _compared(row))
    epoch, metric = differing[0]
    return (
        f"Trial {number} of {name} differs from epoch {epoch:.0f} on (first in {metric}), by at most {worst:.2g} of "
        "its value: another machine, library version, thread count or code"
    )


def _named(options: Options) -> tuple[str, int, Path]:
    """Sweep, number and folder of `--trial NAME:k`."""
    name, _, number = options.trial.rpartition(":")
    folder = Path(options.storage or "results").absolute() / name
    if not name or not number.isdecimal():
        raise ConfigError([f"--trial {options.trial}: expected NAME:k, as in {name or number or 'mysweep'}:3"])
    if not SweepFolder(folder).exists:
        raise ConfigError([f"--trial {options.trial}: no sweep {name} in {folder.parent}"])
    trials = journal.read(folder).trials
    if int(number) not in trials:
        raise ConfigError([f"--trial {options.trial}: {name} has trials 1 to {max(trials, default=0)}"])
    return name, int(number), folder


def _compared(row: dict[str, Any]) -> list[str]:
    return [name for name, value in row.items() if metrics.is_measured(name) and value is not None and value == value]


def _difference(before: float, after: float | None) -> float:
    if after is None or not math.isfinite(after):
        return math.inf
    return abs(after - before) / max(abs(before), 1e-12)
