"""Trials that were run already: the same model, configuration, seed, data, budget and code, in another sweep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps.config import SweepConfig
from sweeps.records import journal, record
from sweeps.records.journal import Status, TrialRecord
from trainables import epoch_log
from trainables.checkpoint import folder_of

DECIDE_NUMBERS = ("torch", "numpy", "scipy", "scikit-learn", "torchmetrics", "vector-quantize-pytorch")


class Finished:
    """The finished trials of the other sweeps of a storage folder.

    A sweep counts if its code and the libraries that decide numbers are known, and the same as those of the sweep
    that starts: by the fingerprint of the sources, for a commit is unknown outside a checkout and says nothing of
    changes.
    """

    def __init__(self, config: SweepConfig, own: Mapping[str, Any]) -> None:
        self._found: dict[str, tuple[Path, TrialRecord]] = {}
        kind = _kind(own)
        if kind is None:
            return
        for path in sorted(Path(config.storage).glob(f"*/{record.FILE}")):
            other = record.read(path.parent)
            if path.parent == config.folder or _kind(other) != kind:
                continue
            for trial in journal.read(path.parent).trials.values():
                if trial.status is Status.FINISHED:
                    self._found.setdefault(_key(trial.config, trial.seed), (path.parent, trial))

    def take(self, folder: Path, trial: TrialRecord) -> str | None:
        """Copy log, checkpoint and pictures of a finished twin to `trial`: where from, None without a twin."""
        twin = self._found.get(_key(trial.config, trial.seed))
        if twin is None:
            return None
        source, found = twin
        epoch_log.copy(source, found.trial, folder, trial.trial)
        shutil.copytree(folder_of(source, found.trial), folder_of(folder, trial.trial), dirs_exist_ok=True)
        return f"trial {found.trial} of sweep {source.name}"


def _kind(sweep: Mapping[str, Any]) -> list[Any] | None:
    """What must be the same for two trials to give the same numbers, configuration and seed aside; None if a part of
    it is not known.
    """
    libraries = [sweep.get("packages", {}).get(name) for name in DECIDE_NUMBERS]
    known = [sweep["code"].get("fingerprint"), sweep["data"]["fingerprint"], *libraries]
    if None in known:
        return None
    config = sweep["config"]
    best = (config["metric"][0], config["mode"][0])  # whose best epoch a checkpoint keeps
    own = sweep["code"].get("model", {}).get("sha256", "")  # of a model that is not of this project
    return [*known, sweep["model"], own, config["epochs"], *best, sweep["health"]]


def _key(config: Mapping[str, Any], seed: int) -> str:
    return json.dumps([dict(config), seed], sort_keys=True)
