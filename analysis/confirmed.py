"""What further seeds say of a search's best configurations: how good each is, which is best, and how sure that is.

The scores are those on the test part, where there is one, of the weights of each trial's best epoch; sick trials
count with theirs. An interval covers what seeds change (weights, noise, order, the split of training and
validation), not what another test part would.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis import ablation, formats, names, tables
from analysis.ablation import Effect, trials_of
from analysis.posterior import best_probabilities
from analysis.sweep import Sweep, Trial, counts, load
from sweeps import paired
from sweeps.ablation import Variant
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Origin, Outcome, Status


@dataclass(frozen=True)
class Configuration:
    """A configuration with further seeds.

    Args:
        name: of the variant.
        searched: the trial of the search that trained it to the end; None where there is none.
        trials: with further seeds.
        scores: by seed, of the trials that trained to their end.
        mean, low, high: of the scores, with Student's bounds at 95 %, of this one by itself; NaN with too few.
        probability: that its mean is the highest; NaN where it cannot be said.
        effect: what it changes in the documented configuration, in pairs of the same seed; None for that one.
    """

    name: str
    searched: Trial | None
    trials: list[Trial]
    scores: dict[int, float] = field(default_factory=dict)
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    probability: float = math.nan
    effect: Effect | None = None

    @property
    def documented(self) -> bool:
        """True for the documented configuration."""
        return self.name == Origin.DOCUMENTED

    @property
    def healthy(self) -> int:
        """With how many seeds it ended healthy."""
        return sum(trial.healthy for trial in self.trials)

    @property
    def ends(self) -> dict[Outcome, int]:
        """With how many seeds it ended otherwise."""
        return counts([trial for trial in self.trials if trial.record.status.ended and not trial.healthy])


@dataclass(frozen=True)
class Draw:
    """A configuration that the seeds do not tell from the leader. `difference`: how much better the leader's mean is;
    `detectable`: what would have been found with probability `paired.POWER`, NaN where all differences are equal.
    """

    other: Configuration
    difference: float
    seeds: int
    detectable: float


@dataclass(frozen=True)
class Confirmed:
    """The confirmation of a search.

    Args:
        sweep: that trained the configurations again.
        metric: they are told by.
        seeds: of each.
        configurations: the best first, by their means.
        leader: the one with the best mean over the seeds that all have; None before there are enough.
        draws: with the leader.
        unfinished: trials that have not ended.
    """

    sweep: Sweep
    metric: str
    seeds: int
    configurations: list[Configuration]
    leader: Configuration | None
    draws: list[Draw]
    unfinished: int

    @property
    def winner(self) -> Trial | None:
        """Of the leader the healthy trial with the best validation score: the test part chooses no weights."""
        healthy = [trial for trial in self.leader.trials if trial.ranked] if self.leader else []
        return next(iter(tables.ranked(self.sweep.objectives, healthy)), None)


def confirmed(search: Sweep) -> Confirmed | None:
    """The confirmation of a search; None if there is none.

    Raises:
        analysis.sweep.SweepError: its record cannot be read.
    """
    folder = SweepFolder(search.folder).confirmation
    if not folder.exists:
        return None
    sweep = load(folder.path)
    design, metric, sign = ablation.design(sweep), sweep.record.config.told_by, sweep.objectives[0].sign
    assert design is not None
    effects = {step.after: found.get(metric) for step, found in ablation.steps(sweep, [metric])}
    shown = [_configuration(search, sweep, variant, effects.get(variant.name)) for variant in design.variants]
    compared, seeds = _comparable(shown)
    table = sign * np.array([[each.scores[seed] for each in compared] for seed in seeds])  # (seeds, configurations)
    chances = best_probabilities(table) if len(compared) > 1 else [math.nan] * len(compared)
    compared = [replace(each, probability=float(p)) for each, p in zip(compared, chances, strict=True)]
    best = int(table.mean(axis=0).argmax()) if compared else None
    rest = [each for each in shown if each.name not in {one.name for one in compared}]
    return Confirmed(
        sweep,
        metric,
        design.seeds,
        sorted([*compared, *rest], key=lambda each: -sign * each.mean if each.scores else math.inf),
        None if best is None else compared[best],
        [] if best is None else _draws(compared, table, best),
        design.trials - sum(trial.record.status.ended for trial in sweep.trials),
    )


def verdicts(found: Confirmed) -> list[str]:
    """What the confirmation says, in sentences."""
    lines = []
    if leader := found.leader:
        lines += [_first(found, leader), *_against_documented(found, leader), *_told_draws(found, leader)]
    elif not found.unfinished:
        lines.append(f"No configuration has a score with {paired.FEWEST_PAIRS} seeds that others have too.")
    lines += [
        f"{_capital(_named(each))} ended {outcome} with {count} of {len(each.trials)} seeds."
        for each in found.configurations
        for outcome, count in each.ends.items()
    ]
    if found.unfinished:
        lines.append(f"The confirmation has not ended: {found.unfinished} trials are left.")
    return lines


def _configuration(search: Sweep, sweep: Sweep, variant: Variant, effect: Effect | None) -> Configuration:
    metric, trials = sweep.record.config.told_by, trials_of(sweep, variant.name)
    finished = [trial for trial in search.trials if trial.record.status is Status.FINISHED]
    same = [trial for trial in finished if trial.record.config == variant.config]
    searched = next(iter(tables.ranked(search.objectives, same)), None)
    scores = {
        trial.record.seed: trial.metric(metric)
        for trial in trials
        if trial.record.status is Status.FINISHED and trial.measured(metric)
    }
    if not scores:
        return Configuration(variant.name, searched, trials)
    values = np.array(list(scores.values()))
    bounds = paired.mean_interval(values, paired.ERROR)
    return Configuration(variant.name, searched, trials, scores, float(values.mean()), *bounds, effect=effect)


def _comparable(shown: Sequence[Configuration]) -> tuple[list[Configuration], list[int]]:
    """The configurations with seeds enough, and the seeds that all of these have; none if those are too few."""
    enough = [each for each in shown if len(each.scores) >= paired.FEWEST_PAIRS]
    seeds = sorted(set.intersection(*(set(each.scores) for each in enough))) if enough else []
    return (enough, seeds) if len(seeds) >= paired.FEWEST_PAIRS else ([], [])


def _draws(compared: Sequence[Configuration], table: np.ndarray, best: int) -> list[Draw]:
    """Whom the best cannot be told apart from: of the documented one its test decides, of the others those of all
    pairs of them, each family by Holm."""
    leader = compared[best]
    searched = [place for place, each in enumerate(compared) if not each.documented]
    pairs = list(itertools.combinations(searched, 2))
    p_of_pairs = [float(paired.p_values(table[:, pair])) for pair in pairs]
    adjusted = dict(zip(pairs, paired.holm(np.array(p_of_pairs)), strict=True))
    draws = []
    for place, other in enumerate(compared):
        effect = other.effect if leader.documented else leader.effect if other.documented else None
        p = effect.p if effect else adjusted.get((min(place, best), max(place, best)), math.nan)
        if place != best and not p <= paired.ERROR:
            family = len(searched) if leader.documented or other.documented else len(pairs)
            draws.append(_draw(other, table[:, best] - table[:, place], family))
    return draws


def _draw(other: Configuration, differences: np.ndarray, family: int) -> Draw:
    spread, seeds = float(differences.std(ddof=1)), len(differences)
    detectable = spread * paired.detectable(seeds, paired.ERROR / family) if spread > 0 else math.nan
    return Draw(other, float(differences.mean()), seeds, detectable)


def _first(found: Confirmed, leader: Configuration) -> str:
    objective = found.sweep.objectives[0]
    compared = sum(not math.isnan(each.probability) for each in found.configurations)
    which = f"has the {'highest' if objective.sign > 0 else 'lowest'} mean:" if found.draws else "is best, with"
    chance = f", the best of {compared} with probability {chance_text(leader.probability)}" if compared else ""
    before = leader.searched.metric(objective.metric) if leader.searched else math.nan
    return (
        f"Confirmed: {_named(leader)} {which if compared else 'has'} {names.label(found.metric)} "
        f"{formats.number(leader.mean)}{_bounds(leader.low, leader.high)} over {len(leader.scores)} further seeds"
        f"{chance}{'' if math.isnan(before) else f'; the search had {formats.number(before)} for it'}."
    )


def _against_documented(found: Confirmed, leader: Configuration) -> list[str]:
    if (effect := leader.effect) is None or not effect.significant:
        return []
    better = found.sweep.objectives[0].sign * effect.mean
    sure = f"p = {effect.p:.2g} in {effect.pairs} pairs, Student's t, Holm"
    return [f"It beats the documented configuration by {formats.number(better)} ({sure})."]


def _told_draws(found: Confirmed, leader: Configuration) -> list[str]:
    return [
        f"{_capital(_named(leader))} and {_named(draw.other)} cannot be told apart with {draw.seeds} seeds: "
        f"they differ by {formats.number(abs(draw.difference))}; a difference of "
        f"{formats.number(draw.detectable, 2)} could have been found (probability {formats.percent(paired.POWER)})."
        for draw in found.draws
    ]


def chance_text(probability: float) -> str:
    """With two decimals, which are never those of certainty."""
    return ">0.99" if probability > 0.995 else "<0.01" if probability < 0.005 else f"{probability:.2f}"


def _named(configuration: Configuration) -> str:
    return "the documented configuration" if configuration.documented else configuration.name


def _bounds(low: float, high: float) -> str:
    return "" if math.isnan(low) else f" [{formats.number(low)}, {formats.number(high)}]"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
