"""The sections of the report.

A section is a function from the sweep to what its template
(`templates/<id>.html.j2`) shows, or None where there is nothing to show. A new section is one more of each, and a
line in `SECTIONS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from analysis import (
    ablation,
    compare,
    confirmed,
    figures,
    formats,
    names,
    pictures,
    settings,
    stops,
    summary,
    tables,
    targets,
)
from analysis.importance import FEWEST_TRIALS, importances
from analysis.sweep import Sweep, Trial
from search_spaces.space import show
from sweeps.records.outcomes import Status
from trainables.forecast import MEANING
from trainables.health import SICKNESSES, Verdict

PACKAGES_SHOWN = ("python", "torch", "ray", "optuna", "mlflow", "numpy", "pyarrow")
MOST_ROWS = 500  # of a table, or of a group of the leaderboard
EFFECT_COLUMNS = 6
PARALLEL_AXES = 9  # hyperparameters, the most important ones
PARTIAL_SHARE = 0.1  # of the units active: fewer, but some, are a partial collapse
ON_THE_FLOOR = 0.99  # of the samples and dimensions: there the KL has no gradient
MOST_NAMED = 10  # trials in a sentence
HEAT_MAPS = ("health/au", "health/codebook_usage", "health/kl_raw")


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    id: str
    title: str
    content: Callable[[Sweep], dict[str, Any] | None]


@dataclass(frozen=True)
class Column:
    """One column of a table of trials; `cells` and `values` (to sort by) by trial number."""

    label: str
    title: str
    kind: str
    cells: dict[int, str]
    values: dict[int, Any]


def _confirmed(sweep: Sweep) -> dict[str, Any] | None:
    found = confirmed.confirmed(sweep)
    if found is None:
        return None
    return {
        "found": found,
        "verdicts": confirmed.verdicts(found),
        "chance": confirmed.chance_text,
        "score": sweep.objectives[0].metric,
        "on_test": found.sweep.record.config.test,
    }


def _leaderboard(sweep: Sweep) -> dict[str, Any] | None:
    if not sweep.trials:
        return None
    board = tables.leaderboard(sweep)
    groups = [(group, group.trials[:MOST_ROWS]) for group in board.groups]
    shown = [trial for _, trials in groups for trial in trials]
    hyperparameters = [_hyperparameter_column(sweep, shown, name) for name in board.hyperparameters]
    objectives = {objective.metric for objective in sweep.objectives}
    metrics = [_metric_column(shown, name, "score" if name in objectives else "measure") for name in board.metrics]
    metrics += _targets_column(sweep, shown)
    ranked = [trial for group in board.groups if group.ranked for trial in group.trials]
    front = tables.pareto_front(sweep.objectives, ranked) if len(objectives) > 1 else set()
    return {
        "groups": groups,
        "shown": len(shown),
        "columns": metrics + hyperparameters,
        "metrics": len(metrics),
        "hyperparameters": len(hyperparameters),
        "front": front,
    }


def _targets(sweep: Sweep) -> dict[str, Any] | None:
    rows = targets.outcomes(sweep)
    return {"rows": rows, "best": tables.best_trial(sweep)} if rows else None


def _curves(sweep: Sweep) -> dict[str, Any] | None:
    drawn = [
        (objective, Markup(figures.learning_curves(sweep, objective)))
        for objective in sweep.objectives
        if sweep.curve(objective.metric)
    ]
    return {"figures": drawn, "most": figures.MOST_CURVES} if drawn else None


def _units(sweep: Sweep) -> dict[str, Any] | None:
    if not _measured(sweep, "health/au", "health/kl_raw"):
        return None
    ended = [trial for trial in sweep.trials if trial.record.status == Status.FINISHED]
    return {
        "figure": Markup(figures.units_and_kl(sweep)),
        "health": sweep.health,
        "rule": SICKNESSES[Verdict.COLLAPSED].rule(sweep.health),
        "partial": [trial.number for trial in ended if 0 < trial.metric("health/au_frac") < PARTIAL_SHARE],
        "partial_share": PARTIAL_SHARE,
        "floored": [trial.number for trial in ended if trial.metric("health/kl_floor_frac") > ON_THE_FLOOR],
        "most": MOST_NAMED,
    }


def _codes(sweep: Sweep) -> dict[str, Any] | None:
    if not _measured(sweep, "health/codebook_usage", "health/z_gain"):
        return None
    rule = SICKNESSES[Verdict.CODEBOOK_COLLAPSED].rule(sweep.health)
    return {"figure": Markup(figures.codes(sweep)), "health": sweep.health, "rule": rule}


def _rate(sweep: Sweep) -> dict[str, Any] | None:
    if not _measured(sweep, "health/rate", "val/mse"):
        return None
    return {"figure": Markup(figures.rate_and_distortion(sweep))}


def _training(sweep: Sweep) -> dict[str, Any] | None:
    drawn = [metric for metric in HEAT_MAPS if sweep.curve(metric)]
    if not drawn or sweep.epochs < 2:
        return None
    rows = figures.heat_map_rows(sweep, drawn)
    return {
        "figures": [(metric, Markup(figures.heat_map(sweep, metric, rows))) for metric in drawn],
        "rows": len(rows),
        "all": len(sweep.curve(drawn[0])),
    }


def _importance(sweep: Sweep) -> dict[str, Any] | None:
    if sweep.record.config.ablation:
        return None
    objective, found = sweep.objectives[0], importances(sweep)
    names_of = list(found[0].shares) if found and found[0].shares else tables.varying_hyperparameters(sweep)
    scored = [trial for trial in sweep.trials if trial.measured(objective.metric)]
    if not names_of or len(scored) < 2:
        return None
    figure = figures.parallel_coordinates(sweep, names_of[:PARALLEL_AXES], objective)
    return {"found": found, "fewest": FEWEST_TRIALS, "figure": Markup(figure), "shown": names_of[:PARALLEL_AXES]}


def _ablation(sweep: Sweep) -> dict[str, Any] | None:
    ranking, design = settings.settings(sweep), ablation.design(sweep)
    if not ranking or design is None:
        return None
    metrics = tables.measures(sweep)
    rows = ablation.steps(sweep, metrics)
    shown = [metric for metric in metrics if any(metric in effects for _, effects in rows)]
    objective = sweep.objectives[0]
    drawn = [(step, effects[objective.metric]) for step, effects in rows if objective.metric in effects]
    return {
        "rows": rows,
        "metrics": shown[:EFFECT_COLUMNS],
        "looks": design.looks,
        "settings": ranking,
        "objective": objective,
        "figure": Markup(figures.effects(drawn, objective)) if drawn else None,
    }


def _claims(sweep: Sweep) -> dict[str, Any] | None:
    found, design = ablation.claims(sweep), ablation.design(sweep)
    if not found or design is None:
        return None
    tested = sum(claim.effect is not None for claim in found)
    return {"claims": found, "tested": tested, "looks": design.looks}


def comparison(sweep: Sweep, other: Sweep) -> tuple[Section, dict[str, Any]]:
    """The section that sets two sweeps side by side."""
    section = Section("compare", f"Beside {other.name}", lambda _: None)
    return section, {"comparison": compare.compare(sweep, other), "objective": sweep.objectives[0]}


def _stops(sweep: Sweep) -> dict[str, Any] | None:
    ends = tables.stop_reasons(sweep)
    controls = stops.controls(sweep)
    if not ends and not controls.measured:
        return None
    return {
        "ends": ends[:MOST_ROWS],
        "all": len(ends),
        "reasons": tables.reason_counts(ends, sweep.health),
        "controls": controls,
        "measured": controls.measured[:MOST_ROWS],
        "pooled": stops.pooled(sweep.folder.parent, sweep.model),
    }


def _forecast(sweep: Sweep) -> dict[str, Any] | None:
    rows = tables.forecast_outcome(sweep)
    if not rows:
        return None
    known = [row for row in rows if row.collapsed is not None]
    fields = ("sigma2", "forecast_au", "au", "kl", "probability")
    shown = rows[:MOST_ROWS]
    learnt = any(row.probability is not None for row in rows)
    return {
        "rows": shown,
        "all": len(rows),
        "cells": {name: formats.column([getattr(row, name) for row in shown], digits=3) for name in fields},
        "intervals": _intervals(shown),
        "known": len(known),
        "confusion": tables.confusion(rows),
        "theory": tables.theory_confusion(rows) if learnt else None,
        "auc": tables.probability_auc(rows),
        "meanings": {reading: MEANING[reading] for reading in MEANING if any(row.reading is reading for row in rows)},
        "correlation": tables.au_correlation(rows),
        "figure": Markup(figures.forecast_and_outcome(sweep)) if any(row.au is not None for row in rows) else None,
    }


def _intervals(rows: Sequence[tables.ForecastRow]) -> list[str]:
    """The forecast of the KL, one number where both ends of the interval read the same."""
    ends = formats.column([row.kl_low for row in rows] + [row.kl_high for row in rows], digits=3)
    pairs = zip(ends[: len(rows)], ends[len(rows) :], strict=True)
    return [low if low == high else f"{low}–{high}" for low, high in pairs]


def _pictures(sweep: Sweep) -> dict[str, Any] | None:
    chosen = pictures.representatives(sweep)
    return {"trials": chosen} if chosen else None


def _reproduce(sweep: Sweep) -> dict[str, Any]:
    record, best = sweep.record, tables.best_trial(sweep)
    code, packages = record.code, record.packages
    command = record.command
    command = ["python", *command] if command and command[0].endswith(".py") else command
    commit = code.commit or "not recorded"
    facts = {
        "Seed": record.config.seed,
        "Code": f"{commit}, with changes not committed" if code.dirty else commit,
        "Code, fingerprint": code.fingerprint,
        "Packages": ", ".join(f"{name} {packages[name]}" for name in sorted(packages, key=_package_order)),
        "Data": _data_source(sweep),
        "Fingerprint": record.data.fingerprint,
        "Machine": ", ".join(f"{key} {value}" for key, value in record.machine.items()),
        "Sweep id": record.id,
    }
    return {
        "command": shlex.join(command),
        "storage": shlex.join(_option(command, "--storage")),
        "facts": {key: value for key, value in facts.items() if value not in (None, "")},
        "best": best,
        "outside": record.outside,
        "flags": [f"--set {name}={formats.exact(value)}" for name, value in best.record.config.items()]
        if best and not record.outside
        else [],
    }


SECTIONS = (
    Section("summary", "Summary", summary.content),
    Section("confirmed", "Confirmed", _confirmed),
    Section("ablation", "Ablation", _ablation),
    Section("claims", "Claims", _claims),
    Section("leaderboard", "Leaderboard", _leaderboard),
    Section("targets", "Stated targets", _targets),
    Section("rate", "Rate and distortion", _rate),
    Section("curves", "Learning curves", _curves),
    Section("units", "Units and KL", _units),
    Section("codes", "Codes", _codes),
    Section("training", "Over training", _training),
    Section("stops", "Stops", _stops),
    Section("importance", "Importance", _importance),
    Section("forecast", "Forecast", _forecast),
    Section("pictures", "Pictures", _pictures),
    Section("reproduce", "Reproduce", _reproduce),
)


def _measured(sweep: Sweep, *metrics: str) -> bool:
    """True if a trial ended with all of `metrics` finite."""
    return any(trial.measured(*metrics) for trial in sweep.trials)


def _metric_column(trials: Sequence[Trial], metric: str, kind: str) -> Column:
    values = {trial.number: trial.metrics[metric] for trial in trials if metric in trial.metrics}
    title = ": ".join(part for part in (metric, names.meaning(metric)) if part)
    return Column(names.label(metric), title, kind, _cells(values, 4 if kind == "score" else 3), values)


def _targets_column(sweep: Sweep, trials: Sequence[Trial]) -> list[Column]:
    """How many of the model's stated targets each trial meets; no column where none is stated."""
    counts = {trial.number: counted for trial in trials if (counted := targets.count(sweep, trial)).measured}
    if not counts:
        return []
    title = "how many of the numbers that the model's source states for success the trial meets; never ranked by"
    cells = {number: f"{counted.met} of {counted.measured}" for number, counted in counts.items()}
    return [Column("targets", title, "measure", cells, {number: one.met for number, one in counts.items()})]


def _hyperparameter_column(sweep: Sweep, trials: Sequence[Trial], name: str) -> Column:
    parameter = sweep.parameters.get(name)
    values = {trial.number: trial.record.config[name] for trial in trials if name in trial.record.config}
    title = ", ".join(part for part in (parameter.doc, parameter.unit) if part) if parameter else ""
    kind = "word" if any(isinstance(value, str) for value in values.values()) else "setting"
    cells = _cells(values, 3, parameter is not None and parameter.kind == "log")
    cells |= {number: show(value) for number, value in values.items() if value is None}
    return Column(name, title, kind, cells, values)


def _cells(values: dict[int, Any], digits: int = 4, scientific: bool = False) -> dict[int, str]:
    return dict(zip(values, formats.column(list(values.values()), digits, scientific), strict=True))


def _data_source(sweep: Sweep) -> str:
    data = sweep.record.data
    return "the model's embedded data" if data.embedded else data.source or data.path or ""


def _option(command: Sequence[str], name: str) -> list[str]:
    """An option as it was given, [] if it was not."""
    for place, argument in enumerate(command):
        if argument == name or argument.startswith(f"{name}="):
            return list(command[place : place + (2 if argument == name else 1)])
    return []


def _package_order(name: str) -> tuple[int, str]:
    return (PACKAGES_SHOWN.index(name) if name in PACKAGES_SHOWN else len(PACKAGES_SHOWN), name)
