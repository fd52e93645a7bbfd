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
from typing import Any
from uuid import uuid4

import optuna
from optuna.pruners import BasePruner, NopPruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeps.health_gate import GatedTrial, HealthGate
from sweeps.records.outcomes import Reason, Status
from trainables.health import HealthConfig

METRIC = "val/objective"  # in the epoch log: the value that is told


class _OfStudy:
    """The search of a study, which keeps the ids of its sweeps wherever it is stored."""

    def __init__(self, study: Study, folder: str | None) -> None:
        self._study, self._folder = study, folder

    def begins(self) -> str:
        sweep = uuid4().hex
        self._study.set_user_attr(f"sweep {sweep}", self._folder)
        return sweep

    def wrote(self, sweep: str) -> bool:
        return f"sweep {sweep}" in self._study.user_attrs


class HealthPruner(BasePruner):
    """Prunes condemned trials, and leaves the others to the pruner behind, which never hears of a sick epoch.

    Args:
        behind: any pruner of Optuna; None prunes no healthy trial.
        folder: where journal, epochs and record of the sweep go, for `python -m analysis report FOLDER` and
            `python -m sweeps.tracking FOLDER`; None for none. All processes that optimise a study write there
            together, and a later run of a stored study goes on with it; each calls `close` at its end where that
            is not the end of a whole program (one of `multiprocessing` ends without the word of its own).
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
        self._gate = HealthGate(folder, epochs, health)
        self._study: Study | None = None
        self._lock = threading.Lock()

    def tell(self, trial: optuna.Trial, row: Mapping[str, Any], value: float) -> None:
        """Hear of an epoch: its row from the trial's `Monitor`, and the value that the study ranks by.

        Raises:
            optuna.TrialPruned: the trial ends here; with the sentence why.
            RecorderError: the folder has a sweep of another study.
        """
        with self._lock:
            known = self._gate.trials.get(str(trial.number)) or self._begin(trial)
            seconds = time.monotonic() - known.began
            if self._gate.hear(known, {**row, METRIC: float(value)}, seconds):
                raise optuna.TrialPruned(f"{row['verdict']}: {row['verdict_detail']}")
        if known.shown:
            trial.report(value, row["epoch"])
            if trial.should_prune():
                detail = f"pruned by {type(self.behind).__name__} at epoch {row['epoch']}"
                with self._lock:
                    self._gate.end(known, Status.STOPPED, Reason.RUNG, detail)
                raise optuna.TrialPruned(f"{Reason.RUNG}: {detail}")
        if row["epoch"] >= self._gate.epochs:
            with self._lock:
                self._gate.end(known, Status.FINISHED)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """What the pruner behind says; asked by `tell`.

        Raises:
            ValueError: the trial was never told of.
        """
        if str(trial.number) not in self._gate.trials:
            raise ValueError(
                f"HealthPruner has heard no verdict of trial {trial.number}, for no pruner sees the posterior: call "
                "pruner.tell(trial, monitor.epoch(mu, logvar, …), value) instead of report and should_prune"
            )
        return self.behind.prune(study, trial)

    def close(self) -> None:
        """This process is done with the study; at its end at the latest."""
        with self._lock:
            if self._gate.recorder:
                self._gate.recorder.adopt()
            self._settle()
            self._gate.close()
            atexit.unregister(self.close)

    def _begin(self, trial: optuna.Trial) -> GatedTrial:
        self._study = trial.study
        if self._gate.recorder is None:
            mode = "max" if trial.study.direction is StudyDirection.MAXIMIZE else "min"
            search = _OfStudy(trial.study, self._gate.folder)
            self._gate.open(search, METRIC, mode, f"HealthPruner({type(self.behind).__name__})")
            atexit.register(self.close)
        self._settle()
        return self._gate.add(str(trial.number), trial.params, trial.number + 1)

    def _settle(self) -> None:
        """Of the trials whose objective has returned or thrown since nothing more will be told."""
        if self._gate.recorder is None or self._study is None:
            return
        for frozen in self._study.get_trials(deepcopy=False):
            if frozen.number + 1 not in self._gate.recorder.live or not frozen.state.is_finished():
                continue
            if frozen.state is TrialState.FAIL:
                self._gate.recorder.ended(
                    frozen.number + 1, Status.FAILED, Reason.ERROR, "its objective raised an exception"
                )
            else:
                self._gate.recorder.ended(frozen.number + 1, Status.FINISHED)
