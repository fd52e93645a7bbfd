"""Successive halving with early stopping at rungs: ASHA as Ray Tune, Optuna and Syne Tune stop by it.

The stopping form of ASHA (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"): at a rung a
trial goes on if it is among the best 1/η of the trials that have reached the rung so far.
"""

from __future__ import annotations

import math

from sweeps.schedulers.asha import AshaSettings
from sweeps.schedulers.base import GO_ON, RUNG, Decision, Row, Scheduler, Task, stop
from sweeps.schedulers.rungs import RISING, RungDecision, Rungs, cohort


class AshaStopping(Scheduler[AshaSettings]):
    """The rungs alone. A trial whose KL weight still rises is compared with others of which that is true."""

    name = "asha-stopping"
    settings_type = AshaSettings

    def __init__(self, task: Task, settings: AshaSettings | None = None) -> None:
        super().__init__(task, settings)
        self.rungs = Rungs(task.epochs, self.settings.eta, task.first_rung(self.settings.grace))

    def decide(self, trial: int, row: Row) -> Decision:
        """Stop at a rung if outranked there."""
        rung = self.rungs.judge(trial, row.epoch, row.score, cohort(row))
        return GO_ON if rung.go_on else stop(RUNG, self._detail(row, rung))

    def forget(self, trial: int) -> None:
        """It sets no cutoff."""
        self.rungs.forget(trial)

    def _detail(self, row: Row, rung: RungDecision) -> str:
        task = self.task
        if not math.isfinite(row.score):
            return f"{task.metric} is {task.told(row.score)} at epoch {row.epoch}"
        among = f" with {RISING}" if cohort(row) else ""
        return (
            f"{task.metric} {task.told(row.score)} {task.worse} the cutoff {task.told(rung.cutoff)} of {rung.seen} "
            f"trials{among} at epoch {row.epoch}"
        )
