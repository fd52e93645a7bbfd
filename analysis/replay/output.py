"""What a replay prints: a table for people, Markdown, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from analysis.formats import number
from analysis.replay.cells import SHARES
from analysis.replay.curves import Curves
from analysis.replay.recommend import Recommendation
from analysis.replay.regret import GAIN, Estimate, RegretCurve, Summary, Truth

Cell = Callable[[float], str]
UNITS = (("hours", 3600), ("minutes", 60), ("seconds", 1))
MANY = 10  # of a unit, for it to be used


@dataclass(frozen=True, eq=False)
class Result:
    """A scheduler as it was asked for, and what it came to."""

    scheduler: str
    summary: Summary
    curve: RegretCurve


@dataclass(frozen=True, eq=False)
class Replay:
    """All that is printed."""

    curves: Curves
    truth: Truth
    results: Sequence[Result]
    workers: int
    orders: int
    recommended: Recommendation


def _percent(value: float) -> str:
    return number(100 * value, 2)


def _few(value: float) -> str:
    return number(value, 2)


def columns(replay: Replay) -> list[tuple[str, str, Cell]]:
    """Heading, name in `Summary`, and how its numbers are printed."""
    seconds = [result.summary.target_seconds.value for result in replay.results]
    longest = max(filter(math.isfinite, seconds), default=0.0)
    unit, size = next((unit, size) for unit, size in UNITS if longest >= size * MANY or size == 1)
    return [
        ("target reached %", "reached", _percent),
        ("epochs to target", "target_spent", number),
        (f"{unit} to target", "target_seconds", lambda value: number(value / size)),
        ("regret %", "regret", _percent),
        ("healthy %", "yields", _percent),
        ("verdict stops", "condemned", _few),
        ("false stops", "false_stops", _few),
        ("epochs saved %", "saved", _percent),
    ]


def title(replay: Replay) -> str:
    """What was replayed."""
    orders = f"{replay.orders} random orders" if replay.orders > 1 else "one random order"
    return f"{len(replay.curves)} trials of {replay.curves.epochs} epochs, {replay.workers} workers, {orders}"


def notes(replay: Replay) -> list[str]:
    """How the table is to be read, and what it leaves out."""
    truth, metric = replay.truth, replay.curves.metric
    sign = replay.curves.sign
    if math.isnan(truth.best):
        found = f"No trial ends healthy with a {metric} better than {number(sign * truth.free)}: there is no target."
    else:
        free = "a decoder that ignores z for free" if metric == GAIN else "the median trial"
        found = (
            f"Best known {metric}: {number(sign * truth.best, 4)}. Target: {number(sign * truth.target, 4)}, 1 % of "
            f"the way back to {number(sign * truth.free)} ({free}); regret is in parts of that way. Only a trial "
            "that finishes healthy counts."
        )
    reading = (
        "Means over the orders, medians of what it takes to reach the target (∞: not reached in half of them), with "
        "95 % bootstrap intervals over the orders. Healthy: share of the trials that ran to their end, the "
        "condemned kept as controls among them. Verdict stops: trials that the health verdict stopped; false stops: "
        "those of them that are healthy when run to the end."
    )
    return [found, reading, *replay.curves.notes]


def table(replay: Replay) -> Any:
    """For a terminal (a rich renderable)."""
    from rich import box
    from rich.console import Group
    from rich.table import Table

    drawn = Table(title=title(replay), box=box.SIMPLE_HEAD, title_justify="left", padding=0, pad_edge=False)
    drawn.add_column("scheduler", overflow="fold")
    for name, _, _ in columns(replay):
        drawn.add_column(name, justify="right", overflow="fold")
    for result in replay.results:
        cells = [f"{value}\n[dim]{interval}[/]" for value, interval in _cells(replay, result)]
        name = result.scheduler.replace(":", "\n").replace(",", " ")
        drawn.add_row(name, *cells)
    advice = replay.recommended
    spent = [] if advice.refused else [_spent_table(advice), ""]
    return Group(drawn, "", *notes(replay), "", *spent, advice.sentence)


def _spent_table(advice: Recommendation) -> Any:
    from rich import box
    from rich.table import Table

    spent = Table(title=spent_title(advice), box=box.SIMPLE_HEAD, title_justify="left", padding=0, pad_edge=False)
    spent.add_column("scheduler", overflow="fold")
    for share in SHARES:
        spent.add_column(f"{share:.0%}", justify="right", overflow="fold")
    spent.add_column("best found", justify="right", overflow="fold")
    for name, cells in _spent_cells(advice):
        spent.add_row(name.replace(":", "\n"), *(f"{value}\n[dim]{interval}[/]" for value, interval in cells))
    return spent


def markdown(replay: Replay) -> str:
    """A table and the notes."""
    lines = [
        f"**{title(replay)}**\n",
        "| scheduler | " + " | ".join(name for name, _, _ in columns(replay)) + " |",
        "| --- |" + " ---: |" * len(columns(replay)),
    ]
    for result in replay.results:
        cells = [f"{value} ({interval})" if interval else value for value, interval in _cells(replay, result)]
        lines.append(f"| {result.scheduler} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(f"\n{note}" for note in notes(replay)), *_spent_markdown(replay.recommended)])


def spent_title(advice: Recommendation) -> str:
    """What the second table shows."""
    return (
        f"Regret % when so much of all epochs is spent: {advice.draws} draws of {advice.trials} trials, "
        f"{advice.workers} slots; 95 % intervals over the draws; *: the lowest; best found: after so much of all "
        "epochs, 100 % where it never is"
    )


def _spent_markdown(advice: Recommendation) -> list[str]:
    if advice.refused:
        return [f"\n{advice.sentence}"]
    rows = [
        f"| {name} | " + " | ".join(f"{value} ({interval})" for value, interval in cells) + " |"
        for name, cells in _spent_cells(advice)
    ]
    head = "| scheduler | " + " | ".join([*(f"{share:.0%}" for share in SHARES), "best found"]) + " |"
    rule = "| --- |" + " ---: |" * (len(SHARES) + 1)
    return [f"\n**{spent_title(advice)}**\n", head, rule, *rows, f"\n{advice.sentence}"]


def _spent_cells(advice: Recommendation) -> list[tuple[str, list[tuple[str, str]]]]:
    """Of each scheduler the regret at every share, the lowest with a star, and the share of all epochs at which the
    best is found, each with its interval."""
    lowest = [min(one.regret[at][0] for one in advice.standings) for at in range(len(SHARES))]
    return [
        (
            one.scheduler,
            [
                (f"{_percent(mean)}{'*' if mean == least else ''}", f"{_percent(low)}–{_percent(high)}")
                for (mean, low, high), least in zip((*one.regret, one.needed), (*lowest, -1.0), strict=True)
            ],
        )
        for one in advice.standings
    ]


def as_json(replay: Replay) -> str:
    """Every number; null where there is none, as for a target that was not reached."""
    curves, truth = replay.curves, replay.truth
    record = {
        "trials": len(curves),
        "epochs": curves.epochs,
        "workers": replay.workers,
        "orders": replay.orders,
        "metric": curves.metric,
        "mode": curves.mode,
        "best": curves.sign * truth.best,
        "target": curves.sign * truth.target,
        "free": curves.sign * truth.free,
        "notes": notes(replay),
        "recommended": asdict(replay.recommended) | {"sentence": replay.recommended.sentence, "shares": SHARES},
        "schedulers": [
            {"scheduler": result.scheduler, **asdict(result.summary)}
            | {"curve": {name: values.tolist() for name, values in vars(result.curve).items()}}
            for result in replay.results
        ],
    }
    return json.dumps(_finite(record), indent=1, ensure_ascii=False)


def _cells(replay: Replay, result: Result) -> list[tuple[str, str]]:
    """Of each column the value and its interval, '' if that is one point."""
    cells = []
    for _, name, cell in columns(replay):
        estimate: Estimate = getattr(result.summary, name)
        value, low, high = (cell(one) for one in (estimate.value, estimate.low, estimate.high))
        cells.append((value, "" if value == low == high else f"{low}–{high}"))
    return cells


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
