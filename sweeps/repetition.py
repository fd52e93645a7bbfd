"""One trial of a sweep run again, alone, and its numbers beside those of the first time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.reference import CODE, MANIFEST
from sweeps.ablation import Ablation, Variant
from sweeps.config import ConfigError, SweepConfig, storage_folder
from sweeps.driver import recorded
from sweeps.records import journal
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Status
from sweeps.searchers import ABLATION
from trainables import epoch_log, metrics


@dataclass(frozen=True)
class Repetition:
    """Trial `trial` of the sweep in folder `original`."""

    original: Path
    trial: int

    @classmethod
    def parse(cls, text: str, storage: str | None = None) -> Repetition:
        """Of `NAME:k` in a storage folder.

        Raises:
            ConfigError: there is no such sweep or trial, or another script ran it.
        """
        name, _, number = text.rpartition(":")
        folder = storage_folder(storage) / name
        if not name or not number.isdecimal():
            raise ConfigError([f"--trial {text}: expected NAME:k, as in {name or number or 'mysweep'}:3"])
        if not SweepFolder(folder).exists:
            raise ConfigError([f"--trial {text}: no sweep {name} in {folder.parent}"])
        recorded(folder, "--trial")
        trials = journal.read(folder).trials
        if int(number) not in trials:
            raise ConfigError([f"--trial {text}: {name} has trials 1 to {max(trials, default=0)}"])
        return cls(folder, int(number))

    def __str__(self) -> str:
        return f"trial {self.trial} of {self.original.name}"

    def config(self, name: str | None = None) -> SweepConfig:
        """A sweep of the trial alone, with its configuration, seed, data and budget; one that was stopped is trained
        for the epochs that it had.

        Raises:
            ConfigError: the record cannot be read.
        """
        config = recorded(self.original, "--trial").config
        trial = journal.read(self.original).trials[self.trial]
        copy = self.original / CODE
        return replace(
            config,
            code=str(copy) if (copy / MANIFEST).exists() else config.code,
            name=name or f"{self.original.name}-trial-{self.trial}",
            storage=str(self.original.parent),
            seed=trial.seed,
            trials=1,
            search=ABLATION,
            scheduler="none",
            time_budget=None,
            tried=[],
            confirm=None,
            until=trial.epoch if trial.status is Status.STOPPED and trial.epoch < config.epochs else None,
            ablation=Ablation(1, [Variant(str(self), trial.config)], []),
        )

    def check_data(self, fingerprint: str) -> None:
        """Refuse to repeat a trial on other data than it was recorded on.

        Raises:
            ConfigError: the data has changed.
        """
        if (data := recorded(self.original, "--trial").data).fingerprint != fingerprint:
            name = f"{self.original.name}:{self.trial}"
            raise ConfigError([f"--trial {name}: {data.source} has changed since {self.original.name} was recorded"])

    def comparison(self, folder: Path) -> str:
        """How the epochs in `folder`, those of the repetition, compare with the recorded ones; a sentence."""
        before, after = epoch_log.read_trial(self.original, self.trial), epoch_log.read_trial(folder, 1)
        common = list(zip(before, after, strict=False))
        if not common:
            return f"{self} has no recorded epoch to compare with"
        differing = [
            (row["epoch"], name) for row, again in common for name in _compared(row) if row[name] != again.get(name)
        ]
        if not differing:
            return f"All {len(common)} recorded epochs of {self} are reproduced to the last digit"
        worst = max(_difference(row[name], again.get(name)) for row, again in common for name in _compared(row))
        epoch, metric = differing[0]
        return (
            f"T{str(self)[1:]} differs from epoch {epoch:.0f} on (first in {metric}), by at most {worst:.2g} of "
            "its value: another machine, library version, thread count or code"
        )


def _compared(row: dict[str, Any]) -> list[str]:
    return [name for name, value in row.items() if metrics.is_measured(name) and value is not None and value == value]


def _difference(before: float, after: float | None) -> float:
    if after is None or not math.isfinite(after):
        return math.inf
    return abs(after - before) / max(abs(before), 1e-12)
