"""The default: the health verdict in front, then ASHA by promotion until every trial has begun, then the trial with
the best predicted end, until no other has a plausible way to the best.

Nobody is stopped for a low score alone. A trial waits at its checkpoint after every leg, from rung to rung while there
are trials to begin, LEG of the budget afterwards, unless it would be taken up again at once. It is given up when its
best score and 1.5 times what finished trials gained from that epoch on, but for a share `risk` of them, do not reach
the best that has finished: then it has no plausible way to the best. How often that is wrong is measured
(`benchmarks/search.py`), not guaranteed.

A condemned trial waits at once, behind all others, and is taken up at the end only if condemned trials that trained on
have been seen to recover often enough, or too few have been seen. NUMERIC stops at once: nothing is left to train.
Controls, drawn before they begin, train to their end whatever they are condemned or given up for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sweeps.schedulers.asha import AshaSettings, Rung
from sweeps.schedulers.base import GO_ON, RUNG, Action, Decision, Row, Scheduler, Task, stop
from sweeps.schedulers.gains import Gains, best_so_far
from sweeps.schedulers.rungs import milestones
from sweeps.schedulers.settings import FROM_ONE, SHARE, setting
from trainables.health import HealthConfig, Verdict

LEG = 0.05  # of the budget, once every trial has begun
LEAST_LEG = 2  # epochs
MARGIN = 1.5  # times the gain of the finished trials
RISK, MOST_RISK = 5.0, 0.25  # risk = min(MOST_RISK, RISK / trials of the sweep)
LEAST_FINISHED = 4  # before anybody is given up
DEVIATIONS = 1.0  # of the gains to come, added to the predicted end: who has the longer way is known less well
SICK_BEFORE = 10  # condemned trials of other sweeps that stayed sick; 39 of 39 in `analysis/recorded`
RISING = "rising KL"  # a cohort


@dataclass(frozen=True)
class HealthAshaSettings(AshaSettings):
    """The rungs and the verdict. What is not given is as in the sweep's health thresholds."""

    patience: int | None = setting(FROM_ONE, None)
    """Sick evaluations in a row before the verdict condemns."""
    control: float | None = setting(SHARE, None)
    """The share of the condemned and given up that keep running."""

    def health(self, thresholds: HealthConfig) -> HealthConfig:
        """With the grace, the patience and the share of controls that are given."""
        return replace(
            thresholds,
            grace_share=thresholds.grace_share if self.grace is None else self.grace,
            consecutive=self.patience or thresholds.consecutive,
            control_share=thresholds.control_share if self.control is None else self.control,
        )


class HealthAsha(Scheduler[HealthAshaSettings]):
    """Health first, then who can still become the best."""

    name = "health-asha"
    settings_type = HealthAshaSettings

    def __init__(self, task: Task, settings: HealthAshaSettings | None = None) -> None:
        super().__init__(task, settings)
        first = min(max(task.first_rung(self.settings.grace), LEAST_LEG), task.epochs)
        self.rungs = [*milestones(task.epochs, self.settings.eta, first), task.epochs]
        self.leg = max(LEAST_LEG, math.ceil(LEG * task.epochs))
        self.gains = Gains(task.epochs)
        self._at: dict[tuple[int, str], Rung] = {}  # by epoch and cohort
        self._scores: dict[int, list[float]] = {}  # of every trial that has begun
        self._heard_to: dict[int, int] = {}  # the epoch up to which `gains` knows a trial
        self._until: dict[int, int] = {}  # the epoch that ends a trial's leg
        self._controls: set[int] = set()
        self._kept: set[int] = set()  # controls that would have been stopped: they train to their end
        self._sick: dict[int, Decision] = {}  # condemned, with the words of the verdict
        self._ever_sick: set[int] = set()
        self._recovered: list[float] = []  # what the condemned that trained on were worth; −∞ if they ended sick
        self._best = -math.inf  # of those that finished healthy
        self._unexamined: set[int] = set()  # waiting trials that may have to be given up
        self._unstarted = self._proposed_unstarted = 0

    def start(self, trial: int, control: bool = False) -> None:
        """A leg begins."""
        self._unstarted = self._proposed_unstarted
        if control:
            self._controls.add(trial)
        if trial not in self._scores:
            self._scores[trial], self._heard_to[trial], self._until[trial] = [], 0, self.rungs[0]
        elif trial in self.paused:
            self._until[trial] = self._next_stop(trial)
        super().start(trial, control)

    def decide(self, trial: int, row: Row) -> Decision:
        """The verdict first; at the end of a leg wait, or go on if nobody has the better prospects."""
        scores = self._scores.setdefault(trial, [])
        scores.append(row.score)
        if row.verdict.condemned:
            if (decision := self._condemned(trial, row)) is not None:
                return decision
        else:
            self._sick.pop(trial, None)
        if trial in self._kept or row.epoch < self._until.setdefault(trial, self.rungs[0]):
            return GO_ON
        return self._end_of_leg(trial, row)

    def end(self, trial: int, row: Row) -> Decision:
        """It has trained to its end; one that is condemned there is stopped in name unless it is a control."""
        self._scores.setdefault(trial, []).append(row.score)
        curve = self._hear(trial)
        healthy = row.verdict is Verdict.HEALTHY and math.isfinite(curve[-1])
        if trial in self._ever_sick:
            self._recovered.append(curve[-1] if healthy else -math.inf)
        if healthy:
            self.gains.finish(curve)
            self._best = max(self._best, curve[-1])
            self._unexamined.update(self.paused)
        if row.verdict.condemned and trial not in self._controls:
            return stop(row.verdict, row.verdict_detail)
        return GO_ON

    def forget(self, trial: int) -> None:
        """It stands at no rung."""
        for rung in self._at.values():
            rung.forget(trial)

    def resume(self, unstarted: int) -> int | None:
        """While trials are to begin, who of the best 1/η of a rung has the best predicted end. Then who has it of all
        that wait; then controls; at last the condemned, as long as it is plausible that they recover."""
        self._proposed_unstarted = unstarted
        return self._choice(unstarted, self.paused)

    def given_up(self) -> list[tuple[int, Decision]]:
        """Who waits and has no plausible way to the best."""
        examined = (self._unexamined & set(self.paused)) - self._kept - set(self._sick)
        self._unexamined.clear()
        given_up = [(trial, stop(RUNG, why)) for trial in sorted(examined) if (why := self._no_way(trial))]
        for trial, _ in given_up:
            self.leave(trial)
        return given_up

    def next_pause(self, trial: int) -> int:
        """The end of its leg."""
        return self.task.epochs if trial in self._kept else self._until[trial]

    def _condemned(self, trial: int, row: Row) -> Decision | None:
        """What becomes of a trial after an epoch in which it was condemned; None if it runs on."""
        known = trial in self._sick
        self._sick[trial] = stop(row.verdict, row.verdict_detail)
        self._ever_sick.add(trial)
        if trial in self._controls:
            self._kept.add(trial)
            self.forget(trial)
            return None
        if row.verdict is Verdict.NUMERIC:
            self.forget(trial)
            return self._sick[trial]
        if known:
            return None  # it was taken up although condemned
        self.forget(trial)
        self._hear(trial)
        return replace(self._sick[trial], action=Action.PAUSE)

    def _end_of_leg(self, trial: int, row: Row) -> Decision:
        self._hear(trial)
        told = f"{self.task.metric} {self.task.told(row.score)} at epoch {row.epoch}"
        if trial in self._sick:
            return replace(self._sick[trial], action=Action.PAUSE)
        if row.epoch in self.rungs:
            cohort = RISING if row.kl_rising else ""
            self._at.setdefault((row.epoch, cohort), Rung()).reached(trial, row.score)
        if why := self._no_way(trial):
            return stop(RUNG, why)
        if trial in self._kept:
            return GO_ON
        if self._choice(self._unstarted, {*self.paused, trial}) == trial:
            self._until[trial] = self._next_stop(trial)
            return Decision(Action.GO_ON, RUNG, f"{told}: the best prospects of {len(self.paused) + 1}")
        return Decision(Action.PAUSE, RUNG, f"{told}: others have the better prospects")

    def _next_stop(self, trial: int) -> int:
        """The epoch that ends the next leg: the next rung, or LEG further once every trial has begun."""
        trained, epochs = len(self._scores[trial]), self.task.epochs
        if trial in self._kept:
            return epochs
        if self._unstarted:
            return next(rung for rung in self.rungs if rung > trained)
        return min(trained + self.leg, epochs)

    def _choice(self, unstarted: int, waiting: Iterable[int]) -> int | None:
        """Who of the waiting is to be trained next; None for a new trial, or nobody."""
        waiting = set(waiting)
        fit = waiting - self._kept - set(self._sick)
        if unstarted:
            eta = self.settings.eta
            found = {rung.promotable(eta, lambda trial: trial in fit and self._stands(trial, at[0])) for at, rung in self._at.items()}  # noqa: B023, E501
            return max(found - {None}, key=self.predicted, default=None)
        if fit:
            return max(fit, key=self.predicted)
        if kept := waiting & self._kept:
            return min(kept)
        if (sick := waiting & set(self._sick)) and self._may_recover():
            return max(sick, key=self.predicted)
        return None

    def _stands(self, trial: int, epoch: int) -> bool:
        """True if that rung is the last that the trial has reached."""
        return epoch <= len(self._scores[trial]) < next(rung for rung in [*self.rungs, math.inf] if rung > epoch)

    def predicted(self, trial: int) -> tuple[float, int]:
        """The predicted end of a trial and, where two are equal, the older one: its best score, what trials gain from
        that epoch on, and a deviation of that."""
        curve = best_so_far(self._scores[trial])
        mean, deviation = self.gains.to_go(len(curve))
        return curve[-1] + mean + DEVIATIONS * deviation, -trial

    @property
    def risk(self) -> float:
        """The chance at which a way to the best is no longer plausible."""
        return min(MOST_RISK, RISK / (len(self._scores) + self._unstarted))

    def _no_way(self, trial: int) -> str:
        """Why the trial cannot plausibly become the best; '' if it can, or is kept as a control all the same."""
        if self.gains.finished < LEAST_FINISHED:
            return ""
        curve = best_so_far(self._scores[trial])
        epoch, missing = len(curve), self._best - curve[-1]
        gain, more = self.gains.largest(epoch, self.risk)
        if missing <= MARGIN * max(gain, 0.0):
            return ""
        if trial in self._controls:
            self._kept.add(trial)
            return ""
        task, best = self.task, max(gain, 0.0)
        all_but = f"all but {more} " if more else ""
        return (
            f"{task.metric} at best {task.told(curve[-1])}: needs {missing:+.3g} in {task.epochs - epoch} epochs; of "
            f"{self.gains.finished} trials that finished healthy, {all_but}gained at most {best:.3g} from epoch {epoch} on"
        )

    def _may_recover(self) -> bool:
        """Whether it is plausible that a condemned trial ends healthy and best: as `_no_way`, of trials that trained on
        after they were condemned, in this sweep and before."""
        outcomes = sorted([-math.inf] * SICK_BEFORE + self._recovered)
        place = math.ceil((len(outcomes) + 1) * (1.0 - self.risk) - 1e-9)
        return place > len(outcomes) or outcomes[place - 1] > self._best

    def _hear(self, trial: int) -> list[float]:
        """The trial's best scores so far, of which the gains now know all."""
        curve = best_so_far(self._scores[trial])
        self.gains.hear(curve, self._heard_to.get(trial, 0) + 1)
        self._heard_to[trial] = len(curve)
        return curve
