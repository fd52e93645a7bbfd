"""What a sweep looks like in MLflow: from the folder's records to runs, tags, params and metrics. Pure.

Statuses: a trial that trained for its whole budget is FINISHED; a stopped or interrupted one KILLED with the tags
`stop.reason`, `stop.detail`, `stop.epoch` (and `resumable` if a resume continues it); one that threw FAILED with
`error`. The reason stands in the description and in the name as well, for MLflow's table shows names alone until
columns are chosen. Timestamps come from the journal and the epoch log alone, so that a point sent twice is the same
point.
"""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from sweeps.config import SweepConfig
from sweeps.records import ranking
from sweeps.records.journal import SweepState, TrialRecord
from sweeps.records.outcomes import Origin, Reason, Status, SweepStatus
from sweeps.records.record import ParameterRecord, SweepRecord
from trainables.epoch_log import best_row
from trainables.health import Verdict
from trainables.metrics import is_metric
from trainables.requirements import unmet

TRANSIENT_TAGS = frozenset(
    {
        *("stop.reason", "stop.detail", "stop.epoch", "error", "resumable", "nonfinite", "sweep.detail"),
        *("best.trial", "best.run_id", "best.model_uri", "verdict.detail"),
    }
)
NOTE = "mlflow.note.content"  # the description of a run
NOTE_END = "*Written by the sweep. What you write below stays.*"
_RUN_OF_SWEEP = {
    SweepStatus.FINISHED: "FINISHED",
    SweepStatus.INTERRUPTED: "KILLED",
    SweepStatus.FAILED: "FAILED",
}
_RUN_STATUS = {
    Status.PENDING: "RUNNING",
    Status.RUNNING: "RUNNING",
    Status.PAUSED: "RUNNING",
    Status.FINISHED: "FINISHED",
    Status.STOPPED: "KILLED",
    Status.INTERRUPTED: "KILLED",
    Status.FAILED: "FAILED",
    Status.OTHER: "KILLED",
}
_WORDS = {
    Status.FINISHED: "Trained for its whole budget",
    Status.STOPPED: "Stopped",
    Status.INTERRUPTED: "Cut off",
    Status.FAILED: "Failed",
}
_LONGEST_VALUE = 5000  # characters; every MLflow server takes tags and params of that length


class Point(NamedTuple):
    """One metric value; timestamp in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class LogSummary:
    """What one trial's epoch log says in short."""

    epochs: int = 0
    verdict: str = ""
    verdict_detail: str = ""
    control: bool = False
    best_epoch: int = 0  # whose numbers are the trial's
    nonfinite: str = ""  # "train/loss at epoch 7, …": the first epoch of each


@dataclass(frozen=True)
class RunView:
    """A run as it should be. `metrics` are current values; times in milliseconds since 1970."""

    name: str
    status: str
    start_time: int
    end_time: int | None
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Point, ...] = ()


def as_lost(state: SweepState) -> SweepState:
    """The sweep as it stands without its driver: what the journal has running or paused is interrupted."""
    trials = dict(state.trials)
    for index, record in trials.items():
        if record.status in (Status.RUNNING, Status.PAUSED):
            trials[index] = replace(record, status=Status.INTERRUPTED, reason=Reason.DRIVER_LOST)
    if state.status.ended:
        return replace(state, trials=trials)
    return replace(state, trials=trials, status=SweepStatus.INTERRUPTED, detail="the driver died")


def summarise(rows: Sequence[Mapping[str, Any]]) -> LogSummary:
    """Fold one trial's epochs."""
    if not rows:
        return LogSummary()
    nonfinite: dict[str, int] = {}
    for row in rows:
        for name, value in _metrics(row):
            if not math.isfinite(value):
                nonfinite.setdefault(name, row["epoch"])
    return LogSummary(
        epochs=rows[-1]["epoch"],
        best_epoch=best_row(rows)["epoch"],
        verdict=rows[-1]["verdict"] or "",
        verdict_detail=rows[-1]["verdict_detail"] or "",
        control=any(row["control"] for row in rows),
        nonfinite=", ".join(f"{name} at epoch {epoch}" for name, epoch in nonfinite.items()),
    )


def points(record: TrialRecord, rows: Sequence[Mapping[str, Any]], after: int) -> list[Point]:
    """The finite metrics of the epochs > `after`; MLflow would keep a NaN as 0."""
    start = _start(record)
    return [
        Point(name, value, start + round(1000 * (row["seconds"] or 0.0)), row["epoch"])
        for row in rows
        if row["epoch"] > after
        for name, value in _metrics(row)
        if math.isfinite(value)
    ]


def trial_view(sweep: SweepRecord, record: TrialRecord, log: LogSummary) -> RunView:
    """The run of one trial; `sweep` is the content of sweep.json."""
    tags = {
        "sweep.id": sweep.id,
        "sweep.name": sweep.name,
        "sweep.trial": record.trial,
        "origin": record.origin,
        "seed": record.seed,
        "control": record.control,
        "epochs": log.epochs,
        "best_epoch": log.best_epoch,
        "verdict": log.verdict,
        "verdict.detail": "" if log.verdict_detail == record.detail else log.verdict_detail,
        "nonfinite": log.nonfinite,
        "required.missed": _missed(sweep, record),
        NOTE: _trial_note(sweep, record, log),
    }
    if counted := _targets(sweep, record):
        tags["targets.met"] = counted
    if "collapsed" in record.forecast:
        tags["forecast.collapsed"] = record.forecast["collapsed"]
    if record.status in (Status.STOPPED, Status.FAILED, Status.INTERRUPTED):
        tags |= {"stop.reason": record.reason, "stop.epoch": record.epoch or log.epochs}
        tags["error" if record.status == Status.FAILED else "stop.detail"] = record.detail
    if record.status == Status.INTERRUPTED:
        tags["resumable"] = True
    forecast = tuple(
        Point(f"forecast/{name}", float(value), _start(record), 0)
        for name, value in record.forecast.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )
    best = tuple(
        Point(f"best/{name}", record.metrics[name], _milliseconds(record.ended_at) or _start(record), log.best_epoch)
        for name in dict.fromkeys([*sweep.config.metric, sweep.config.told_by])
        if name in record.metrics
    )
    return RunView(
        name=_trial_name(record),
        status=_RUN_STATUS[record.status],
        start_time=_start(record),
        end_time=_milliseconds(record.ended_at),
        params=_texts(record.config),
        tags=_tags(tags),
        metrics=forecast + best,
    )


def sweep_view(sweep: SweepRecord, state: SweepState, logs: Mapping[int, LogSummary]) -> RunView:
    """The parent run; `sweep` is the content of sweep.json."""
    config, data, code = sweep.config, sweep.data, sweep.code
    best = best_trial(config, state, logs)
    tags = {
        "sweep.id": sweep.id,
        "sweep.name": sweep.name,
        "sweep.status": state.status.value,
        "sweep.detail": state.detail,
        "sweep.extended": "; ".join(map(str, state.extended)),
        "model": sweep.model,
        "seed": config.seed,
        "data.source": data.source,
        "data.fingerprint": data.fingerprint,
        "git.dirty": "unknown" if code.dirty is None else code.dirty,
        "code.fingerprint": code.fingerprint or "unknown",
        "command": shlex.join(sweep.command),
        "mlflow.source.name": Path(sweep.command[0]).name if sweep.command else "",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": code.commit or "",
        "best.trial": best or "",
        NOTE: _sweep_note(sweep, state, best),
        **{f"note.{about}": "; ".join(lines) for about, lines in sweep.notes.items()},
    }
    start = _milliseconds(sweep.created) or 0
    end = _milliseconds(max((trial.ended_at for trial in state.trials.values() if trial.ended_at), default=None))
    progress = _progress(config, state, logs, best)
    step = round(progress["sweep/epochs_run"])
    return RunView(
        name=sweep.name,
        status=_RUN_OF_SWEEP.get(state.status, "RUNNING"),
        start_time=start,
        end_time=end,
        params=_texts(
            {name: value for name, value in config.to_dict().items() if name not in ("space", "tracking_uri")}
        )
        | {f"space.{parameter.name}": _range(parameter) for parameter in sweep.space},
        tags=_tags(tags),
        metrics=tuple(Point(name, value, end or start, step) for name, value in progress.items()),
    )


def _targets(sweep: SweepRecord, record: TrialRecord) -> str:
    """How many of the numbers that the model's source states an ended trial meets, as in "3 of 5"; '' without any."""
    targets = sweep.targets or ()
    judged = [
        target.met(record.metrics[target.metric])
        for target in targets
        if target.metric in record.metrics and target.applies(record.config)
    ]
    return f"{sum(judged)} of {len(judged)}" if judged else ""


def _missed(sweep: SweepRecord, record: TrialRecord) -> str:
    """What an ended trial misses of what is required."""
    return "; ".join(unmet(sweep.config.requirements, record.metrics)) if record.status.ended else ""


def _trial_name(record: TrialRecord) -> str:
    """As in "trial 2 baseline COLLAPSED"."""
    origin = "" if record.origin == Origin.SEARCH else record.origin
    return " ".join(filter(None, [f"trial {record.trial}", origin, _reason(record)]))


def _reason(record: TrialRecord) -> str:
    return record.reason if record.status in (Status.STOPPED, Status.FAILED, Status.INTERRUPTED) else ""


def _trial_note(sweep: SweepRecord, record: TrialRecord, log: LogSummary) -> str:
    """What became of a trial; '' while it runs."""
    if record.status not in _WORDS:
        return ""
    reason = f"**{_reason(record)}**" if _reason(record) else ""
    epochs = f"after epoch {record.epoch or log.epochs} of {sweep.config.epochs}"
    again = f"`python sweeps/run.py --trial {sweep.name}:{record.trial}` trains it once more, alone."
    return _note(f"{_WORDS[record.status]} {epochs}. {reason} {record.detail}", "" if sweep.outside else again)


def _sweep_note(sweep: SweepRecord, state: SweepState, best: int | None) -> str:
    """What became of a sweep; '' while it runs."""
    if not state.status.ended:
        return ""
    config, metric = sweep.config, sweep.config.metric[0]
    what = f"{len(state.trials)} trials of {config.epochs} epochs of {sweep.model} on {sweep.data.source}"
    winner = ""
    if best is not None:
        record = state.trials[best]
        score = f", {metric} {record.metrics[metric]:.4g}" if metric in record.metrics else ""
        winner = f"Best: {_trial_name(record)}{score}."
    where = f"`report.html` is among the artifacts. Good columns: `{metric}`, `health/au`, `health/kl_raw`, `origin`."
    return _note(f"{what}, {state.status}. {state.detail}", winner, where)


def _note(*paragraphs: str) -> str:
    return "\n\n".join([*(" ".join(text.split()) for text in paragraphs if text), NOTE_END])


def best_trial(config: SweepConfig, state: SweepState, logs: Mapping[int, LogSummary]) -> int | None:
    """The trial that the sweep named best, or until then the best of those that have finished healthy and as
    required."""
    if state.best is not None:
        return state.best
    scores = {
        record.trial: [record.metrics.get(metric, math.nan) for metric in config.metric]
        for record in state.trials.values()
        if record.status == Status.FINISHED
        and _healthy(logs, record)
        and not unmet(config.requirements, record.metrics)
    }
    return ranking.best(ranking.objectives(config.metric, config.mode), scores)


def _healthy(logs: Mapping[int, LogSummary], record: TrialRecord) -> bool:
    return logs.get(record.trial, LogSummary()).verdict in ("", Verdict.HEALTHY)


def _progress(
    config: SweepConfig, state: SweepState, logs: Mapping[int, LogSummary], best: int | None
) -> dict[str, float]:
    """Counts, and the best score. `epochs_saved`: of their budget, not trained by the stopped trials."""
    trials = state.trials.values()
    statuses = Counter(record.status for record in trials)
    reasons = Counter(record.reason for record in trials if record.status == Status.STOPPED)
    saved = sum(config.epochs - record.epoch for record in trials if record.status == Status.STOPPED)
    progress: dict[str, float] = {
        "sweep/finished": statuses[Status.FINISHED],
        "sweep/stopped": statuses[Status.STOPPED],
        "sweep/failed": statuses[Status.FAILED],
        "sweep/controls": sum(log.control for log in logs.values()),
        "sweep/epochs_run": sum(log.epochs for log in logs.values()),
        "sweep/epochs_saved": saved,
    }
    progress |= {f"sweep/stopped_{reason.lower()}": count for reason, count in reasons.items()}
    metric = config.metric[0]
    if best is not None and metric in state.trials[best].metrics:
        progress["sweep/best_score"] = state.trials[best].metrics[metric]
    return {name: float(value) for name, value in progress.items()}


def _metrics(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in row.items() if value is not None and is_metric(name)]


def _start(record: TrialRecord) -> int:
    return _milliseconds(record.started_at or record.suggested_at) or 0


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(1000 * seconds)


def _range(parameter: ParameterRecord) -> str:
    bounds = json.dumps(parameter.choices or [parameter.low, parameter.high])
    return f"{parameter.kind} {bounds}, documented {parameter.default}, before {parameter.baseline}"


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: _short(json.dumps(value) if isinstance(value, dict | list) else str(value))
        for name, value in values.items()
    }


def _tags(tags: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in tags.items()}
    return {name: _short(text) for name, text in texts.items() if text}


def _short(text: str) -> str:
    if len(text) <= _LONGEST_VALUE:
        return text
    half = _LONGEST_VALUE // 2 - 2
    return f"{text[:half]}\n…\n{text[-half:]}"
