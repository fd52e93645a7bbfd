"""The report of a sweep: one HTML page that needs nothing else.

A section is a function from the sweep to what its template (`templates/<id>.html.j2`) shows, or None where the sweep
has nothing to show there. A new section is one more of each, and a line in `SECTIONS`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis import figures, formats, names, palette, pictures, tables
from analysis.sweep import Outcome, Sweep, Trial, counts, load
from search_spaces.space import show
from trainables.files import write_text

FILE = "report.html"
LONG_TABLE = 60  # rows; longer ones scroll on screen
PACKAGES_SHOWN = ("python", "torch", "ray", "optuna", "mlflow", "numpy", "pyarrow")


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


def write(folder: Path, out: Path | None = None) -> Path:
    """Write the report of the sweep in `folder` and return its path: `out`, or `report.html` in the folder.

    Raises:
        analysis.sweep.SweepError: the folder is not a readable sweep.
    """
    out = out or folder / FILE
    write_text(out, render(load(folder)))
    return out


def render(sweep: Sweep) -> str:
    """The page."""
    environment = _environment()
    sections = [
        (section, Markup(environment.get_template(f"{section.id}.html.j2").render(sweep=sweep, **content)))
        for section in SECTIONS
        if (content := section.content(sweep)) is not None
    ]
    return environment.get_template("page.html.j2").render(
        sweep=sweep,
        sections=sections,
        light=palette.variables(dark=False),
        dark=palette.variables(dark=True),
        created=_date(sweep.record.get("created")),
        state=_state(sweep),
    )


# ---- sections


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
    return {"figures": drawn} if drawn else None


def _units(sweep: Sweep) -> dict[str, Any] | None:
    if not any("health/au" in trial.metrics and "health/kl_raw" in trial.metrics for trial in sweep.trials):
        return None
    return {"figure": Markup(figures.units_and_kl(sweep)), "health": sweep.health}


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
    Section("curves", "Learning curves", _curves),
    Section("units", "Units and KL", _units),
    Section("stops", "Stops", _stops),
    Section("forecast", "Forecast", _forecast),
    Section("pictures", "Pictures", _pictures),
    Section("reproduce", "Reproduce", _reproduce),
)
_REFERENCES = (("documented configuration", "documented"), ("documented “before”", "baseline"))


# ---- helpers


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("analysis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": formats.number,
        "plain": formats.plain,
        "percent": formats.percent,
        "label": names.label,
        "meaning": names.meaning,
        "slug": palette.slug,
        "breakable": _breakable,
        "plural": _plural,
    }
    environment.globals |= {"LONG_TABLE": LONG_TABLE, "ORIGINS": {"documented": "documented", "baseline": "before"}}
    return environment


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


def _state(sweep: Sweep) -> str:
    if sweep.ended:
        return sweep.state.status + (f": {sweep.state.detail}" if sweep.state.detail else "")
    return "not ended: it is still running, or its driver was killed"


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") if seconds else ""


def _package_order(name: str) -> tuple[int, str]:
    return (PACKAGES_SHOWN.index(name) if name in PACKAGES_SHOWN else len(PACKAGES_SHOWN), name)


def _breakable(name: str) -> Markup:
    """A name that may wrap after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
