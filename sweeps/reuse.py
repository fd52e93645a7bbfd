"""Trials that were run already: the same model, configuration, seed, data, budget and code, in another sweep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sweeps import journal, record
from sweeps.config import SweepConfig
from sweeps.journal import Status, TrialRecord
from trainables import epoch_log
from trainables.checkpoint import folder_of


class Finished:
    """The finished trials of the other sweeps of a storage folder.

    A sweep counts if its code is a commit without changes, the same as that of the sweep that starts.
    """

    def __init__(self, config: SweepConfig, own: Mapping[str, Any]) -> None:
        self._found: dict[str, tuple[Path, TrialRecord]] = {}
        if own["code"]["dirty"]:
            return
        for path in sorted(Path(config.storage).glob(f"*/{record.FILE}")):
            other = record.read(path.parent)
            if path.parent == config.folder or _kind(other) != _kind(own):
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


def _kind(sweep: Mapping[str, Any]) -> list[Any]:
    """What must be the same for two trials to give the same numbers, configuration and seed aside."""
    code, config = sweep["code"], sweep["config"]
    same = (sweep["model"], config["epochs"], sweep["data"]["fingerprint"], sweep["health"])
    return [*same, code["commit"], code["dirty"]]


def _key(config: Mapping[str, Any], seed: int) -> str:
    return json.dumps([dict(config), seed], sort_keys=True)
