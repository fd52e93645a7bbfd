"""The health verdict in front of any scheduler of Ray Tune.

The scheduler behind is told every healthy epoch, as if there were no verdict. It is not told of one that looks sick,
so that this sets no cutoff; a trial that ends so is removed, to it. Population based training alone hears everything
and stops whom it likes, for it gives a sick trial the weights of a healthy one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler

from sweeps.health_gate import HealthGate
from sweeps.recorder import RecorderError
from sweeps.records.outcomes import Reason, Status
from trainables.health import HealthConfig


@dataclass(frozen=True)
class _Experiment:
    """A search with Tune, which keeps the scheduler that it was given: `Tuner.restore` finds its id there."""

    id: str = field(default_factory=lambda: uuid4().hex)

    def begins(self) -> str:
        return self.id

    def wrote(self, sweep: str) -> bool:
        return sweep == self.id


class HealthFirst(TrialScheduler):
    """Stops condemned trials, and leaves the others to the scheduler behind.

    Args:
        behind: any scheduler of Ray Tune; None lets all healthy trials run to their end. Its metric and mode are
            those of `TuneConfig`.
        folder: where journal, epochs and record of the sweep go, for `python -m analysis report FOLDER` and
            `python -m sweeps.tracking FOLDER`; None for none. `Tuner.restore` goes on with it: which trials were
            condemned, and which are controls, is known again. What the scheduler behind has seen Ray does not keep.
        epochs: the budget of a trial, as its `Monitor` has it.
        health: thresholds, as its `Monitor` has them. Of the condemned a share of `control_share` runs on, unheard
            by the scheduler behind, so that the report can say how often a stop is wrong.
    """

    def __init__(
        self,
        behind: TrialScheduler | None = None,
        *,
        folder: str | None = None,
        epochs: int,
        health: HealthConfig | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.behind = behind or FIFOScheduler()  # type: ignore[no-untyped-call]
        self._gate = HealthGate(folder, epochs, health, stops=not isinstance(self.behind, PopulationBasedTraining))
        self._experiment = _Experiment()

    @property
    def metric(self) -> str | None:
        """Of the scheduler behind."""
        found: str | None = self.behind.metric
        return found

    @property
    def supports_buffered_results(self) -> bool:
        """Never: a stop takes effect at once."""
        return False

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Hear of metric and mode, and begin the sweep's folder.

        Raises:
            RecorderError: there is a folder but no metric, or the folder has a sweep of another search.
        """
        if self._gate.folder is not None:
            if not metric or not mode:
                raise RecorderError(
                    "HealthFirst(folder=…) needs what trials are ranked by: TuneConfig(metric=…, mode=…), as in "
                    'metric="val/nelbo", mode="min"'
                )
            self._gate.open(self._experiment, metric, mode, f"HealthFirst({type(self.behind).__name__})")
        return bool(self.behind.set_search_properties(metric, mode, **spec))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Number it; one that Ray requeues or restores keeps its number."""
        if trial.trial_id not in self._gate.trials:
            self._gate.add(trial.trial_id, trial.config)
        self.behind.on_trial_add(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """As the scheduler behind chooses."""
        trial: Trial | None = self.behind.choose_trial_to_run(tune_controller)
        if trial is not None:
            self._gate.start(self._gate.trials[trial.trial_id])
        return trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """The verdict, then what stands behind it.

        Raises:
            RecorderError: the result has no verdict.
        """
        known = self._gate.trials[trial.trial_id]
        if known.over:
            return str(TrialScheduler.STOP)
        _require_verdict(trial, result)
        if self._gate.hear(known, result, float(result["time_total_s"])):
            return str(TrialScheduler.STOP)
        last = known.epoch >= self._gate.epochs
        if not known.shown:
            return str(TrialScheduler.STOP if last else TrialScheduler.CONTINUE)
        action = str(self.behind.on_trial_result(tune_controller, trial, result))
        told = f"{type(self.behind).__name__} at epoch {known.epoch}"
        if action == TrialScheduler.STOP and not last:
            self._gate.end(known, Status.STOPPED, Reason.RUNG, f"stopped by {told}")
        elif action == TrialScheduler.PAUSE:
            self._gate.pause(known, f"paused by {told}")
        return action

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Its end, by a decision or by itself."""
        known = self._gate.trials[trial.trial_id]
        self._gate.end(known, Status.FINISHED)
        if known.shown and not known.over:
            self.behind.on_trial_complete(tune_controller, trial, result)
        else:
            self.behind.on_trial_remove(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """It was stopped while it waited."""
        known = self._gate.trials[trial.trial_id]
        if known.epoch:
            detail = f"stopped by {type(self.behind).__name__} while it waited after epoch {known.epoch}"
            self._gate.end(known, Status.STOPPED, Reason.RUNG, detail)
        else:
            self._gate.end(known, Status.INTERRUPTED, Reason.SIGNAL, "removed before it began")
        self.behind.on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """It threw, or lost its worker."""
        known = self._gate.trials[trial.trial_id]
        error = Path(trial.error_file).read_text().strip() if trial.error_file else ""
        self._gate.end(known, Status.FAILED, Reason.ERROR, next(iter(error.splitlines()[-1:]), "no cause given"))
        self.behind.on_trial_error(tune_controller, trial)

    def debug_string(self) -> str:
        """For Ray's console."""
        condemned = sum(known.condemned_at is not None for known in self._gate.trials.values())
        return f"HealthFirst: {condemned} condemned. " + str(self.behind.debug_string())

    def save(self, checkpoint_path: str) -> None:
        """Of the scheduler behind."""
        self.behind.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Of the scheduler behind."""
        self.behind.restore(checkpoint_path)

    def close(self) -> None:
        """The search is over; needed only where the process goes on."""
        self._gate.close()


def _require_verdict(trial: Trial, result: Mapping[str, Any]) -> None:
    if "verdict" not in result or "epoch" not in result:
        has = ", ".join(sorted(name for name in result if "/" in name or name in ("loss", "epoch", "verdict")))
        raise RecorderError(
            f"HealthFirst has heard no verdict of trial {trial.trial_id}, for no scheduler sees the posterior: "
            f"report what the monitor returns, as in tune.report(monitor.epoch(mu, logvar, …)); the result has "
            f"{has or 'none of its names'}"
        )
