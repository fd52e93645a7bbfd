"""The health verdict in front of a pruner of Optuna, in a script of the user's own.

pruner = HealthPruner(SuccessiveHalvingPruner(), folder="results/mine", epochs=30)
study = optuna.create_study(pruner=pruner)

def objective(trial):
    monitor = Monitor(epochs=30)
    …
        pruner.tell(trial, monitor.epoch(mu, logvar, nelbo=loss), loss)     # instead of report and should_prune
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.recorder import Recorder
from sweeps.records.outcomes import Reason, Status
from trainables.health import HealthConfig, Verdict, is_control

METRIC = "val/objective"  # in the epoch log: the value that is told
SEED = 0  # of the choice of controls


@dataclass
class _Known:
    """A trial: whether it runs on if condemned, and whether it was; no pruner behind hears of it then."""

    number: int  # from 1
    control: bool
    unheard: bool = False
    started: float = field(default_factory=time.monotonic)


class HealthPruner(BasePruner):
    """Prunes condemned trials, and leaves the others to the pruner behind, which never hears of a sick epoch.

    Args:
        behind: any pruner of Optuna; None prunes no healthy trial.
        folder: where journal, epochs and record of the sweep go, for `python -m analysis report FOLDER` and
            `python -m sweeps.tracking FOLDER`; None for none. One process writes there.
        epochs: the budget of a trial, as its `Monitor` has it.
        health: thresholds, as its `Monitor` has them. Of the condemned a share of `control_share` runs on, so that
            the report can say how often a stop is wrong.
    """

    def __init__(
        self,
        behind: BasePruner | None = None,
        *,
        folder: str | None = None,
        epochs: int,
        health: HealthConfig | None = None,
    ) -> None:
        self.behind = behind or NopPruner()
        self._folder, self._epochs, self._health = folder, epochs, health or HealthConfig()
        self._known: dict[int, _Known] = {}  # by Optuna's number
        self._recorder: Recorder | None = None
        self._study: Study | None = None
        self._lock = threading.Lock()

    def tell(self, trial: optuna.Trial, row: Mapping[str, Any], value: float) -> None:
        """Hear of an epoch: its row from the trial's `Monitor`, and the value that the study ranks by.

        Raises:
            optuna.TrialPruned: the trial ends here; with the sentence why.
            RecorderError: the folder has a sweep already.
        """
        verdict = Verdict(row["verdict"])
        with self._lock:
            known = self._known.get(trial.number) or self._begin(trial)
            if self._recorder:
                seconds = time.monotonic() - known.started
                self._recorder.epoch(known.number, {**row, METRIC: float(value)}, seconds, known.control)
            if verdict.condemned:
                known.unheard = True
                if not known.control:
                    self._prune(known, Reason(verdict.value), row["verdict_detail"])
        if verdict is Verdict.HEALTHY and not known.unheard:
            trial.report(value, row["epoch"])
            if trial.should_prune():
                with self._lock:
                    self._prune(known, Reason.RUNG, f"pruned by {type(self.behind).__name__} at epoch {row['epoch']}")
        if row["epoch"] >= self._epochs:
            with self._lock:
                self._end(known, Status.FINISHED)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """What the pruner behind says; asked by `tell`.

        Raises:
            ValueError: the trial was never told of.
        """
        if trial.number not in self._known:
            raise ValueError(
                f"HealthPruner has heard no verdict of trial {trial.number}, for no pruner sees the posterior: call "
                "pruner.tell(trial, monitor.epoch(mu, logvar, …), value) instead of report and should_prune"
            )
        return self.behind.prune(study, trial)

    def close(self) -> None:
        """The search is over; at the end of the process at the latest."""
        with self._lock:
            self._settle()
            if self._recorder:
                self._recorder.close()
            atexit.unregister(self.close)

    def _begin(self, trial: optuna.Trial) -> _Known:
        self._study = trial.study
        if self._folder is not None and self._recorder is None:
            mode = "max" if trial.study.direction is StudyDirection.MAXIMIZE else "min"
            name = f"HealthPruner({type(self.behind).__name__})"
            self._recorder = Recorder(
                Path(self._folder), epochs=self._epochs, metric=METRIC, mode=mode, health=self._health, scheduler=name
            )
            atexit.register(self.close)
        self._settle()
        number = trial.number + 1
        known = self._known[trial.number] = _Known(number, is_control(SEED, number, self._health))
        if self._recorder:
            self._recorder.suggested(number, trial.params, known.control)
        return known

    def _settle(self) -> None:
        """Of the trials whose objective has returned or thrown since nothing more will be told."""
        if self._recorder is None or self._study is None:
            return
        for frozen in self._study.get_trials(deepcopy=False):
            if frozen.number + 1 not in self._recorder.live or not frozen.state.is_finished():
                continue
            if frozen.state is TrialState.FAIL:
                self._recorder.ended(
                    frozen.number + 1, Status.FAILED, Reason.ERROR, "its objective raised an exception"
                )
            else:
                self._recorder.ended(frozen.number + 1, Status.FINISHED)

    def _prune(self, known: _Known, reason: Reason, detail: str) -> None:
        self._end(known, Status.STOPPED, reason, detail)
        raise optuna.TrialPruned(f"{reason.value}: {detail}")

    def _end(self, known: _Known, status: Status, reason: Reason = Reason.NONE, detail: str = "") -> None:
        if self._recorder:
            self._recorder.ended(known.number, status, reason, detail)
