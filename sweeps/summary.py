"""The last words of a sweep, and its exit status."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from search_spaces.space import show as show_value
from sweeps.config import SweepConfig
from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Reason, Status
from trainables.health import SICKNESSES

if TYPE_CHECKING:
    from analysis.sweep import Sweep, Trial
    from sweeps.run_state import SweepRun


def outcome(state: SweepRun, best: Trial | None, crashed: str, unread: str = "") -> tuple[ExitCode, str]:
    """The exit status and a sentence about it.

    Args:
        state: the sweep.
        best: its best trial; None if there is none, or none is known.
        crashed: what broke the run off.
        unread: why the best trial is not known.
    """
    records = list(state.records.values())
    reasons = Counter(record.reason for record in records if record.reason)
    counts = ", ".join(f"{count} × {reason}" for reason, count in reasons.most_common()) or "no trial was stopped"
    if crashed:
        return ExitCode.FAILED, f"the run broke off: {crashed}"
    healthy = state.healthy if unread else best is not None
    if unread:
        counts += f"; the best trial is not known: {unread}"
    if state.stopping == Reason.TIME_BUDGET and healthy:
        return ExitCode.FINISHED, f"the time budget is spent; {counts}"
    if (state.stopping and state.remaining > 0) or any(not record.status.ended for record in records):
        return ExitCode.INTERRUPTED, f"interrupted; {counts}"
    if all(record.status is Status.FAILED for record in records):
        return ExitCode.FAILED, f"every trial failed; {counts}"
    if not healthy:
        return ExitCode.NO_HEALTHY_TRIAL, f"no trial ended healthy, so there is no best one; {counts}"
    return ExitCode.FINISHED, counts


def show(console: Console, config: SweepConfig, sweep: Sweep, code: ExitCode, detail: str, page: Path | str) -> None:
    """Print what was compared or forecast, the best trial, and the path of the report or why there is none."""
    from analysis import tables

    if config.ablation:
        _show_effects(console, config, sweep)
    else:
        _show_forecasts(console, tables.forecast_outcome(sweep))
    best = tables.best_trial(sweep)
    for problem in sweep.problems:
        console.print(f"{problem}.", style="yellow", highlight=False, soft_wrap=True)
    console.print(f"{config.name}: {detail}.", highlight=False, soft_wrap=True)
    if best is not None:
        metric = config.metric[0]
        flags = " ".join(f"--set {name}={show_value(value)}" for name, value in best.record.config.items())
        console.print(
            f"Best: trial {best.number} ({best.record.origin}), {metric} {best.metric(metric):.4f} at epoch "
            f"{best.best_epoch} of {best.epochs}, whose weights are kept",
            highlight=False,
            soft_wrap=True,
        )
        console.print(f"  {flags}", highlight=False, soft_wrap=True)
        if told := tables.worth(best):
            console.print(f"  {told}", highlight=False, soft_wrap=True)
    if code is ExitCode.NO_HEALTHY_TRIAL:
        console.print(f"{_advice(sweep)}more epochs.", highlight=False, soft_wrap=True)
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)


def _advice(sweep: Sweep) -> str:
    """The cure of the sickness that most trials had, and the beginning of what always may help."""
    sick = Counter(trial.verdict for trial in sweep.trials if trial.verdict in SICKNESSES)
    return f"{SICKNESSES[sick.most_common(1)[0][0]].cure}, or give the trials " if sick else "Give the trials "


def _show_forecasts(console: Console, rows: list[Any]) -> None:
    if not rows:
        return
    table = Table(title="forecast against outcome")
    for column in ("trial", "σ²", "AU forecast", "AU", "KL forecast", "KL", "p", "forecast", "outcome"):
        table.add_column(column, justify="right")
    for row in rows:
        ends = [_number(value, 3) for value in (row.kl_low, row.kl_high)]
        table.add_row(
            f"{row.trial.number}",
            *(_number(value, digits) for value, digits in ((row.sigma2, 3), (row.forecast_au, 4), (row.au, 4))),
            ends[0] if ends[0] == ends[1] else "–".join(ends),
            _number(row.kl, 3),
            _number(row.probability, 2),
            row.reading or "–",
            _word(row.collapsed),
        )
    console.print(table)


def _show_effects(console: Console, config: SweepConfig, sweep: Any) -> None:
    """The effect of each step of the studies on the score, and the verdict on each claim."""
    from analysis import ablation

    metric = config.metric[0]
    table = Table(title=f"effect on {metric}, mean over seeds [95 % interval, for all steps together]")
    for column, justify in (
        ("study", "left"),
        ("step", "left"),
        ("before", "right"),
        ("after", "right"),
        ("effect", "right"),
    ):
        table.add_column(column, justify=justify)
    for step, effects in ablation.steps(sweep, [metric]):
        for effect in effects.values():
            numbers = f"{effect.before:.4g}", f"{effect.after:.4g}", _effect_text(effect)
            table.add_row(step.study, step.name, *numbers)
    if table.row_count:
        console.print(table)
    for claim in ablation.claims(sweep):
        numbers = f": {_effect_text(claim.effect)}" if claim.effect else ""
        note = f"; {claim.note}" if claim.note else ""
        console.print(
            f"{claim.finding}: {claim.text} ({claim.metric}{numbers}{note})", highlight=False, soft_wrap=True
        )


def _effect_text(effect: Any) -> str:
    bounds = f" [{effect.low:+.3g}, {effect.high:+.3g}]" if effect.low == effect.low else ""
    return f"{effect.mean:+.3g}{bounds}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _word(collapsed: bool | None) -> str:
    return "–" if collapsed is None else "collapsed" if collapsed else "healthy"
