"""What a sweep would do: configurations, forecasts, time and disk. Nothing is trained."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from search_spaces.space import SearchSpace, show
from sweeps import confirm, kl_weight, suggestions
from sweeps.ablation import Ablation
from sweeps.config import SweepConfig
from sweeps.cost import Cost
from sweeps.forecasting import AnyForecaster
from sweeps.kl_weight import KlWeight
from sweeps.memory import Memory
from sweeps.openings import openings
from sweeps.outlook import outlook
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Origin
from trainables.files import write_text
from trainables.forecast import MEANING, Forecast, Reading, reading

SURVEYED = 100  # random configurations, for the share of the space that is forecast to collapse
_OWN_LOOP = ("No forecast: your own loop: no loss is known.",)
_FORECAST_COLUMNS = ("forecast", "p", "AU", "KL (nats)", "σ²")
_COLOURS = {
    Reading.HEALTHY: "green",
    Reading.AT_RISK: "yellow",
    Reading.MAY_HOLD: "yellow",
    Reading.COLLAPSES: "red",
}


@dataclass(frozen=True)
class Plan:
    """The plan of a sweep. Seconds and bytes are of trials as large as the documented one, nothing stopped early;
    those that confirm the best are among them."""

    model: str
    data: str
    trials: int
    epochs: int
    slots: int
    configurations: list[dict[str, Any]]  # trial, origin, config, forecast
    survey: dict[str, float] | None  # of the whole space: shares forecast to collapse, quartiles of forecast AU
    kl_weight: KlWeight | None
    basis: str  # of the probability of collapse, in words; '' where theory stands alone
    outside: dict[str, float]  # shares of the whole space that lie outside the trials behind it, by feature
    epoch_seconds: float | None  # None where nothing can be measured: a loop of the user's own
    total_seconds: float | None
    disk_bytes: float


def make(
    config: SweepConfig, data: str, forecaster: AnyForecaster, cost: Cost, slots: int, memory: Memory | None = None
) -> Plan:
    """Plan a sweep on what `data` names, of trials that cost `cost`, `slots` at once."""
    space = config.search_space()
    configurations = (
        _variants(config.ablation) if config.ablation else first_trials(config, space, forecaster, memory)
    )
    for configuration in configurations:
        forecast = forecaster.forecast(configuration["config"])
        configuration["forecast"] = forecast.to_dict() if forecast else None
    seconds = cost.epoch_seconds
    trained = config.trials + (config.confirm.trials if config.confirm else 0)
    surveyed = _surveyed(config, space, forecaster)
    return Plan(
        model=config.model,
        data=data,
        trials=config.trials,
        epochs=config.epochs,
        slots=slots,
        configurations=configurations,
        survey=_survey(surveyed),
        kl_weight=kl_weight.find(space, forecaster),
        basis=forecaster.collapse.source if forecaster.collapse else "",
        outside=_outside(surveyed, forecaster),
        epoch_seconds=seconds,
        total_seconds=None if seconds is None else seconds * config.epochs * trained / slots,
        disk_bytes=cost.checkpoint_bytes * trained,
    )


def first_trials(
    config: SweepConfig, space: SearchSpace, forecaster: AnyForecaster, memory: Memory | None = None
) -> list[dict[str, Any]]:
    """The trials that are known before any result."""
    given = openings(config, space)
    trials = [
        {"trial": number, "origin": origin, "config": values}
        for number, (origin, values) in enumerate(given[: config.trials], 1)
    ]
    search = suggestions.search_of(config, memory, forecaster)
    for trial in range(search.first, int(min(config.trials, search.ahead)) + 1):
        if (suggested := search.suggest(trial)) is not None:
            trials.append({"trial": trial, "origin": Origin.SEARCH, "config": suggested})
    return trials


def _variants(ablation: Ablation) -> list[dict[str, Any]]:
    """The first round of an ablation."""
    return [
        {"trial": number, "origin": variant.name, "config": variant.config}
        for number, variant in enumerate(ablation.variants, 1)
    ]


def write(config: SweepConfig, plan: Plan) -> None:
    """Write `plan.json`."""
    write_text(SweepFolder(config.folder).plan, json.dumps(asdict(plan), indent=1))


def render(plan: Plan, config: SweepConfig) -> Any:
    """The plan for the terminal."""
    from rich.box import SIMPLE
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    space = config.search_space()
    most = "at most " if config.ablation and len(config.ablation.looks) > 1 else ""
    title = f"{plan.model} on {plan.data}: {most}{plan.trials} trials of {plan.epochs} epochs"
    table = Table(box=SIMPLE, title=title, collapse_padding=True, pad_edge=False)
    columns = ("trial", "origin", *(_FORECAST_COLUMNS if plan.survey else ()))
    for column in columns:
        table.add_column(column, justify="left" if column in ("origin", "forecast") else "right")
    varied = [parameter.name for parameter in space.parameters]
    table.add_column("differs from documented in", overflow="fold")
    documented = space.documented()
    for row in plan.configurations:
        different = [
            f"{name}={show(rounded(row['config'][name]))}"
            for name in varied
            if row["config"][name] != documented[name]
        ]
        table.add_row(f"{row['trial']}", row["origin"], *_forecast_cells(row["forecast"]), " ".join(different))
    rest = plan.trials - len(plan.configurations)
    lines = [
        _rest_line(config, rest),
        "" if config.ablation else confirm.told(config.confirm, config.trials),
        *(_OWN_LOOP if plan.epoch_seconds is None else _survey_lines(plan)),
        *(f"{found}: {MEANING[found]}" for found in MEANING if found in _readings(plan)),
        *kl_weight.sentences(plan.kl_weight),
        *_cost_lines(plan),
    ]
    return Group(table, Text("\n".join(filter(None, lines))))


def _cost_lines(plan: Plan) -> list[str]:
    if plan.epoch_seconds is None or plan.total_seconds is None:
        return [f"{plan.slots} trials at once. Time and disk are not known: your own loop is not run for the plan."]
    return [
        f"About {_duration(plan.total_seconds)} at most ({plan.epoch_seconds:.2g} s an epoch, {plan.slots} trials at "
        f"once, nothing stopped early) and up to {plan.disk_bytes / 2**30:.1f} GiB of checkpoints."
    ]


def _readings(plan: Plan) -> set[Reading | None]:
    return {reading(row["forecast"]) for row in plan.configurations if row["forecast"]}


def _rest_line(config: SweepConfig, rest: int) -> str:
    if config.ablation:
        ablation = config.ablation
        *first, last = map(str, ablation.looks)
        seeds = f"{', '.join(first)} or {last}" if first else last
        what = f"Each variant runs with {seeds} seeds, for {len(ablation.comparisons)} comparisons."
        return "\n".join([what, *outlook(ablation)])
    return f"{rest} further trials are chosen by {config.search} as results come in." if rest > 0 else ""


def _forecast_cells(forecast: dict[str, Any] | None) -> list[Any]:
    from rich.text import Text

    if forecast is None or (found := reading(forecast)) is None:
        return []
    probability = forecast["collapse_probability"]
    return [
        Text(found.value, _COLOURS[found]),
        "–" if probability is None else f"{probability:.2f}",
        f"{forecast['au']}",
        _interval(forecast["kl_low"], forecast["kl_high"]),
        f"{forecast['sigma2']:.3g}",
    ]


def _interval(low: float | None, high: float | None) -> str:
    """A KL in nats; None is unbounded."""
    texts = ["∞" if value is None else f"{value:.0f}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else "–".join(texts)


def _survey_lines(plan: Plan) -> list[str]:
    survey = plan.survey
    if survey is None:
        whys = (
            "the loss has no KL term or no best constant",
            "the model reads fields",
            "there are fewer than four samples",
        )
        return [f"No forecast: {', or '.join(whys)}."]
    theory = (
        f"Of the whole space, {survey['collapsed']:.0%} collapses at its optimum (no eigenvalue of the data, as "
        f"found in new samples, exceeds σ²); AU quartiles {survey['au_25']:.0f} / {survey['au_50']:.0f} / "
        f"{survey['au_75']:.0f}."
    )
    if plan.kl_weight is None and survey["collapsed"] == 1.0:
        theory += " No hyperparameter scales this model's KL weight."
    if not plan.basis:
        return [theory, "The forecast is theory alone: no sweep of this model has been recorded. It stops nothing."]
    learnt = (
        f"p: probability that training ends with a decoder that ignores z, from {plan.basis}; one half or more in "
        f"{survey['likely']:.0%} of the space. It stops nothing; a search that draws all trials up front starts "
        "those last."
    )
    outside = ", ".join(f"{name} ({share:.0%} of the space)" for name, share in plan.outside.items())
    return [theory, learnt, outside and f"Outside those trials, and answered as the nearest of them: {outside}."]


def rounded(value: Any) -> Any:
    """A float to three significant digits, for reading."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _surveyed(config: SweepConfig, space: SearchSpace, forecaster: AnyForecaster) -> list[Forecast]:
    draws = (space.draw(np.random.default_rng([config.seed, 1, number])) for number in range(SURVEYED))
    return [forecast for draw in draws if (forecast := forecaster.forecast(draw))]


def _outside(surveyed: list[Forecast], forecaster: AnyForecaster) -> dict[str, float]:
    if forecaster.collapse is None:
        return {}
    found = Counter(name for forecast in surveyed for name in forecaster.collapse.outside(forecast.features))
    return {name: count / len(surveyed) for name, count in found.most_common()}


def _survey(forecasts: list[Forecast]) -> dict[str, float] | None:
    if not forecasts:
        return None
    quartiles = np.percentile([forecast.au for forecast in forecasts], [25, 50, 75])
    return {
        "collapsed": float(np.mean([forecast.collapsed for forecast in forecasts])),
        "likely": float(np.mean([forecast.expects_collapse for forecast in forecasts])),
        **{f"au_{q}": float(au) for q, au in zip((25, 50, 75), quartiles, strict=True)},
    }


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
