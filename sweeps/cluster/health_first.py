"""The health verdict in front of any scheduler of Ray Tune.

The scheduler behind is told every healthy epoch, as if there were no verdict. It is not told of one that looks sick,
so that this sets no cutoff; a trial that ends so is removed, to it. Population based training alone hears everything
and stops whom it likes, for it gives a sick trial the weights of a healthy one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, PopulationBasedTraining, TrialScheduler

from sweeps.recorder import Recorder, RecorderError
from sweeps.records.outcomes import Reason, Status
from trainables.health import HealthConfig, Verdict, is_control

SEED = 0  # of the choice of controls


@dataclass
class _Known:
    """A trial.

    Args:
        number: from 1, in the order in which they were added.
        control: it runs on if condemned.
        unheard: it was condemned: the scheduler behind hears no more of it.
        shown: the last epoch was told to the scheduler behind.
    """

    number: int
    control: bool
    unheard: bool = False
    shown: bool = True
    epoch: int = 0


class HealthFirst(TrialScheduler):
    """Stops condemned trials, and leaves the others to the scheduler behind.

    Args:
        behind: any scheduler of Ray Tune; None lets all healthy trials run to their end. Its metric and mode are
            those of `TuneConfig`.
        folder: where journal, epochs and record of the sweep go, for `python -m analysis report FOLDER` and
            `python -m sweeps.tracking FOLDER`; None for none.
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
        self._folder, self._epochs, self._health = folder, epochs, health or HealthConfig()
        self._passes_all = isinstance(self.behind, PopulationBasedTraining)
        self._known: dict[str, _Known] = {}
        self._recorder: Recorder | None = None

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
            RecorderError: there is a folder but no metric, or the folder has a sweep already.
        """
        if self._folder is not None and self._recorder is None:
            if not metric or not mode:
                raise RecorderError(
                    "HealthFirst(folder=…) needs what trials are ranked by: TuneConfig(metric=…, mode=…), as in "
                    'metric="val/nelbo", mode="min"'
                )
            name = f"HealthFirst({type(self.behind).__name__})"
            self._recorder = Recorder(
                Path(self._folder), epochs=self._epochs, metric=metric, mode=mode, health=self._health, scheduler=name
            )
        return bool(self.behind.set_search_properties(metric, mode, **spec))

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Number it; one that Ray requeues keeps its number."""
        if trial.trial_id not in self._known:
            number = len(self._known) + 1
            known = self._known[trial.trial_id] = _Known(number, is_control(SEED, number, self._health))
            if self._recorder:
                self._recorder.suggested(number, trial.config, known.control)
        self.behind.on_trial_add(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """As the scheduler behind chooses."""
        trial: Trial | None = self.behind.choose_trial_to_run(tune_controller)
        if trial is not None and self._recorder:
            self._recorder.started(self._known[trial.trial_id].number)
        return trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """The verdict, then what stands behind it.

        Raises:
            RecorderError: the result has no verdict.
        """
        known, verdict = self._known[trial.trial_id], _verdict(trial, result)
        known.epoch = int(result["epoch"])
        if self._recorder:
            self._recorder.epoch(known.number, result, float(result["time_total_s"]), known.control)
        if verdict.condemned and not self._passes_all:
            known.unheard = True
            if not known.control:
                known.shown = False
                self._end(known, Status.STOPPED, Reason(verdict.value), result["verdict_detail"])
                return str(TrialScheduler.STOP)
        known.shown = self._passes_all or (verdict is Verdict.HEALTHY and not known.unheard)
        if not known.shown:
            return str(TrialScheduler.STOP if known.epoch >= self._epochs else TrialScheduler.CONTINUE)
        action = str(self.behind.on_trial_result(tune_controller, trial, result))
        told = f"{type(self.behind).__name__} at epoch {known.epoch}"
        if action == TrialScheduler.STOP and known.epoch < self._epochs:
            self._end(known, Status.STOPPED, Reason.RUNG, f"stopped by {told}")
        elif action == TrialScheduler.PAUSE and self._recorder:
            self._recorder.paused(known.number, Reason.RUNG, f"paused by {told}")
        return action

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Its end, by a decision or by itself."""
        known = self._known[trial.trial_id]
        self._end(known, Status.FINISHED)
        if known.shown:
            self.behind.on_trial_complete(tune_controller, trial, result)
        else:
            self.behind.on_trial_remove(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """It was stopped while it waited."""
        known = self._known[trial.trial_id]
        if known.epoch:
            detail = f"stopped by {type(self.behind).__name__} while it waited after epoch {known.epoch}"
            self._end(known, Status.STOPPED, Reason.RUNG, detail)
        else:
            self._end(known, Status.INTERRUPTED, Reason.SIGNAL, "removed before it began")
        self.behind.on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """It threw, or lost its worker."""
        known = self._known[trial.trial_id]
        error = Path(trial.error_file).read_text().strip() if trial.error_file else ""
        self._end(known, Status.FAILED, Reason.ERROR, next(iter(error.splitlines()[-1:]), "no cause given"))
        self.behind.on_trial_error(tune_controller, trial)

    def debug_string(self) -> str:
        """For Ray's console."""
        return f"HealthFirst: {sum(known.unheard for known in self._known.values())} condemned. " + str(
            self.behind.debug_string()
        )

    def save(self, checkpoint_path: str) -> None:
        """Of the scheduler behind."""
        self.behind.save(checkpoint_path)

    def restore(self, checkpoint_path: str) -> None:
        """Of the scheduler behind."""
        self.behind.restore(checkpoint_path)

    def close(self) -> None:
        """The search is over; needed only where the process goes on."""
        if self._recorder:
            self._recorder.close()

    def _end(self, known: _Known, status: Status, reason: Reason = Reason.NONE, detail: str = "") -> None:
        if self._recorder:
            self._recorder.ended(known.number, status, reason, detail)


def _verdict(trial: Trial, result: Mapping[str, Any]) -> Verdict:
    if "verdict" not in result or "epoch" not in result:
        has = ", ".join(sorted(name for name in result if "/" in name or name in ("loss", "epoch", "verdict")))
        raise RecorderError(
            f"HealthFirst has heard no verdict of trial {trial.trial_id}, for no scheduler sees the posterior: "
            f"report what the monitor returns, as in tune.report(monitor.epoch(mu, logvar, …)); the result has "
            f"{has or 'none of its names'}"
        )
    return Verdict(result["verdict"])
