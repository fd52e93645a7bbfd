"""Trials that were run already: the same model, configuration, seed, data, budget and code, in another sweep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.config import SweepConfig
from sweeps.records import journal, record
from sweeps.records.folder import SweepFolder, sweeps_in
from sweeps.records.journal import TrialRecord
from sweeps.records.outcomes import Status
from sweeps.records.record import RecordError, SweepRecord
from trainables import epoch_log

DECIDE_NUMBERS = ("torch", "numpy", "scipy", "scikit-learn", "torchmetrics", "vector-quantize-pytorch")


class Finished:
    """The finished trials of the other sweeps of a storage folder.

    A sweep counts if its code and the libraries that decide numbers are known, and the same as those of the sweep
    that starts: by the fingerprint of the sources, for a commit is unknown outside a checkout and says nothing of
    changes.
    """

    def __init__(self, config: SweepConfig, own: SweepRecord) -> None:
        self._found: dict[str, tuple[Path, TrialRecord]] = {}
        kind = _kind(own)
        if kind is None:
            return
        for folder in sweeps_in(Path(config.storage)):
            if folder.path == config.folder or _kind_in(folder.path) != kind:
                continue
            for trial in journal.read(folder.path).trials.values():
                if trial.status is Status.FINISHED:
                    self._found.setdefault(_key(trial.config, trial.seed), (folder.path, trial))

    def take(self, folder: Path, trial: TrialRecord) -> str | None:
        """Copy log, checkpoint and pictures of a finished twin to `trial`: where from, None without a twin whose log
        can be read."""
        twin = self._found.get(_key(trial.config, trial.seed))
        if twin is None:
            return None
        source, found = twin
        try:
            epoch_log.copy(source, found.trial, folder, trial.trial)
        except epoch_log.LogError:
            return None
        shutil.copytree(
            SweepFolder(source).trial(found.trial), SweepFolder(folder).trial(trial.trial), dirs_exist_ok=True
        )
        return f"trial {found.trial} of sweep {source.name}"


def _kind_in(folder: Path) -> list[Any] | None:
    """That of the sweep in `folder`; None if its record cannot be read."""
    try:
        return _kind(record.read(folder))
    except RecordError:
        return None


def _kind(sweep: SweepRecord) -> list[Any] | None:
    """What must be the same for two trials to give the same numbers, configuration and seed aside; None if a part of
    it is not known.
    """
    libraries = [sweep.packages.get(name) for name in DECIDE_NUMBERS]
    known = [sweep.code.fingerprint, sweep.data.fingerprint or None, *libraries]
    if None in known:
        return None
    own = sweep.code.model.sha256 if sweep.code.model else ""  # of a model that is not of this project
    best = (sweep.config.metric[0], sweep.config.mode[0], sweep.config.require)  # whose best epoch a checkpoint keeps
    return [*known, sweep.model, own, sweep.config.epochs, *best, sweep.health]


def _key(config: Mapping[str, Any], seed: int) -> str:
    return json.dumps([dict(config), seed], sort_keys=True)
