"""The tables of a sweep: pure functions from the loaded sweep to rows. They know no HTML."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import search_spaces
from analysis import names
from analysis.stops import stopped_sick
from analysis.sweep import Sweep, Trial
from sweeps.records import ranking
from sweeps.records.outcomes import Outcome, Status
from sweeps.records.ranking import Objective
from trainables.collapse import ignores_z
from trainables.forecast import Reading, reading
from trainables.health import SICKNESSES, HealthConfig, Verdict, is_collapse
from trainables.metrics import ENVIRONMENT, TEST, VALIDATION

_PARTS_OF_THE_SCORE = ("mse", "mse_constant", "mse_swapped")
_EARLY_ENDS = (Status.STOPPED, Status.FAILED, Status.INTERRUPTED)


# ---- ranking


def best_trial(sweep: Sweep) -> Trial | None:
    """The best configuration: finished, healthy, as required, best by the sweep's first metric at its best epoch, if
    there is one."""
    candidates = ranked(sweep.objectives, [trial for trial in sweep.trials if trial.ranked])
    return candidates[0] if candidates and math.isfinite(candidates[0].metric(sweep.objectives[0].metric)) else None


def worth(trial: Trial) -> str:
    """What a score that is not above 0 means, in a sentence; '' for one that is, or without a score."""
    if not trial.metric("val/elbo_gain") <= 0:
        return ""
    explained, rate = trial.metric("val/r2"), trial.metric("health/rate")
    if explained > 0:
        return (
            f"Its ELBO gain is not above 0: it explains {explained:.0%} of the held-out variance, but its rate of "
            f"{rate:.3g} nats costs more than that is worth."
        )
    return "Its ELBO gain is not above 0: it reconstructs held-out data no better than the best constant does."


def ranked(objectives: Sequence[Objective], trials: Iterable[Trial]) -> list[Trial]:
    """Trials from best to worst by their best epochs; see `sweeps.records.ranking`."""
    by_number = {trial.number: trial for trial in trials}
    return [by_number[number] for number in ranking.ranked(objectives, _scores(objectives, by_number.values()))]


def pareto_front(objectives: Sequence[Objective], trials: Iterable[Trial]) -> set[int]:
    """Numbers of the trials that no other is at least as good as in every metric and better in one."""
    return ranking.pareto_front(objectives, _scores(objectives, trials))


def _scores(objectives: Sequence[Objective], trials: Iterable[Trial]) -> dict[int, list[float]]:
    return {trial.number: [trial.metric(objective.metric) for objective in objectives] for trial in trials}


def rate_distortion_front(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that no other reconstructs better at no higher rate, by rate."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (trial.metric("health/rate"), trial.metric("val/mse"))):
        if not front or trial.metric("val/mse") < front[-1].metric("val/mse"):
            front.append(trial)
    return front


@dataclass(frozen=True)
class Group:
    """Trials of the leaderboard that may be compared with each other, best first."""

    title: str
    note: str
    trials: list[Trial]
    ranked: bool = False  # the one group whose trials have ranks


@dataclass(frozen=True)
class Leaderboard:
    """Groups of trials, and the columns worth showing: metrics (the sweep's own first) and hyperparameters."""

    metrics: list[str]
    hyperparameters: list[str]
    groups: list[Group]


def leaderboard(sweep: Sweep) -> Leaderboard:
    """Healthy finished trials ranked; all others below, in groups of their own, so that none outranks them."""
    groups = (
        ("Finished and healthy", "ranked", lambda trial: trial.ranked),
        (
            "Finished and healthy, not as required",
            f"miss {' or '.join(sweep.record.config.require)}",
            lambda trial: trial.healthy and not trial.ranked,
        ),
        (
            "Finished, not healthy",
            "sick at the last epoch",
            lambda trial: trial.record.status == Status.FINISHED and not trial.healthy,
        ),
        (
            "Stopped at a rung",
            "outranked; scores after a part of the budget",
            lambda trial: trial.outcome == Outcome.RUNG,
        ),
        (
            "Given up",
            "no plausible way to the best; scores after a part of the budget",
            lambda trial: trial.outcome == Outcome.GIVEN_UP,
        ),
        (
            "Stopped by the health verdict",
            "scores after a part of the budget",
            stopped_sick,
        ),
        (
            "Stopped by hand",
            "scores after a part of the budget",
            lambda trial: trial.outcome == Outcome.BY_HAND,
        ),
        ("Failed", "", lambda trial: trial.outcome == Outcome.FAILED),
        ("Not ended", "", lambda trial: not trial.record.status.ended),
    )
    members = [(title, note, [trial for trial in sweep.trials if belongs(trial)]) for title, note, belongs in groups]
    return Leaderboard(
        _metric_columns(sweep),
        varying_hyperparameters(sweep),
        [
            Group(title, note, ranked(sweep.objectives, trials), ranked=position == 0)
            for position, (title, note, trials) in enumerate(members)
            if trials
        ],
    )


def _metric_columns(sweep: Sweep) -> list[str]:
    present = {metric for trial in sweep.trials for metric in trial.metrics}
    own = [objective.metric for objective in sweep.objectives]
    hidden = {metric.removeprefix("train/") for metric in present if metric.startswith("train/")}
    hidden |= set(_PARTS_OF_THE_SCORE)
    held_out = [
        [
            metric
            for metric in names.order(present)
            if metric.startswith(prefix) and metric[len(prefix) :] not in hidden
        ]
        for prefix in (VALIDATION, ENVIRONMENT, TEST)
    ]
    health = [metric for metric in names.HEALTH if metric in present]
    return list(dict.fromkeys([*own, *itertools.chain(*held_out), *health]))


def measures(sweep: Sweep) -> list[str]:
    """The metrics an ablation is read by: the sweep's own, the same on the test part and in the held-out environment,
    and all others that trials of the model may be ranked by."""
    own = [objective.metric for objective in sweep.objectives]
    held_out = [metric.replace(VALIDATION, ENVIRONMENT, 1) for metric in own]
    return list(dict.fromkeys([*own, sweep.record.config.told_by, *held_out, *_rankable(sweep)]))


def _rankable(sweep: Sweep) -> list[str]:
    """The metrics that the record names; an older one has none, and those of the model's space stand for them."""
    if sweep.record.metrics is not None:
        return sweep.record.metrics
    return list(search_spaces.load(sweep.model).metrics) if sweep.model in search_spaces.names() else []


def varying_hyperparameters(sweep: Sweep) -> list[str]:
    """The hyperparameters that are not the same in every trial."""
    configs = [trial.record.config for trial in sweep.trials]
    found = dict.fromkeys([*sweep.parameters, *(name for config in configs for name in sorted(config))])
    return [name for name in found if len({repr(config[name]) for config in configs if name in config}) > 1]


# ---- stops


@dataclass(frozen=True)
class EarlyEnd:
    """A trial that did not use its budget. `saved`: the epochs a stop spared; 0 for failures and interruptions."""

    trial: Trial
    reason: str
    epoch: int
    detail: str
    saved: int


@dataclass(frozen=True)
class ReasonCount:
    """Early ends of one reason."""

    reason: str
    outcome: Outcome
    trials: int
    saved: int
    rule: str = ""  # of a sickness: a trial is sick when …
    cure: str = ""


@dataclass(frozen=True)
class Effort:
    """Epochs of the whole sweep. `full`: had every trial so far used its budget; `unused`: left by finished trials
    that no longer improved (`early_stopping_patience`)."""

    full: int
    spent: int
    saved_by_health: int
    saved_at_rungs: int
    saved_given_up: int
    unused: int

    @property
    def saved(self) -> int:
        """Epochs spared by stops of either kind."""
        return self.saved_by_health + self.saved_at_rungs + self.saved_given_up


def stop_reasons(sweep: Sweep) -> list[EarlyEnd]:
    """Every trial that was stopped, failed or was interrupted, by number."""
    return [
        EarlyEnd(
            trial,
            trial.record.reason or trial.record.status.value,
            trial.epochs,
            trial.record.detail,
            max(0, sweep.epochs - trial.epochs) if trial.record.status == Status.STOPPED else 0,
        )
        for trial in sweep.trials
        if trial.record.status in _EARLY_ENDS
    ]


def reason_counts(ends: Iterable[EarlyEnd], health: HealthConfig) -> list[ReasonCount]:
    """Early ends by reason, the most frequent first; of a sickness with its rule by those thresholds and its cure."""
    by_reason: dict[str, list[EarlyEnd]] = {}
    for end in ends:
        by_reason.setdefault(end.reason, []).append(end)
    rows = [
        ReasonCount(
            reason, group[0].trial.outcome, len(group), sum(end.saved for end in group), *_explained(reason, health)
        )
        for reason, group in by_reason.items()
    ]
    return sorted(rows, key=lambda row: (-row.trials, row.reason))


def _explained(reason: str, health: HealthConfig) -> tuple[str, str]:
    found = (sickness for verdict, sickness in SICKNESSES.items() if verdict == reason)
    return next(((sickness.rule(health), sickness.cure) for sickness in found), ("", ""))


def effort(sweep: Sweep) -> Effort:
    """Epochs trained, and epochs spared by stops."""
    ends = stop_reasons(sweep)
    return Effort(
        full=sweep.epochs * len(sweep.trials),
        spent=sum(trial.epochs for trial in sweep.trials),
        saved_by_health=sum(end.saved for end in ends if stopped_sick(end.trial)),
        saved_at_rungs=sum(end.saved for end in ends if end.trial.outcome == Outcome.RUNG),
        saved_given_up=sum(end.saved for end in ends if end.trial.outcome == Outcome.GIVEN_UP),
        unused=sum(sweep.epochs - trial.epochs for trial in sweep.trials if trial.record.status == Status.FINISHED),
    )


# ---- forecast


@dataclass(frozen=True)
class ForecastRow:
    """What was forecast for a trial before its first step, and what it became. None: not forecast, not known.

    `forecast_kl`: the interval of the raw KL, nats; its ends are infinite where nothing bounds it.
    `theory_collapsed`: no unit is active at the optimum; `probability`: that training ends with z ignored;
    `collapsed`: it did, with the verdict COLLAPSED or IGNORES_Z.
    """

    trial: Trial
    sigma2: float | None
    forecast_au: float | None
    forecast_kl: tuple[float, float] | None
    theory_collapsed: bool | None
    probability: float | None
    reading: Reading | None
    au: float | None
    kl: float | None
    collapsed: bool | None

    @property
    def forecast_collapsed(self) -> bool | None:
        """Whether collapse was forecast: by the probability where there is one, else by theory."""
        return self.theory_collapsed if self.probability is None else self.probability >= 0.5

    @property
    def kl_low(self) -> float | None:
        """The lower end of the interval."""
        return self.forecast_kl[0] if self.forecast_kl else None

    @property
    def kl_high(self) -> float | None:
        """The upper end of the interval."""
        return self.forecast_kl[1] if self.forecast_kl else None


@dataclass(frozen=True)
class Confusion:
    """Trials by forecast and outcome, where both are known."""

    hits: int  # collapse forecast, collapsed
    misses: int  # not forecast, collapsed
    false_alarms: int  # forecast, did not collapse
    clear: int  # not forecast, did not collapse

    @property
    def total(self) -> int:
        """All of them."""
        return self.hits + self.misses + self.false_alarms + self.clear


def forecast_outcome(sweep: Sweep) -> list[ForecastRow]:
    """One row for every trial that has a forecast, by number."""
    return [_forecast_row(trial) for trial in sweep.trials if trial.record.forecast]


def confusion(rows: Iterable[ForecastRow]) -> Confusion:
    """Collapse as forecast against collapse as it happened."""
    return _confusion((row.forecast_collapsed, row.collapsed) for row in rows)


def theory_confusion(rows: Iterable[ForecastRow]) -> Confusion:
    """Collapse of the optimum against collapse as it happened."""
    return _confusion((row.theory_collapsed, row.collapsed) for row in rows)


def probability_auc(rows: Iterable[ForecastRow]) -> float | None:
    """How often a trial that collapsed had the larger probability of two, one of which did; None if undefined."""
    from sklearn.metrics import roc_auc_score

    pairs = [(row.collapsed, row.probability) for row in rows if None not in (row.collapsed, row.probability)]
    if len({collapsed for collapsed, _ in pairs}) < 2:
        return None
    return float(roc_auc_score(*zip(*pairs, strict=True)))


def _confusion(outcomes: Iterable[tuple[bool | None, bool | None]]) -> Confusion:
    pairs = [pair for pair in outcomes if None not in pair]
    return Confusion(*(pairs.count(pair) for pair in ((True, True), (False, True), (True, False), (False, False))))


def au_correlation(rows: Iterable[ForecastRow]) -> float | None:
    """Pearson's correlation of forecast and measured AU over the trials whose outcome is known; None if undefined."""
    pairs = [
        (row.forecast_au, row.au)
        for row in rows
        if row.collapsed is not None and _finite(row.forecast_au) and _finite(row.au)
    ]
    columns = np.array(pairs, dtype=float).reshape(-1, 2)
    if len(columns) < 3 or (columns.std(axis=0) == 0).any():
        return None
    return float(np.corrcoef(columns.T)[0, 1])


def _forecast_row(trial: Trial) -> ForecastRow:
    forecast = trial.record.forecast
    return ForecastRow(
        trial,
        sigma2=forecast.get("sigma2"),
        forecast_au=forecast.get("au"),
        forecast_kl=_forecast_kl(forecast),
        theory_collapsed=forecast.get("collapsed"),
        probability=forecast.get("collapse_probability"),
        reading=reading(forecast),
        au=trial.metrics.get("health/au"),
        kl=trial.metrics.get("health/kl_raw"),
        collapsed=_collapsed(trial),
    )


def _forecast_kl(forecast: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval; older journals have one number, and what is unbounded is null."""
    if "kl_low" in forecast:
        low, high = (math.inf if forecast[key] is None else forecast[key] for key in ("kl_low", "kl_high"))
        return low, high
    value = forecast.get("kl")
    return None if value is None else (value, value)


def _collapsed(trial: Trial) -> bool | None:
    """Whether a trial was stopped as collapsed, or ignored z at its end."""
    if trial.outcome == Outcome.COLLAPSED:
        return True
    if trial.record.status != Status.FINISHED:
        return None
    if trial.measured("health/z_gain"):
        return ignores_z(trial.metric("health/z_gain"))
    unknown = trial.verdict in (None, Verdict.GRACE, Verdict.NUMERIC)
    return None if unknown else is_collapse(trial.verdict) or trial.verdict == Verdict.IGNORES_Z


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
