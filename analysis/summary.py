"""What the first page answers: which setting, how sure, which advice holds, what stopping saved and what it cost."""

from __future__ import annotations

from typing import Any

import search_spaces
from analysis import ablation, confirmed, formats, settings, stops, tables
from analysis.ablation import Finding
from analysis.sweep import Sweep, Trial, counts
from search_spaces.space import show
from sweeps.records.outcomes import Origin, Outcome

_REFERENCES = (
    ("documented configuration", Origin.DOCUMENTED),
    ("documented “before”", Origin.BASELINE),
)


def content(sweep: Sweep) -> dict[str, Any]:
    """What `summary.html.j2` shows."""
    best = tables.best_trial(sweep)
    ranking = settings.settings(sweep)
    setting = ranking[0] if ranking and ranking[0].scores else None
    return {
        "best": best,
        "setting": setting,
        "chosen": _chosen(sweep, best) if best and not ranking else [],
        "objectives": sweep.objectives,
        "worthless": best is not None and tables.worth(best),
        "counts": counts(sweep.trials),
        **(_setting_gaps(sweep, ranking) if ranking else _trial_gaps(sweep, best)),
        "margin": None if ranking else settings.margin(sweep),
        "confirmed": confirmed.verdicts(found) if (found := confirmed.confirmed(sweep)) else [],
        "advice": _advice(sweep),
        "effort": tables.effort(sweep),
        "controls": stops.controls(sweep),
        "unhealthy": sum(
            trial.outcome in (Outcome.FINISHED, Outcome.CONTROL) and not trial.healthy for trial in sweep.trials
        ),
    }


def _trial_gaps(sweep: Sweep, best: Trial | None) -> dict[str, Any]:
    """How the best trial compares with the documented ones, and which of them it is."""
    references = [(name, sweep.origin(origin)) for name, origin in _REFERENCES]
    return {
        "gaps": [
            (name, trial, _gap(sweep.objectives[0], best, trial))
            for name, trial in references
            if trial and trial is not best
        ],
        "best_is": [name for name, trial in references if trial and trial is best],
        "next": None,
    }


def _setting_gaps(sweep: Sweep, ranking: list[settings.Setting]) -> dict[str, Any]:
    """How the best setting of an ablation compares with the next and the documented ones."""
    first = ranking[0]
    named = [(name, setting) for name, origin in _REFERENCES for setting in ranking if setting.name == origin]
    gaps = [(name, settings.gap(sweep, first, setting)) for name, setting in named if setting is not first]
    return {
        "gaps": [(name, gap) for name, gap in gaps if gap],
        "best_is": [],
        "next": next((gap for other in ranking[1:] if (gap := settings.gap(sweep, first, other))), None),
    }


def _chosen(sweep: Sweep, best: Trial) -> list[tuple[str, str, str | None]]:
    """The hyperparameters of the best trial that vary: name, value, and the documented value where it is another."""
    documented = sweep.origin(Origin.DOCUMENTED)
    rows = []
    for name in tables.varying_hyperparameters(sweep):
        if name in best.record.config:
            value = best.record.config[name]
            usual = documented.record.config.get(name, value) if documented else value
            rows.append((name, _setting_text(value), _setting_text(usual) if usual != value else None))
    return rows


def _setting_text(value: Any) -> str:
    return formats.short(value) if isinstance(value, float) else show(value)


def _advice(sweep: Sweep) -> dict[str, Any]:
    """What became of the documented advice: claims by finding, and whether there is any that could be tested."""
    found = ablation.claims(sweep)
    by_finding: dict[Finding, list[dict[str, Any]]] = {finding: [] for finding in Finding}
    for number, claim in enumerate(found, start=1):
        by_finding[claim.finding].append({"number": number, "result": claim})
    known = sweep.record.claims
    if known is None:  # an older record; the model's own claims stand for it
        known = len(search_spaces.claims(sweep.model)) if sweep.model in search_spaces.names() else 0
    tested = sum(claim.effect is not None for claim in found)
    return {"claims": by_finding if found else {}, "tested": tested, "known": known}


def _gap(objective: Any, best: Trial | None, reference: Trial) -> float | None:
    """How much better the best is; NaN if the reference has no score."""
    if best is None:
        return None
    return objective.sign * (best.metric(objective.metric) - reference.metric(objective.metric))
