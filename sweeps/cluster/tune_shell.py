"""Ray Tune's searcher, scheduler and callback, each a thin shell over `SweepRun`.

An error in any of them is written down and answered with a harmless default: none may end a sweep.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeps.cluster.worker_loss import explain
from sweeps.run_state import SweepRun
from trainables.trainable import TOLD

HEARING = 1.0  # seconds between looks at what has been asked by hand


def survives(default: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Turn an exception of a method into an entry of the sweep's error log and the result `default`."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                self.run.note_error(f"{type(self).__name__}.{method.__name__}", error)
                return default

        return guarded

    return decorate


def trial_number(trial: Trial) -> int:
    """The sweep's number of a Ray trial."""
    return trial.config["trial"]


class TuneSearcher(Searcher):
    """Hands out the trials of a `SweepRun`."""

    def __init__(self, run: SweepRun, settings: dict[str, Any]) -> None:
        super().__init__()
        self.run, self.settings = run, settings

    @survives(default=None)
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The configuration of the next trial."""
        record = self.run.next_trial()
        if record is None:
            return None if self.run.waiting else Searcher.FINISHED
        return {
            "trial": record.trial,
            "control": record.control,
            "pauses": self.run.pauses(record.trial),
            "hyperparameters": record.config,
            "settings": self.settings | {"seed": record.seed},
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The callback tells the run of every end."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the sweep's journal holds it all."""

    def restore(self, checkpoint_path: str) -> None:
        """See `save`."""


class TuneScheduler(FIFOScheduler):
    """Asks a `SweepRun` after every epoch.

    A trial that has to wait is over for Ray, which would count it among those that run: its worker is free for
    another, and a new Ray trial goes on from its checkpoint once the run hands it out again.
    """

    def __init__(self, run: SweepRun) -> None:
        super().__init__()
        self.run = run

    @survives(default=TrialScheduler.CONTINUE)
    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Stop, for good or for the time being, or go on."""
        decision = self.run.epoch(trial_number(trial), result[TOLD].row)
        return TrialScheduler.STOP if decision.stop or decision.pause else TrialScheduler.CONTINUE


class TuneStopper(Stopper):
    """Ends the run in order once a `SweepRun` is being cut off, as Ray Tune does on SIGINT."""

    def __init__(self, run: SweepRun) -> None:
        self.run = run

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Of a single trial the scheduler decides."""
        return False

    def stop_all(self) -> bool:
        """Asked between any two events, and ten times a second without."""
        return bool(self.run.stopping)


class TuneCallback(Callback):
    """Tells a `SweepRun` of starts and ends, and lets it hear what people ask."""

    def __init__(self, run: SweepRun) -> None:
        self.run, self._heard_at = run, -math.inf

    @survives(default=None)
    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Between any two events, and ten times a second without."""
        if time.monotonic() - self._heard_at >= HEARING:
            self._heard_at = time.monotonic()
            self.run.hear_requests()

    @survives(default=None)
    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """A worker begins, or begins again after the death of another."""
        self.run.started(trial_number(trial))

    @survives(default=None)
    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial ended by itself or by a decision, which the run has carried out already."""
        if not self.run.stopping:
            self.run.ended(trial_number(trial), trial.last_result[TOLD].row)

    @survives(default=None)
    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """The trial lost its worker."""
        if not self.run.stopping:
            error = Path(trial.error_file).read_text() if trial.error_file else ""
            self.run.lost(trial_number(trial), *explain(error))
