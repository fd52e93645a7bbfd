"""The default: the health verdict in front, then ASHA by promotion until every trial has begun, then the trial with
the best predicted end, until no other has a plausible way to the best.

Nobody is stopped for a low score alone. A trial waits at its checkpoint after every leg, unless it would be taken up
again at once: from rung to rung while there are trials to begin, every LEG of the budget afterwards. It is given up
when its best score and MARGIN times what finished trials gained from that epoch on, but for a share `risk` of them,
do not reach the best that has finished. How often that is wrong is measured, not guaranteed. What does not meet the
requirements of the sweep is never the best.

Of several metrics each has its predicted end. Who is promoted or goes on is chosen front by front (`fronts`), and a
trial is given up only where its plausible end, taken in every metric, is dominated by a finished trial: so the front
is kept.

Earlier sweeps on the same data may foretell the places of trials. Once their word agrees with the scores that trials
show at the first rung (`agreement`), who waits goes before new trials until one has finished: the first good result
comes early. Without agreement, and after it, nothing of what is foretold counts.

A condemned trial waits at once, behind all others, and is taken up at the end only if condemned trials that trained
on have been seen to recover often enough, or too few have been seen. NUMERIC stops at once: nothing is left to train.
Controls, drawn before they begin, train to their end whatever they are condemned or given up for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sweeps.schedulers.agreement import agrees
from sweeps.schedulers.asha import AshaSettings, Rung
from sweeps.schedulers.base import GIVEN_UP, GO_ON, RUNG, Action, Decision, Row, Scheduler, Task, stop
from sweeps.schedulers.fronts import Scores, dominates, finite, front_of, ordered
from sweeps.schedulers.gains import Gains
from sweeps.schedulers.rungs import cohort, milestones
from sweeps.schedulers.settings import FROM_ONE, SHARE, setting
from trainables.health import HealthConfig, Verdict

LEG = 0.05  # of the budget, once every trial has begun
LEAST_LEG = 2  # epochs
MARGIN = 1.5  # times the gain of the finished trials
RISK, MOST_RISK = 5.0, 0.25  # risk = min(MOST_RISK, RISK / trials of the sweep)
LEAST_FINISHED = 4  # before anybody is given up
DEVIATIONS = 1.0  # of the gains to come, added to the predicted end: who has the longer way is known less well
SICK_BEFORE = 10  # condemned trials of other sweeps that stayed sick; 43 of 43 did in `analysis/recorded`


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
        self._ends = sorted({*self.rungs, *range(self.leg, task.epochs, self.leg)})  # of legs
        self.gains = [Gains(task.epochs) for _ in task.objectives]
        self._at: dict[tuple[int, str], Rung] = {}  # by epoch and cohort
        self._curves: dict[int, list[Scores]] = {}  # of every trial that has begun: the best so far in every metric
        self._worth: dict[int, Scores] = {}  # of the epoch with the best first metric that meets what is required
        self._heard_to: dict[int, int] = {}  # the epoch up to which `gains` knows a curve
        self._until: dict[int, int] = {}  # the epoch that ends a trial's leg
        self._controls: set[int] = set()
        self._kept: set[int] = set()  # controls that would have been stopped: they train to their end
        self._sick: dict[int, Decision] = {}  # condemned, with the words of the verdict
        self._ever_sick: set[int] = set()
        self._recovered: list[Scores] = []  # what the condemned that trained on were worth; () if they ended sick
        self._front: list[Scores] = []  # of those that finished healthy and as required; of one metric the best
        self._unexamined: set[int] = set()  # waiting trials that may have to be given up
        self._unstarted = self._proposed_unstarted = 0

    def start(self, trial: int, control: bool = False) -> None:
        """A leg begins."""
        self._unstarted = self._proposed_unstarted
        if control:
            self._controls.add(trial)
        if trial not in self._curves:
            self._curves[trial], self._until[trial] = [], self.rungs[0]
        elif trial in self.paused:
            self._until[trial] = self._next_stop(trial)
        super().start(trial, control)

    def decide(self, trial: int, row: Row) -> Decision:
        """The verdict first; at the end of a leg wait, or go on if nobody has the better prospects."""
        self._extend(trial, row)
        if row.verdict.condemned:
            if (decision := self._condemned(trial, row)) is not None:
                return decision
        else:
            self._sick.pop(trial, None)
        if trial in self._kept or row.epoch < self._until[trial]:
            return GO_ON
        return self._end_of_leg(trial, row)

    def end(self, trial: int, row: Row) -> Decision:
        """It has trained to its end; one that is condemned there is stopped in name unless it is a control."""
        self._extend(trial, row)
        curve = self._hear(trial)
        healthy = row.verdict is Verdict.HEALTHY and finite(curve[-1])
        worth = self._worth.get(trial, ()) if healthy else ()
        if trial in self._ever_sick:
            self._recovered.append(worth)
        if healthy:
            for gains, values in zip(self.gains, zip(*curve, strict=True), strict=True):
                gains.finish(values)
            if worth:
                self._front = front_of([*self._front, worth])
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
        found = [(trial, self._give_up(trial, why)) for trial in sorted(examined) if (why := self._no_way(trial))]
        for trial, decision in found:
            if decision.stop:
                self.leave(trial)
        return found

    def pauses(self, trial: int) -> list[int]:
        """The ends of all its legs."""
        trained = len(self._curves[trial])
        return [epoch for epoch in self._ends if epoch > trained]

    def _condemned(self, trial: int, row: Row) -> Decision | None:
        """What becomes of a trial after an epoch in which it was condemned; None if it runs on."""
        known = trial in self._sick  # then it was taken up all the same
        self._sick[trial] = stop(row.verdict, row.verdict_detail)
        self._ever_sick.add(trial)
        self.forget(trial)
        if trial in self._kept or (known and row.verdict is not Verdict.NUMERIC):
            return None
        self._hear(trial)
        if trial in self._controls:
            self._kept.add(trial)
            return replace(self._sick[trial], action=Action.KEEP)
        return (
            self._sick[trial] if row.verdict is Verdict.NUMERIC else replace(self._sick[trial], action=Action.PAUSE)
        )

    def _end_of_leg(self, trial: int, row: Row) -> Decision:
        self._hear(trial)
        told = f"{self.task.named(row.scores)} at epoch {row.epoch}"
        if trial in self._sick:
            return replace(self._sick[trial], action=Action.PAUSE)
        if row.epoch in self.rungs:
            self._at.setdefault((row.epoch, cohort(row)), Rung()).reached(trial, row.scores)
        if why := self._no_way(trial):
            return self._give_up(trial, why)
        if self._choice(self._unstarted, {*self.paused, trial}) == trial:
            self._until[trial] = self._next_stop(trial)
            return Decision(Action.GO_ON, RUNG, f"{told}: the best prospects of {len(self.paused) + 1}")
        return Decision(Action.PAUSE, RUNG, f"{told}: others have the better prospects")

    def _next_stop(self, trial: int) -> int:
        """The epoch that ends the next leg: the next rung, or LEG further once every trial has begun."""
        trained, epochs = len(self._curves[trial]), self.task.epochs
        if trial in self._kept:
            return epochs
        if self._unstarted:
            return next(rung for rung in self.rungs if rung > trained)
        return min(self.leg * (trained // self.leg + 1), epochs)

    def _choice(self, unstarted: int, waiting: Iterable[int]) -> int | None:
        """Who of the waiting is to be trained next; None for a new trial, or nobody."""
        waiting = set(waiting)
        fit = waiting - self._kept - set(self._sick)
        if unstarted and not (fit and self._is_foretold()):
            found = [self._promotable(epoch, rung, fit) for (epoch, _), rung in self._at.items()]
            return self._most_promising(trial for trial in found if trial is not None)
        if fit:
            return self._most_promising(fit)
        if kept := waiting & self._kept:
            return min(kept)
        if (sick := waiting & set(self._sick)) and self._may_recover():
            return self._most_promising(sick)
        return None

    def _is_foretold(self) -> bool:
        """True while nobody has finished, if the foretold places agree with the first metric at the first rung, of
        which a trial that was ever condemned has the lowest."""
        if self.gains[0].finished or not self.foretold:
            return False
        shown = dict.fromkeys(self._ever_sick, -math.inf)
        for (epoch, _), rung in self._at.items():
            if epoch == self.rungs[0]:
                shown |= {trial: scores[0] for trial, scores in rung.scores.items()}
        known = [trial for trial in shown if trial in self.foretold and not math.isnan(shown[trial])]
        return agrees([self.foretold[trial] for trial in known], [shown[trial] for trial in known])

    def _promotable(self, epoch: int, rung: Rung, fit: set[int]) -> int | None:
        return rung.promotable(self.settings.eta, lambda trial: trial in fit and self._stands(trial, epoch))

    def _stands(self, trial: int, epoch: int) -> bool:
        """True if that rung is the last that the trial has reached."""
        return epoch <= len(self._curves[trial]) < next(rung for rung in [*self.rungs, math.inf] if rung > epoch)

    def _most_promising(self, trials: Iterable[int]) -> int | None:
        """Who has the best predicted end; where two are equal, the older."""
        predicted = {trial: self.predicted(trial) for trial in trials}
        known = {trial: scores for trial, scores in predicted.items() if finite(scores)}
        return ordered(known)[0] if known else min(predicted, default=None)

    def predicted(self, trial: int) -> Scores:
        """The predicted end of a trial in every metric: its best so far, what trials gain from that epoch on, and a
        deviation of that."""
        curve = self._curves[trial]
        to_go = [gains.to_go(len(curve)) for gains in self.gains]
        return tuple(
            best + mean + DEVIATIONS * deviation for best, (mean, deviation) in zip(curve[-1], to_go, strict=True)
        )

    def _give_up(self, trial: int, why: str) -> Decision:
        if trial not in self._controls:
            return stop(GIVEN_UP, why)
        self._kept.add(trial)
        return Decision(Action.KEEP, GIVEN_UP, why)

    @property
    def risk(self) -> float:
        """The chance at which a way to the best is no longer plausible."""
        return min(MOST_RISK, RISK / (len(self._curves) + self._unstarted))

    def _no_way(self, trial: int) -> str:
        """Why the trial cannot plausibly become the best, or one of the front; '' if it can."""
        finished = self.gains[0].finished
        if finished < LEAST_FINISHED:
            return ""
        curve = self._curves[trial]
        epoch = len(curve)
        gained = [gains.largest(epoch, self.risk) for gains in self.gains]
        reach = tuple(best + MARGIN * max(gain, 0.0) for best, (gain, _) in zip(curve[-1], gained, strict=True))
        better = next((point for point in self._front if dominates(point, reach)), None)
        if better is None:
            return ""
        task, trials = self.task, f"{finished} trials that finished healthy"
        if task.further:
            return (
                f"{task.named(curve[-1])} at best: with {MARGIN:g} times what {trials} gained from epoch {epoch} on "
                f"{task.named(reach)}, which a finished trial dominates ({task.named(better)})"
            )
        ((gain, more),) = gained
        return (
            f"{task.metric} at best {task.told(curve[-1][0])}: needs {better[0] - curve[-1][0]:.3g} more in "
            f"{task.epochs - epoch} epochs; of {trials} {more or 'none'} gained more than {gain:.3g} from epoch "
            f"{epoch} on"
        )

    def _may_recover(self) -> bool:
        """Whether it is plausible that a condemned trial ends healthy and best: as `_no_way`, of trials that trained
        on after they were condemned, in this sweep and before."""
        outcomes = SICK_BEFORE + len(self._recovered)
        best = sum(worth in self._front for worth in self._recovered)
        return math.ceil((outcomes + 1) * (1.0 - self.risk) - 1e-9) > outcomes - best

    def _extend(self, trial: int, row: Row) -> None:
        curve, scores = self._curves[trial], row.scores
        before = curve[-1] if curve else (-math.inf,) * len(scores)
        curve.append(
            tuple(max(best, one) if math.isfinite(one) else best for best, one in zip(before, scores, strict=True))
        )
        if finite(scores) and row.met and (trial not in self._worth or scores[0] > self._worth[trial][0]):
            self._worth[trial] = scores

    def _hear(self, trial: int) -> list[Scores]:
        """The trial's curve, of which the gains now know all."""
        curve = self._curves[trial]
        for gains, values in zip(self.gains, zip(*curve, strict=True), strict=True):
            gains.hear(values, self._heard_to.get(trial, 0) + 1)
        self._heard_to[trial] = len(curve)
        return curve
