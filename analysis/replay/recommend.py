"""Which scheduler is right for sweeps like the recorded ones, at equal spend.

DRAWS times a part of the trials is drawn, in some order, and replayed under every scheduler; all see the same draws.
Told is the regret when so many of the epochs of the drawn trials are spent (`analysis.replay.cells`). Recommended is
who needs the fewest epochs until the best is found, that is, until a trial has finished within 1 % of the range of
it; a draw in which it never is counts as all epochs. Whether two schedulers differ is told by the paired differences
of their draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.replay.cells import SHARES, Pool, Replicate, mean_and_interval, replicates
from analysis.replay.curves import Curves
from analysis.replay.regret import Truth
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.schedulers import Spec

DRAWS = 50
PART = 0.8  # of the recorded trials in a draw: of orders of the same trials the intervals would be far too narrow
MOST = 60  # trials in a draw, so that a replay takes seconds
LEAST = 12  # complete trials
MOST_LEFT_OUT = 0.1  # of the trials; what is left of more is the choice of the scheduler that recorded them

Estimate = tuple[float, float, float]  # mean, and the ends of its 95 % bootstrap interval over the draws


@dataclass(frozen=True)
class Standing:
    """A scheduler over the draws. All are parts of 1."""

    scheduler: str
    regret: tuple[Estimate, ...]  # at SHARES
    needed: Estimate  # of all epochs, until the best is found; all of them where it is not
    behind: Estimate  # the same, less what the recommended needs
    missed: float  # share of the draws in which the best was not found

    @property
    def equal(self) -> bool:
        """True if the draws do not tell it from the recommended."""
        return self.behind[1] <= 0.0


@dataclass(frozen=True)
class Recommendation:
    """The schedulers, the recommended one first; without any, `refused` says why and what is needed."""

    trials: int  # in a draw
    workers: int
    draws: int
    standings: tuple[Standing, ...] = ()
    refused: str = ""

    @property
    def sentence(self) -> str:
        """What to run, what does as well, and what the others cost."""
        if self.refused:
            return f"No scheduler is recommended: {self.refused}."
        first, *others = self.standings
        equal = [one.scheduler for one in others if one.equal]
        missing = [one.scheduler for one in others if not one.equal and one.missed > 0.5]
        costly = [
            f"{one.scheduler} {one.needed[0] / first.needed[0]:.1f} ×"
            for one in others
            if not one.equal and one.missed <= 0.5
        ]
        parts = [f"For sweeps like these at {self.workers} slots: --scheduler {first.scheduler}"]
        if equal:
            parts.append(f"{_listed(equal)} {'is' if len(equal) == 1 else 'are'} not distinguishable from it")
        if costly:
            parts.append(f"until the best is found, {_listed(costly)} the epochs")
        if missing:
            parts.append(f"in most draws {_listed(missing)} never {'finds' if len(missing) == 1 else 'find'} it")
        return "; ".join(parts) + "."


def recommend(
    curves: Curves,
    truth: Truth,
    specs: Sequence[Spec],
    workers: int,
    advance: Callable[[], None] = lambda: None,
    draws: int = DRAWS,
) -> Recommendation:
    """The best of the schedulers `specs` for sweeps of PART of the trials, on `workers` slots.

    Args:
        curves: complete trials.
        truth: what they come to.
        specs: at least one.
        workers: trials at once.
        advance: called after each scheduler.
        draws: how many.
    """
    trials = min(MOST, math.ceil(PART * len(curves)))
    if refused := _refusal(curves, truth):
        return Recommendation(trials, workers, draws, refused=refused)
    found: dict[str, list[Replicate]] = {}
    for spec in specs:
        found[spec.text] = replicates(_pool(spec, curves, truth), spec.make, trials, workers, draws)
        advance()
    return Recommendation(trials, workers, draws, _standings(found))


def _pool(spec: Spec, curves: Curves, truth: Truth) -> Pool:
    """The trials as they are judged under the settings of a scheduler."""
    health = spec.settings.health(curves.health)
    return Pool("", replace(curves, health=health), truth, JudgedVerdicts(curves, health), foretold=None)


def _standings(found: Mapping[str, list[Replicate]]) -> tuple[Standing, ...]:
    """From who needs the fewest epochs to who needs the most."""
    needed = {name: np.array([min(one.spent_to_found, 1.0) for one in of_one]) for name, of_one in found.items()}
    order = sorted(needed, key=lambda name: float(needed[name].mean()))
    return tuple(
        Standing(
            name,
            tuple(mean_and_interval([one.regret[at] for one in found[name]]) for at in range(len(SHARES))),
            mean_and_interval(needed[name]),
            mean_and_interval(needed[name] - needed[order[0]]),
            float(np.mean([math.isinf(one.spent_to_found) for one in found[name]])),
        )
        for name in order
    )


def _refusal(curves: Curves, truth: Truth) -> str:
    """Why the trials are too few to compare schedulers; '' if they are not."""
    record = "record a sweep whose trials all run to their end"
    trials, left_out = len(curves), curves.left_out
    if left_out > MOST_LEFT_OUT * (trials + left_out):
        return (
            f"{left_out} of {trials + left_out} trials did not run to their end, and how they would have gone on is "
            f"unknown; {record}"
        )
    if trials < LEAST:
        return f"{trials} trials ran to their end, expected at least {LEAST}; {record}, or name several"
    scores = truth.score[truth.ranked]
    if len(scores) < 3 or scores.max() <= np.median(scores):
        required = " and meets what is required" if curves.requirements else ""
        return f"{len(scores)} of {trials} trials end healthy{required}, expected 3 of different worth"
    return ""


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
