"""A sweep's results for other programs and for reading without a browser.

`parquet`: one row a trial. Columns: sweep, trial, origin, seed, status, outcome, reason, detail, verdict, healthy,
missed (of what is required), control, epochs (trained), config/<hyperparameter>, and every metric of its best epoch
by its name (null: not measured).

`json`: one object; numbers that are not finite are null.

    sweep        name, id, model, created (seconds since 1970), status, detail, epochs (the budget), objectives
                 (metric, mode), seed, search, scheduler, require, data, notes (lines by what they are about: data,
                 model), problems (what could not be read and is left out)
    best         trial, origin, seed, score, config; next (trial, gap, wobble) or null; null without a healthy trial
    settings     of an ablation, best first: setting, mean, low, high, seeds (healthy ones), trials
    confirmed    metric, seeds, unfinished (trials), leader (null: too few seeds), verdicts (sentences) and
                 configurations: configuration, trial, searched (its score), mean, low, high, probability (of being
                 the best), healthy, scores (by seed), ends (not healthy), documented (effect); null where nothing is
    stopping     outcomes (trials by outcome), epochs (full, spent, saved_by_health, saved_at_rungs, unused),
                 controls (condemned; verdicts, outdone: wrong, measured, low, high; storage: the same over sweeps)
    leaderboard  rank (null: not ranked), group, trial, origin, outcome, reason, epochs, seed, config, metrics
    targets      stated by the model's source: metric, text, source, low, high (null: open), when (hyperparameters),
                 best, documented, before (value and met; null: not measured), met of trials that trained to their end
    effects      of an ablation: study, step, before, after (settings), metric, from, to, effect, low, high, pairs,
                 p (adjusted by Holm for all steps by this metric), significant
    claims       text, source, metric, direction, finding (supported, contradicted, inconclusive, untestable), note,
                 and, where it could be tested, from, to, effect, low, high, pairs, p (adjusted by Holm for all
                 claims), significant
    importance   metric, epoch, trials, shares (by hyperparameter, summing to 1)
    forecast     known, hits, misses, false_alarms, clear, theory (the same of theory alone), probability_auc,
                 au_correlation; null without forecasts
    compare      with a second sweep: here and there (name, trials, best, score, median, healthy, finished, epochs),
                 same_data, settings that differ (name, here, there), shared, difference, low, high; else null

`md`: the same tables.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis import ablation, compare, confirmed, formats, names, settings, stops, tables, targets
from analysis.importance import importances
from analysis.sweep import Sweep, Trial, counts, load
from search_spaces import Target
from search_spaces.space import show
from trainables.files import replace_file, write_text
from trainables.metrics import HYPERPARAMETERS

_FIXED = {
    "sweep": (pa.string(), lambda sweep, trial: sweep.name),
    "trial": (pa.int32(), lambda sweep, trial: trial.number),
    "origin": (pa.string(), lambda sweep, trial: trial.record.origin),
    "seed": (pa.int64(), lambda sweep, trial: trial.record.seed),
    "status": (pa.string(), lambda sweep, trial: trial.record.status.value),
    "outcome": (pa.string(), lambda sweep, trial: trial.outcome.value),
    "reason": (pa.string(), lambda sweep, trial: trial.record.reason),
    "detail": (pa.string(), lambda sweep, trial: trial.record.detail),
    "verdict": (pa.string(), lambda sweep, trial: trial.verdict and trial.verdict.value),
    "healthy": (pa.bool_(), lambda sweep, trial: trial.healthy),
    "missed": (pa.string(), lambda sweep, trial: "; ".join(trial.unmet)),
    "control": (pa.bool_(), lambda sweep, trial: trial.record.control),
    "epochs": (pa.int32(), lambda sweep, trial: trial.epochs),
}


def write(folder: Path, form: str, out: Path | None = None, other: Path | None = None) -> Path:
    """Write the results of the sweep in `folder` as `form`, one of `FORMS`; returns the path.

    Args:
        folder: of the sweep.
        form: `json`, `parquet` or `md`.
        out: where to write (None: `report.<form>` in the folder).
        other: the folder of a sweep to compare it with; its trials are also rows of the Parquet file.

    Raises:
        analysis.sweep.SweepError: a folder is not a readable sweep, or the two are of different models.
    """
    out = out or folder / f"report.{form}"
    FORMS[form](out, load(folder), load(other) if other else None)
    return out


def gather(sweep: Sweep, other: Sweep | None = None) -> dict[str, Any]:
    """The object that `json` holds."""
    return _finite(
        {
            "sweep": _sweep(sweep),
            "best": _best(sweep),
            "settings": [
                {
                    "setting": setting.name,
                    **_fields(setting, "mean", "low", "high"),
                    "seeds": sorted(setting.scores),
                    "trials": [trial.number for trial in setting.trials],
                }
                for setting in settings.settings(sweep)
            ],
            "confirmed": _confirmed(sweep),
            "stopping": _stopping(sweep),
            "leaderboard": _leaderboard(sweep),
            "targets": _targets(sweep),
            "effects": _effects(sweep),
            "claims": _claims(sweep),
            "importance": [_fields(found, "metric", "epoch", "trials", "shares") for found in importances(sweep)],
            "forecast": _forecast(sweep),
            "compare": _compare(sweep, other) if other else None,
        }
    )


def trials_table(sweeps: Sequence[Sweep]) -> pa.Table:
    """One row a trial of each of `sweeps`."""
    rows = [(sweep, trial) for sweep in sweeps for trial in sweep.trials]
    configs = [trial.record.config for _, trial in rows]
    columns = {name: pa.array([of(*row) for row in rows], kind) for name, (kind, of) in _FIXED.items()}
    for name in dict.fromkeys(name for config in configs for name in config):
        columns[f"{HYPERPARAMETERS}{name}"] = _typed([config.get(name) for config in configs])
    for name in sorted({name for _, trial in rows for name in trial.metrics}):
        columns[name] = pa.array([trial.metrics.get(name) for _, trial in rows], pa.float64())
    return pa.table(columns)


def _write_json(out: Path, sweep: Sweep, other: Sweep | None) -> None:
    write_text(out, json.dumps(gather(sweep, other), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _write_parquet(out: Path, sweep: Sweep, other: Sweep | None) -> None:
    if other:
        compare.require_same_model(sweep, other)
    with replace_file(out) as file:
        pq.write_table(trials_table([sweep, other] if other else [sweep]), file)


def _write_md(out: Path, sweep: Sweep, other: Sweep | None) -> None:
    environment = Environment(
        loader=PackageLoader("analysis"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"cell": _cell, "label": names.label, "percent": formats.percent, "range": _range}
    board = tables.leaderboard(sweep)
    columns = {"metrics": board.metrics, "hyperparameters": board.hyperparameters}
    write_text(out, environment.get_template("report.md.j2").render(**gather(sweep, other), columns=columns))


FORMS: dict[str, Callable[[Path, Sweep, Sweep | None], None]] = {
    "json": _write_json,
    "parquet": _write_parquet,
    "md": _write_md,
}


def _sweep(sweep: Sweep) -> dict[str, Any]:
    record, config = sweep.record, sweep.record.config
    return {
        "name": sweep.name,
        "id": record.id,
        "model": sweep.model,
        "created": record.created,
        "status": sweep.state.status,
        "detail": sweep.state.detail,
        "epochs": sweep.epochs,
        "objectives": [_fields(objective, "metric", "mode") for objective in sweep.objectives],
        **_fields(config, "seed", "search", "scheduler", "require"),
        "notes": sweep.notes,
        "problems": list(sweep.problems),
        "data": asdict(record.data),
    }


def _best(sweep: Sweep) -> dict[str, Any] | None:
    best, margin = tables.best_trial(sweep), settings.margin(sweep)
    if best is None:
        return None
    return {
        "trial": best.number,
        **_fields(best.record, "origin", "seed"),
        "score": best.metric(sweep.objectives[0].metric),
        "config": best.record.config,
        "next": margin and {"trial": margin.next.number, **_fields(margin, "gap", "wobble")},
    }


def _confirmed(sweep: Sweep) -> dict[str, Any] | None:
    found = confirmed.confirmed(sweep)
    if found is None:
        return None
    return {
        **_fields(found, "metric", "seeds", "unfinished"),
        "leader": found.leader and found.leader.name,
        "verdicts": confirmed.verdicts(found),
        "configurations": [
            {
                "configuration": each.name,
                "trial": each.searched and each.searched.number,
                "searched": each.searched and each.searched.metric(sweep.objectives[0].metric),
                **_fields(each, "mean", "low", "high", "probability", "healthy"),
                "scores": {f"{seed}": score for seed, score in sorted(each.scores.items())},
                "ends": {outcome.value: count for outcome, count in each.ends.items()},
                "documented": _effect(each.effect) if each.effect else None,
            }
            for each in found.configurations
        ],
    }


def _stop_rate(rate: stops.Rate) -> dict[str, Any]:
    low, high = rate.interval
    return {"wrong": rate.wrong, "measured": rate.measured, "low": low, "high": high}


def _stopping(sweep: Sweep) -> dict[str, Any]:
    controls = stops.controls(sweep)
    pooled = stops.pooled(sweep.folder.parent, sweep.model)
    return {
        "outcomes": {outcome.value: count for outcome, count in counts(sweep.trials).items()},
        "epochs": _fields(tables.effort(sweep), "full", "spent", "saved_by_health", "saved_at_rungs", "unused"),
        "controls": {
            "condemned": controls.condemned,
            "verdicts": _stop_rate(controls.of_verdicts),
            "outdone": _stop_rate(controls.of_outdone),
            "storage": {
                "sweeps": pooled.sweeps,
                "verdicts": _stop_rate(pooled.of_verdicts),
                "outdone": _stop_rate(pooled.of_outdone),
            },
        },
    }


def _leaderboard(sweep: Sweep) -> list[dict[str, Any]]:
    board = tables.leaderboard(sweep)
    return [
        {"rank": rank if group.ranked else None, "group": group.title, **_row(trial, board.metrics)}
        for group in board.groups
        for rank, trial in enumerate(group.trials, start=1)
    ]


def _row(trial: Trial, metrics: Sequence[str]) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "origin": trial.record.origin,
        "outcome": trial.outcome.value,
        "reason": trial.record.reason,
        "epochs": trial.epochs,
        "seed": trial.record.seed,
        "config": trial.record.config,
        "metrics": {metric: trial.metrics.get(metric) for metric in metrics},
    }


def _targets(sweep: Sweep) -> list[dict[str, Any]]:
    return [
        {
            **_fields(outcome.target, "metric", "text", "source", "low", "high"),
            "when": dict(outcome.target.when),
            **{
                name: reached and _fields(reached, "value", "met")
                for name, reached in _fields(outcome, "best", "documented", "before").items()
            },
            **_fields(outcome, "met", "trials"),
        }
        for outcome in targets.outcomes(sweep)
    ]


def _effects(sweep: Sweep) -> list[dict[str, Any]]:
    return [
        {
            "study": step.study,
            "step": step.name,
            **_fields(step, "before", "after"),
            "metric": effect.metric,
            **_effect(effect),
        }
        for step, effects in ablation.steps(sweep, tables.measures(sweep))
        for effect in effects.values()
    ]


def _claims(sweep: Sweep) -> list[dict[str, Any]]:
    return [
        {
            **_fields(claim, "text", "source", "metric", "direction", "note"),
            "finding": claim.finding.name.lower(),
            **(_effect(claim.effect) if claim.effect else {}),
        }
        for claim in ablation.claims(sweep)
    ]


def _effect(effect: ablation.Effect) -> dict[str, Any]:
    numbers = {"from": effect.before, "to": effect.after, "effect": effect.mean}
    return numbers | _fields(effect, "low", "high", "pairs", "p", "significant")


def _forecast(sweep: Sweep) -> dict[str, Any] | None:
    rows = tables.forecast_outcome(sweep)
    if not rows:
        return None
    confusion = tables.confusion(rows)
    return {
        "known": confusion.total,
        **_fields(confusion, "hits", "misses", "false_alarms", "clear"),
        "theory": _fields(tables.theory_confusion(rows), "hits", "misses", "false_alarms", "clear"),
        "probability_auc": tables.probability_auc(rows),
        "au_correlation": tables.au_correlation(rows),
    }


def _compare(sweep: Sweep, other: Sweep) -> dict[str, Any]:
    found = compare.compare(sweep, other)
    sides = [
        {
            "name": side.sweep.name,
            "trials": len(side.sweep.trials),
            "best": side.best and side.best.number,
            **_fields(side, "score", "median", "healthy", "finished", "epochs"),
        }
        for side in found.sides
    ]
    low, high = found.interval
    return {
        "here": sides[0],
        "there": sides[1],
        **_fields(found, "same_data", "shared", "difference"),
        "low": low,
        "high": high,
        "settings": [dict(zip(("name", "here", "there"), row, strict=True)) for row in found.settings],
    }


def _fields(of: Any, *wanted: str) -> dict[str, Any]:
    return {name: getattr(of, name) for name in wanted}


def _finite(value: Any) -> Any:
    """`value` with null in place of NaN and infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _typed(values: list[Any]) -> pa.Array:
    """In their own type; as text where the values of a hyperparameter are of several."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else show(value) for value in values])


def _range(target: dict[str, Any]) -> str:
    """The range of a row of `targets`."""
    return Target("", "", "", target["low"], target["high"]).range_text


def _cell(value: Any) -> str:
    """A value in a Markdown table."""
    if isinstance(value, float):
        return formats.number(value)
    return formats.ABSENT if value is None else show(value).replace("|", "\\|").replace("\n", " ")
