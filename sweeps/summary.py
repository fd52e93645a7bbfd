"""What a sweep has found, on the terminal at its end."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from search_spaces.space import show as show_value
from sweeps.exit_codes import ExitCode
from trainables.health import SICKNESSES

if TYPE_CHECKING:
    from analysis.sweep import Sweep
    from sweeps.result import SweepResult


def show(console: Console, result: SweepResult) -> None:
    """Print what was compared or forecast, how the sweep ended, and its best trial or what may help."""
    from analysis import tables
    from analysis.confirmed import verdicts

    sweep = result.sweep
    config = sweep.record.config
    if config.ablation:
        _show_effects(console, sweep)
    else:
        _show_forecasts(console, tables.forecast_outcome(sweep))

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    say(f"{config.name}: {result.detail}.")
    for problem in sweep.problems:
        console.print(f"{problem}.", style="yellow", highlight=False, soft_wrap=True)
    if (best := result.best) is not None:
        metric = config.metric[0]
        flags = " ".join(f"--set {name}={show_value(value)}" for name, value in best.record.config.items())
        say(
            f"Best: trial {best.number} ({best.record.origin}), {metric} {best.metric(metric):.4f} at epoch "
            f"{best.best_epoch} of {best.epochs}, whose weights are kept"
        )
        say(f"  {flags}")
        if said := tables.worth(best):
            say(f"  {said}")
    if (found := result.confirmed) is not None:
        for line in verdicts(found):
            say(line)
    if result.status is ExitCode.NO_HEALTHY_TRIAL:
        say(f"{_advice(sweep)}more epochs.")


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


def _show_effects(console: Console, sweep: Sweep) -> None:
    """The effect of each step of the studies on the score, and the verdict on each claim."""
    from analysis import ablation

    metric = sweep.objectives[0].metric
    table = Table(title=f"effect on {metric}, mean over seeds [95 % interval, for all steps together]")
    for column in ("study", "step", "before", "after", "effect"):
        table.add_column(column, justify="left" if column in ("study", "step") else "right")
    for step, effects in ablation.steps(sweep, [metric]):
        for effect in effects.values():
            numbers = f"{effect.before:.4g}", f"{effect.after:.4g}", _effect_text(effect)
            table.add_row(step.study, step.name, *numbers)
    if table.row_count:
        console.print(table)
    for claim in ablation.claims(sweep):
        size = f": {_effect_text(claim.effect)}" if claim.effect else ""
        note = f"; {claim.note}" if claim.note else ""
        console.print(f"{claim.finding}: {claim.text} ({claim.metric}{size}{note})", highlight=False, soft_wrap=True)


def _effect_text(effect: Any) -> str:
    bounds = f" [{effect.low:+.3g}, {effect.high:+.3g}]" if effect.low == effect.low else ""
    return f"{effect.mean:+.3g}{bounds}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _word(collapsed: bool | None) -> str:
    return "–" if collapsed is None else "collapsed" if collapsed else "healthy"
