"""The health verdict in front of whoever else decides about a trial: what its shells over Ray and Optuna share.

A trial that is condemned ends, but for one in twenty, kept as a control. Whoever stands behind is shown the healthy
epochs alone, and none of a trial that was condemned.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sweeps.recorder import Recorder, Search
from sweeps.records.outcomes import Reason, Status
from trainables.health import HealthConfig, Verdict, is_control

SEED = 0  # of the choice of controls


@dataclass
class GatedTrial:
    """A trial.

    Args:
        number: from 1.
        control: it runs on if condemned.
        epoch: the last one heard of.
        condemned_at: the first epoch that condemned it; whoever stands behind hears no more of it.
        shown: the last epoch is shown to whoever stands behind.
        over: it had ended for good before an interruption that the search has forgotten its end in.
    """

    number: int
    control: bool
    epoch: int = 0
    condemned_at: int | None = None
    shown: bool = True
    over: bool = False
    began: float = field(default_factory=time.monotonic)


class HealthGate:
    """Judges the trials of a search, and records them where there is a folder.

    Args:
        folder: of the sweep; None for none.
        epochs: the budget of a trial.
        health: thresholds; None for the usual ones.
        stops: False where whoever stands behind hears every epoch and decides alone.
    """

    def __init__(self, folder: str | None, epochs: int, health: HealthConfig | None, *, stops: bool = True) -> None:
        self.folder, self.epochs, self.health, self.stops = folder, epochs, health or HealthConfig(), stops
        self.trials: dict[str, GatedTrial] = {}  # by the name that the search has for them
        self.recorder: Recorder | None = None

    def open(self, search: Search, metric: str, mode: str, scheduler: str) -> None:
        """Begin or go on with the sweep's folder, where there is to be one.

        Raises:
            RecorderError: the folder is not of this search.
        """
        if self.folder is not None and self.recorder is None:
            self.recorder = Recorder(
                Path(self.folder), search, epochs=self.epochs, metric=metric, mode=mode, health=self.health,
                scheduler=scheduler,
            )  # fmt: skip

    def add(self, name: str, config: Mapping[str, Any], number: int | None = None) -> GatedTrial:
        """A trial of the search, under its next number unless it has one; as it was left, if it was recorded."""
        recorded = self.recorder.recorded if self.recorder else {}
        if self.recorder and name in recorded:
            was, log = recorded[name], self.recorder.log(recorded[name])
            trial = GatedTrial(was.trial, was.control, log.epoch, log.condemned_at)
            trial.over = was.status in (Status.FINISHED, Status.STOPPED)
        else:
            known = [*(trial.number for trial in self.trials.values()), *(each.trial for each in recorded.values())]
            number = number or max(known, default=0) + 1
            trial = GatedTrial(number, is_control(SEED, number, self.health))
            if self.recorder:
                self.recorder.suggested(number, name, config, trial.control)
        self.trials[name] = trial
        return trial

    def hear(self, trial: GatedTrial, row: Mapping[str, Any], seconds: float) -> bool:
        """An epoch; True if the trial ends with it. `seconds`: since the trial began."""
        verdict, trial.epoch = Verdict(row["verdict"]), int(row["epoch"])
        if self.recorder:
            self.recorder.epoch(trial.number, row, seconds, trial.control)
        if trial.condemned_at is not None and trial.epoch <= trial.condemned_at:  # it has gone back
            trial.condemned_at = None
        if verdict.condemned and trial.condemned_at is None:
            trial.condemned_at = trial.epoch
        trial.shown = not self.stops or (verdict is Verdict.HEALTHY and trial.condemned_at is None)
        stopped = verdict.condemned and self.stops and not trial.control
        if stopped:
            self.end(trial, Status.STOPPED, Reason(verdict.value), row["verdict_detail"])
        return stopped

    def start(self, trial: GatedTrial) -> None:
        """It begins, or goes on."""
        if self.recorder and not trial.over:
            self.recorder.started(trial.number)

    def pause(self, trial: GatedTrial, detail: str) -> None:
        """Whoever stands behind lets it wait."""
        if self.recorder:
            self.recorder.paused(trial.number, Reason.RUNG, detail)

    def end(self, trial: GatedTrial, status: Status, reason: Reason = Reason.NONE, detail: str = "") -> None:
        """It will not go on."""
        if self.recorder:
            self.recorder.ended(trial.number, status, reason, detail)

    def close(self) -> None:
        """The search is over, as far as this process goes."""
        if self.recorder:
            self.recorder.close()
            self.recorder = None

    def __getstate__(self) -> dict[str, Any]:
        """Ray keeps a copy of a scheduler with its experiment: one that goes on with the folder."""
        return self.__dict__ | {"trials": {}, "recorder": None}
