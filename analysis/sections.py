"""The sections of the report.

A section is a function from the sweep to what its template
(`templates/<id>.html.j2`) shows, or None where there is nothing to show. A new section is one more of each, and a
line in `SECTIONS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

import search_spaces
from analysis import ablation, compare, figures, formats, names, pictures, tables
from analysis.importance import FEWEST_TRIALS, importance
from analysis.sweep import Outcome, Sweep, Trial, counts
from search_spaces.space import show

PACKAGES_SHOWN = ("python", "torch", "ray", "optuna", "mlflow", "numpy", "pyarrow")
PARALLEL_AXES = 9  # hyperparameters, the most important ones
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


def _summary(sweep: Sweep) -> dict[str, Any]:
    best = tables.best_trial(sweep)
    objective = sweep.objectives[0]
    references = [(name, sweep.origin(origin)) for name, origin in _REFERENCES]
    return {
        "best": best,
        "objectives": sweep.objectives,
        "counts": counts(sweep.trials),
        "gaps": [
            (name, trial, _gap(objective, best, trial)) for name, trial in references if trial and trial is not best
        ],
        "best_is": [name for name, trial in references if trial and trial is best],
        "effort": tables.effort(sweep),
        "controls": tables.controls(sweep),
        "unhealthy": sum(
            trial.outcome in (Outcome.FINISHED, Outcome.CONTROL) and not trial.healthy for trial in sweep.trials
        ),
    }


def _leaderboard(sweep: Sweep) -> dict[str, Any] | None:
    if not sweep.trials:
        return None
    board = tables.leaderboard(sweep)
    hyperparameters = [_hyperparameter_column(sweep, name) for name in board.hyperparameters]
    objectives = {objective.metric for objective in sweep.objectives}
    metrics = [_metric_column(sweep, name, "score" if name in objectives else "measure") for name in board.metrics]
    ranked = [trial for group in board.groups if group.ranked for trial in group.trials]
    front = tables.pareto_front(sweep.objectives, ranked) if len(objectives) > 1 else set()
    return {
        "groups": board.groups,
        "columns": metrics + hyperparameters,
        "metrics": len(metrics),
        "hyperparameters": len(hyperparameters),
        "front": front,
    }


def _curves(sweep: Sweep) -> dict[str, Any] | None:
    drawn = [
        (objective, Markup(figures.learning_curves(sweep, objective)))
        for objective in sweep.objectives
        if sweep.curve(objective.metric)
    ]
    return {"figures": drawn, "most": figures.MOST_CURVES} if drawn else None


def _units(sweep: Sweep) -> dict[str, Any] | None:
    if not any("health/au" in trial.metrics and "health/kl_raw" in trial.metrics for trial in sweep.trials):
        return None
    return {"figure": Markup(figures.units_and_kl(sweep)), "health": sweep.health}


def _rate(sweep: Sweep) -> dict[str, Any] | None:
    if not any("health/rate" in trial.metrics and "val/mse" in trial.metrics for trial in sweep.trials):
        return None
    return {"figure": Markup(figures.rate_and_distortion(sweep))}


def _training(sweep: Sweep) -> dict[str, Any] | None:
    drawn = [metric for metric in HEAT_MAPS if sweep.curve(metric)]
    if not drawn or sweep.epochs < 2:
        return None
    rows = len(figures.heat_map_rows(sweep, drawn[0]))
    return {
        "figures": [(metric, Markup(figures.heat_map(sweep, metric))) for metric in drawn],
        "rows": rows,
        "all": len(sweep.curve(drawn[0])),
    }


def _importance(sweep: Sweep) -> dict[str, Any] | None:
    if sweep.record["config"].get("ablation"):
        return None
    objective = sweep.objectives[0]
    metrics = dict.fromkeys([objective.metric, *HEAT_MAPS[:2]])
    found = [found for metric in metrics if (found := importance(sweep, metric)) is not None]
    names_of = list(found[0].shares) if found and found[0].shares else tables.varying_hyperparameters(sweep)
    scored = [trial for trial in sweep.trials if trial.metric(objective.metric) == trial.metric(objective.metric)]
    if not names_of or len(scored) < 2:
        return None
    figure = figures.parallel_coordinates(sweep, names_of[:PARALLEL_AXES], objective)
    return {"found": found, "fewest": FEWEST_TRIALS, "figure": Markup(figure), "shown": names_of[:PARALLEL_AXES]}


def _ablation(sweep: Sweep) -> dict[str, Any] | None:
    told = [comparison for comparison in ablation.comparisons(sweep) if comparison["study"] != ablation.CLAIMS]
    if not told:
        return None
    metrics = list(dict.fromkeys([objective.metric for objective in sweep.objectives] + _measures(sweep)))
    rows = [
        (comparison, {effect.metric: effect for effect in ablation.effects(sweep, comparison, metrics)})
        for comparison in told
    ]
    shown = [metric for metric in metrics if any(metric in effects for _, effects in rows)]
    return {"rows": rows, "metrics": shown[:6], "seeds": sweep.record["config"]["ablation"]["seeds"]}


def _claims(sweep: Sweep) -> dict[str, Any] | None:
    found = ablation.claims(sweep)
    tested = sum(claim.effect is not None for claim in found)
    return {"claims": found, "tested": tested} if found else None


def _measures(sweep: Sweep) -> list[str]:
    """The metrics that trials of this model may be ranked by."""
    return list(search_spaces.load(sweep.model).metrics)


def comparison(sweep: Sweep, other: Sweep) -> tuple[Section, dict[str, Any]]:
    """The section that sets two sweeps side by side."""
    section = Section("compare", f"Beside {other.name}", lambda _: None)
    return section, {"comparison": compare.compare(sweep, other), "objective": sweep.objectives[0]}


def _stops(sweep: Sweep) -> dict[str, Any] | None:
    ends = tables.stop_reasons(sweep)
    controls = tables.controls(sweep)
    if not ends and not controls.measured:
        return None
    return {"ends": ends, "reasons": tables.reason_counts(ends), "controls": controls}


def _forecast(sweep: Sweep) -> dict[str, Any] | None:
    rows = tables.forecast_outcome(sweep)
    if not rows:
        return None
    known = [row for row in rows if row.collapsed is not None]
    fields = ("sigma2", "forecast_au", "au", "forecast_kl", "kl")
    return {
        "rows": rows,
        "cells": {name: formats.column([getattr(row, name) for row in rows], digits=3) for name in fields},
        "known": len(known),
        "confusion": tables.confusion(rows),
        "correlation": tables.au_correlation(rows),
        "figure": Markup(figures.forecast_and_outcome(sweep)) if any(row.au is not None for row in rows) else None,
    }


def _pictures(sweep: Sweep) -> dict[str, Any] | None:
    chosen = pictures.representatives(sweep)
    return {"trials": chosen} if chosen else None


def _reproduce(sweep: Sweep) -> dict[str, Any]:
    record, config, best = sweep.record, sweep.record["config"], tables.best_trial(sweep)
    code, packages = record.get("code", {}), record.get("packages", {})
    commit = code.get("commit") or "not recorded"
    facts = {
        "Seed": config.get("seed"),
        "Code": f"{commit}, with changes not committed" if code.get("dirty") else commit,
        "Packages": ", ".join(f"{name} {packages[name]}" for name in sorted(packages, key=_package_order)),
        "Data": _data_source(sweep),
        "Fingerprint": record.get("data", {}).get("fingerprint"),
        "Machine": ", ".join(f"{key} {value}" for key, value in record.get("machine", {}).items()),
        "Sweep id": record.get("id"),
    }
    return {
        "command": shlex.join(str(argument) for argument in record.get("command", [])),
        "facts": {key: value for key, value in facts.items() if value not in (None, "")},
        "best": best,
        "flags": [f"--set {name}={formats.exact(value)}" for name, value in best.record.config.items()]
        if best
        else [],
    }


SECTIONS = (
    Section("summary", "Summary", _summary),
    Section("leaderboard", "Leaderboard", _leaderboard),
    Section("ablation", "Ablation", _ablation),
    Section("claims", "Claims", _claims),
    Section("rate", "Rate and distortion", _rate),
    Section("curves", "Learning curves", _curves),
    Section("units", "Units and KL", _units),
    Section("training", "Over training", _training),
    Section("stops", "Stops", _stops),
    Section("importance", "Importance", _importance),
    Section("forecast", "Forecast", _forecast),
    Section("pictures", "Pictures", _pictures),
    Section("reproduce", "Reproduce", _reproduce),
)
_REFERENCES = (("documented configuration", "documented"), ("documented “before”", "baseline"))


def _metric_column(sweep: Sweep, metric: str, kind: str) -> Column:
    values = {trial.number: trial.metrics[metric] for trial in sweep.trials if metric in trial.metrics}
    title = ": ".join(part for part in (metric, names.meaning(metric)) if part)
    return Column(names.label(metric), title, kind, _cells(values, 4 if kind == "score" else 3), values)


def _hyperparameter_column(sweep: Sweep, name: str) -> Column:
    parameter = sweep.parameters.get(name, {})
    values = {trial.number: trial.record.config[name] for trial in sweep.trials if name in trial.record.config}
    title = ", ".join(part for part in (parameter.get("doc", ""), parameter.get("unit", "")) if part)
    kind = "word" if any(isinstance(value, str) for value in values.values()) else "setting"
    cells = _cells(values, 3, parameter.get("kind") == "log")
    cells |= {number: show(value) for number, value in values.items() if value is None}
    return Column(name, title, kind, cells, values)


def _cells(values: dict[int, Any], digits: int = 4, scientific: bool = False) -> dict[int, str]:
    return dict(zip(values, formats.column(list(values.values()), digits, scientific), strict=True))


def _gap(objective: Any, best: Trial | None, reference: Trial) -> float | None:
    """How much better the best is; NaN if the reference has no score."""
    if best is None:
        return None
    return objective.sign * (best.metric(objective.metric) - reference.metric(objective.metric))


def _data_source(sweep: Sweep) -> str:
    data = sweep.record.get("data", {})
    if data.get("embedded"):
        return "the model's embedded data"
    return str(data.get("source") or data.get("path") or "")


def _package_order(name: str) -> tuple[int, str]:
    return (PACKAGES_SHOWN.index(name) if name in PACKAGES_SHOWN else len(PACKAGES_SHOWN), name)
