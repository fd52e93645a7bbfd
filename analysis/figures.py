"""The figures of the report, as SVG that follows the page's colours.

Every function takes the loaded sweep and returns one `<svg>` element. Figures are drawn without pyplot; one
collection per outcome keeps thousands of trials cheap, and beyond `RASTERISED_ABOVE` trials the marks become one
image.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from analysis import names, palette, tables
from analysis.ablation import Effect
from analysis.formats import plain, short
from analysis.palette import HAIRLINE, INK, MUTED, STYLES
from analysis.sweep import Sweep, Trial
from search_spaces.space import show
from sweeps.ablation import Contrast
from sweeps.records.outcomes import Origin, Outcome
from sweeps.records.ranking import Objective

RASTERISED_ABOVE = 200  # trials
HEAT_MAP_ROWS = 240
MOST_CURVES = 1500
_WIDE, _HALF = (11.2, 4.3), (6.4, 4.3)  # inches at 72 points
_BACKGROUND_FIRST = (
    *(Outcome.PENDING, Outcome.RUNNING, Outcome.RUNG, Outcome.GIVEN_UP, Outcome.BY_HAND),
    *(Outcome.INTERRUPTED, Outcome.FINISHED),
)
_DASHED = (0, (4, 3))
_styled = mpl.rc_context(
    {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.size": 8.5,
        "figure.dpi": 72,
        "savefig.dpi": 144,
        "axes.edgecolor": MUTED[0],
        "axes.labelcolor": INK[0],
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": HAIRLINE[0],
        "grid.linewidth": 0.6,
        "xtick.color": MUTED[0],
        "ytick.color": MUTED[0],
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "text.color": INK[0],
        "legend.frameon": False,
    }
)
_THEME = {light: f"var(--{name}, {light})" for name, light in palette.variables(dark=False).items()}
_LABEL_HEIGHT = 0.05  # of the axes
_HEAT = LinearSegmentedColormap.from_list("heat", mpl.colormaps["cividis"](np.linspace(0.15, 1.0, 256)))
_SICK = ListedColormap([STYLES[Outcome.COLLAPSED].light])


@_styled
def learning_curves(sweep: Sweep, objective: Objective) -> Markup:
    """The course of a metric in every trial, with a mark where a trial ended early."""
    curves = sweep.curve(objective.metric)
    figure, axes = _figure(_WIDE)
    trials = [trial for trial in sweep.trials if trial.number in curves]
    low, high = robust_limits(curves, [trial.number for trial in trials if trial.healthy])
    drawn = set(evenly([trial.number for trial in trials], MOST_CURVES))
    for outcome in _drawing_order(trials):
        lines = [curves[trial.number] for trial in trials if trial.outcome == outcome and trial.number in drawn]
        style = STYLES[outcome]
        axes.add_collection(
            LineCollection(
                lines, colors=style.light, linewidths=1.0, alpha=_alpha(len(lines)), rasterized=_many(sweep)
            ),
            autolim=False,
        )
        if lines and outcome not in (Outcome.FINISHED, Outcome.RUNNING):
            ends = np.array([_last_finite(line) for line in lines])
            ends[:, 1] = ends[:, 1].clip(low, high)
            _marks(axes, ends, outcome, _many(sweep))
    named = [(trial, text) for trial, text in _named(sweep) if trial.number in curves]
    for trial, _ in named:
        axes.plot(*curves[trial.number].T, color=STYLES[trial.outcome].light, linewidth=2.2)
    axes.set(xlim=(1 if sweep.epochs > 1 else 0.5, max(sweep.epochs, 1.5)), ylim=(low, high), xlabel="epoch")
    axes.set_ylabel(names.label(objective.metric))
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    _end_labels(axes, [(curves[trial.number], text) for trial, text in named])
    _legend(axes, trials, columns=8)
    return _svg(figure, "curves-" + re.sub(r"\W+", "-", objective.metric))


@_styled
def units_and_kl(sweep: Sweep) -> Markup:
    """Active units against raw KL at the best epoch, with the thresholds of the health verdict."""
    trials = [trial for trial in sweep.trials if trial.measured("health/au", "health/kl_raw")]
    kl_floor = sweep.health.kl_floor
    figure, axes = _figure(_HALF)
    _logarithmic(axes.xaxis, 0.01, [*(trial.metric("health/kl_raw") for trial in trials), 10 * kl_floor])
    _logarithmic(axes.yaxis, 1.0, [*(trial.metric("health/au") for trial in trials), 10.0])
    _threshold(axes.axvline(kl_floor))
    _threshold(axes.axhline(max(0.5, sweep.health.au_frac_floor * _dims(sweep))))
    axes.text(
        kl_floor, 0.97, f" KL floor {plain(kl_floor)}", transform=axes.get_xaxis_transform(), va="top", fontsize=8
    )
    for outcome in _drawing_order(trials):
        _marks(axes, _points(trials, outcome, "health/kl_raw", "health/au"), outcome, _many(sweep))
    axes.set(xlabel="raw KL, nats per sample", ylabel="active units")
    _legend(axes, trials)
    return _svg(figure, "units")


def _threshold(line: Line2D) -> None:
    line.set(color=STYLES[Outcome.COLLAPSED].light, linewidth=0.9, linestyle=_DASHED, zorder=1)


def _dims(sweep: Sweep) -> float:
    return max((trial.metrics.get("health/dims", 1.0) for trial in sweep.trials), default=1.0)


@_styled
def codes(sweep: Sweep) -> Markup:
    """The share of the codes in use against what they are good for, with the threshold of the health verdict."""
    trials = [trial for trial in sweep.trials if trial.measured("health/codebook_usage", "health/z_gain")]
    figure, axes = _figure(_HALF)
    low, high = _clipped_axis(axes, [trial.metric("health/z_gain") for trial in trials], 0.05, 1.0)
    _threshold(axes.axvline(sweep.health.codebook_usage_floor))
    for outcome in _drawing_order(trials):
        points = _points(trials, outcome, "health/codebook_usage", "health/z_gain")
        _marks(axes, np.column_stack([points[:, 0], points[:, 1].clip(low, high)]), outcome, _many(sweep))
    axes.set(xlim=(-0.02, 1.02), xlabel="share of the codes in use", ylabel=names.label("health/z_gain"))
    _legend(axes, trials)
    return _svg(figure, "codes")


@_styled
def rate_and_distortion(sweep: Sweep) -> Markup:
    """What the latent costs against what the reconstruction still misses, with the front that no trial beats."""
    trials = [trial for trial in sweep.trials if trial.measured("health/rate", "val/mse")]
    figure, axes = _figure(_HALF)
    low, high = _clipped_axis(axes, [trial.metric("val/mse") for trial in trials], 0.0, 0.95)
    rates = [trial.metric("health/rate") for trial in trials]
    least = min((rate for rate in rates if rate > 0), default=1.0)
    _logarithmic(axes.xaxis, max(0.1, 10.0 ** math.floor(math.log10(least))), rates)
    for outcome in _drawing_order(trials):
        points = _points(trials, outcome, "health/rate", "val/mse")
        _marks(axes, np.column_stack([points[:, 0], points[:, 1].clip(low, high)]), outcome, _many(sweep))
    front = [(trial.metric("health/rate"), trial.metric("val/mse")) for trial in tables.rate_distortion_front(trials)]
    axes.step(*np.array(front).T, where="post", color=MUTED[0], linewidth=0.9, linestyle=_DASHED, zorder=1)
    axes.set(xlabel="rate, nats per sample", ylabel="distortion: held-out MSE")
    _legend(axes, trials)
    return _svg(figure, "rate")


def _points(trials: Sequence[Trial], outcome: Outcome, *metrics: str) -> np.ndarray:
    return np.array([[trial.metric(metric) for metric in metrics] for trial in trials if trial.outcome == outcome])


def _clipped_axis(axes: Axes, values: Sequence[float], lowest: float, highest: float) -> tuple[float, float]:
    """Limit the y axis to two quantiles of `values`, with a margin; marks beyond belong at its edge."""
    low, high = (float(np.quantile(values, share)) for share in (lowest, highest))
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 0.1
    axes.set_ylim(low - margin, high + margin)
    return low - margin, high + margin


@_styled
def heat_map(sweep: Sweep, metric: str, trials: Sequence[Trial]) -> Markup:
    """A metric over training: a row per trial behind its outcome's colour, a column per epoch.

    Empty where a trial had ended, in the colour of collapse where the health verdict condemned it.
    """
    curves = sweep.curve(metric)
    grid = np.full((len(trials), sweep.epochs), np.nan)
    for row, trial in enumerate(trials):
        curve = curves.get(trial.number, np.empty((0, 2)))
        grid[row, curve[:, 0].astype(int) - 1] = curve[:, 1]
    sick = _condemned(sweep, trials)
    figure, axes = _figure((_HALF[0], min(8.0, 1.2 + 0.09 * len(trials) + 1.2)))

    def paint(values: np.ndarray, colours: Colormap, norm: Normalize | None = None) -> AxesImage:
        extent = (0.5, sweep.epochs + 0.5, len(trials) + 0.5, 0.5)
        return axes.imshow(values, colours, norm, aspect="auto", interpolation="nearest", extent=extent)

    image = paint(grid, _HEAT, _heat_norm(sweep, metric, grid))
    paint(np.where(sick, 1.0, np.nan), _SICK)
    left = 0.5 - 0.02 * sweep.epochs
    for row, trial in enumerate(trials, start=1):
        strip, colour = ([left] * 2, [row - 0.5, row + 0.5]), STYLES[trial.outcome].light
        axes.plot(*strip, color=colour, linewidth=5, solid_capstyle="butt", clip_on=False)
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set(xlim=(0.5 - 0.04 * sweep.epochs, sweep.epochs + 0.5), xlabel="epoch", ylabel="trials")
    axes.set_yticks([])
    axes.set_xticks([tick for tick in MaxNLocator(8, integer=True).tick_values(1, sweep.epochs) if tick >= 1])
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0, 0.025, 1)))
    if isinstance(image.norm, LogNorm):
        low, high = image.get_clim()
        decades = math.log10(high / low)
        bar.locator = LogLocator(subs=(1.0,) if decades > 1.5 else (1.0, 2.0, 5.0))
    bar.formatter = FuncFormatter(lambda at, _: short(at, 2))
    bar.outline.set_visible(False)
    bar.minorticks_off()
    bar.set_label(names.label(metric))
    _legend(axes, trials)
    return _svg(figure, "heat-" + re.sub(r"\W+", "-", metric))


def heat_map_rows(sweep: Sweep, metrics: Sequence[str]) -> list[Trial]:
    """The trials of the heat maps, the highest last values on top: every k-th of them where they are too many."""
    curves = [sweep.curve(metric) for metric in metrics]
    trials = [trial for trial in sweep.trials if trial.number in curves[0]]

    def last(trial: Trial) -> list[float]:
        return [_last_finite(of[trial.number])[1] if trial.number in of else -math.inf for of in curves]

    return evenly(sorted(trials, key=last, reverse=True), HEAT_MAP_ROWS)


def _condemned(sweep: Sweep, trials: Sequence[Trial]) -> np.ndarray:
    """Where the verdict condemned, (trials, epochs)."""
    rows = {trial.number: row for row, trial in enumerate(trials)}
    found = np.zeros((len(trials), sweep.epochs), dtype=bool)
    for trial, epoch in sweep.condemned_epochs:
        if trial in rows:
            found[rows[trial], epoch - 1] = True
    return found


def _heat_norm(sweep: Sweep, metric: str, values: np.ndarray) -> Normalize:
    """KL by order of magnitude, from the floor of the verdict at the lowest; the others in proportion. A few wild
    values do not stretch it."""
    finite = values[np.isfinite(values)]
    if metric == "health/kl_raw":
        positive = finite[finite > 0]
        low, high = np.quantile(positive, [0.02, 0.98]) if len(positive) else (1.0, 1.0)
        low = max(low, sweep.health.kl_floor)
        return LogNorm(low, max(high, 1.1 * low), clip=True)
    return Normalize(0.0, np.quantile(finite, 0.98) or 1.0, clip=True)


def evenly(items: Sequence[Any], most: int) -> list[Any]:
    """Every k-th item, so that there are at most `most`."""
    return list(items[:: max(1, math.ceil(len(items) / most))])


@_styled
def effects(rows: Sequence[tuple[Contrast, Effect]], objective: Objective) -> Markup:
    """The effect of every step of an ablation with its interval, by study."""
    labels: list[tuple[str, Effect | None]] = []
    for place, (comparison, found) in enumerate(rows):
        if place == 0 or rows[place - 1][0].study != comparison.study:
            labels.append((comparison.study, None))
        labels.append((comparison.name, found))
    figure, axes = _figure((_WIDE[0], 0.8 + 0.27 * len(labels)))
    axes.axvline(0, color=MUTED[0], linewidth=0.9, zorder=1)
    for place, (_, effect) in enumerate(labels):
        if effect:
            colour = _effect_colour(effect, objective)
            axes.plot([effect.low, effect.high], [place] * 2, color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot([effect.mean], [place], "o", color=colour, markersize=5, markeredgewidth=0)
    axes.set_yticks(range(len(labels)), [label for label, _ in labels])
    for tick, (_, effect) in zip(axes.get_yticklabels(), labels, strict=True):
        tick.set_color(MUTED[0] if effect else INK[0])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set(ylim=(len(labels) - 0.4, -0.6), xlabel=f"change of {names.label(objective.metric)}")
    return _svg(figure, "effects")


def _effect_colour(effect: Effect, objective: Objective) -> str:
    """Blue for better, orange for worse, grey where the change is not told from none."""
    if not effect.significant:
        return STYLES[Outcome.RUNG].light
    return STYLES[Outcome.FINISHED if objective.sign * effect.mean > 0 else Outcome.COLLAPSED].light


@_styled
def parallel_coordinates(sweep: Sweep, hyperparameters: Sequence[str], objective: Objective) -> Markup:
    """Hyperparameters and score of every trial as one line each, coloured by outcome."""
    trials = [trial for trial in sweep.trials if trial.measured(objective.metric)]
    trials = evenly(trials, RASTERISED_ABOVE)
    axes_of = [_scale(sweep, trials, name) for name in hyperparameters]
    scores = np.array([trial.metric(objective.metric) for trial in trials])
    low, high = float(np.quantile(scores, 0.05)), float(scores.max())
    axes_of.append((((scores - low) / (high - low or 1.0)).clip(0, 1), {0.0: short(low), 1.0: short(high)}))
    heights = np.column_stack([values for values, _ in axes_of])
    figure, axes = _figure(_WIDE)
    for outcome in _drawing_order(trials):
        rows = [row for row, trial in enumerate(trials) if trial.outcome == outcome]
        lines = [np.column_stack([np.arange(heights.shape[1]), heights[row]]) for row in rows]
        colour = STYLES[outcome].light
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=1.1, alpha=_alpha(len(lines))))
    for place, (_, marks) in enumerate(axes_of):
        axes.axvline(place, color=MUTED[0], linewidth=0.6, zorder=1)
        for height, text in marks.items():
            at, align = {0.0: (-0.03, "top"), 1.0: (1.02, "bottom")}.get(height, (height, "center"))
            axes.text(place, at, text, ha="center", va=align, fontsize=7.5)
    labels = [*(name.replace("_", "\n", 1) for name in hyperparameters), names.label(objective.metric)]
    axes.set_xticks(range(len(labels)), labels)
    axes.tick_params(axis="x", pad=14)
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set(xlim=(-0.3, len(labels) - 0.7), ylim=(-0.02, 1.02))
    _legend(axes, trials, columns=8, bottom=1.07)
    return _svg(figure, "parallel")


def _scale(sweep: Sweep, trials: Sequence[Trial], name: str) -> tuple[np.ndarray, dict[float, str]]:
    """Each trial's height in [0, 1] on the axis of a hyperparameter, and the texts along it."""
    values = [trial.record.config.get(name) for trial in trials]
    kind = sweep.parameters[name].kind if name in sweep.parameters else None
    if kind == "choice" or any(isinstance(value, bool | str) or value is None for value in values):
        levels = sorted(set(values), key=lambda value: (isinstance(value, str), value is not None, value or 0))
        heights = np.array([levels.index(value) for value in values]) / max(1, len(levels) - 1)
        return heights, {place / max(1, len(levels) - 1): show(level) for place, level in enumerate(levels)}
    numbers = np.array(values, dtype=float)
    texts = {0.0: short(numbers.min()), 1.0: short(numbers.max())}
    if kind == "log" and numbers.min() > 0:
        numbers = np.log(numbers)
    return (numbers - numbers.min()) / (np.ptp(numbers) or 1.0), texts


@_styled
def forecast_and_outcome(sweep: Sweep) -> Markup:
    """Active units as forecast before the first step against those measured at the last epoch."""
    points = [
        (row.trial, row.forecast_au, row.au)
        for row in tables.forecast_outcome(sweep)
        if row.forecast_au is not None and row.au is not None and row.trial.measured("health/au")
    ]
    trials, counts = [trial for trial, _, _ in points], [count for _, *pair in points for count in pair]
    figure, axes = _figure(_HALF)
    for axis in (axes.xaxis, axes.yaxis):
        _logarithmic(axis, 1.0, counts)
    end = max([*counts, 1.0])
    axes.plot([0, end], [0, end], color=MUTED[0], linewidth=0.9, linestyle=_DASHED, zorder=1)
    for outcome in _drawing_order(trials):
        chosen = [(forecast, measured) for trial, forecast, measured in points if trial.outcome == outcome]
        _marks(axes, np.array(chosen, dtype=float), outcome, _many(sweep))
    axes.set(xlabel="active units, forecast", ylabel="active units, measured")
    _legend(axes, trials)
    return _svg(figure, "forecast")


def robust_limits(curves: dict[int, np.ndarray], healthy: Iterable[int]) -> tuple[float, float]:
    """Limits of the y axis that a few wild values cannot stretch: the 5th to the 99th percentile of all values, and
    where the healthy trials ended, with a margin."""
    values = np.concatenate([curve[:, 1] for curve in curves.values()])
    values = values[np.isfinite(values)]
    ends = [_last_finite(curves[trial])[1] for trial in healthy if trial in curves]
    low = min(np.quantile(values, 0.05), *ends, math.inf)
    high = max(np.quantile(values, 0.99), *ends, -math.inf)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - margin), float(high + margin)


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def _svg(figure: Figure, name: str) -> Markup:
    """The figure as one `<svg>` element: ids unique on the page, colours those of the page, its fonts too."""
    buffer = io.StringIO()
    figure.patch.set_visible(False)
    figure.axes[0].patch.set_visible(False)
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    return Markup(re.sub(r"(?<=: )#[0-9a-f]{6}\b", lambda match: _THEME.get(match.group(), match.group()), text))


def _named(sweep: Sweep) -> list[tuple[Trial, str]]:
    """The trials worth a label: the best, the documented one, the one before the fixes."""
    candidates = (
        ("best", tables.best_trial(sweep)),
        ("documented", sweep.origin(Origin.DOCUMENTED)),
        ("before", sweep.origin(Origin.BASELINE)),
    )
    found: dict[int, tuple[Trial, str]] = {}
    for text, trial in candidates:
        if trial is not None:
            earlier = found.get(trial.number)
            found[trial.number] = (trial, f"{earlier[1]}, {text}" if earlier else text)
    return list(found.values())


def _drawing_order(trials: Sequence[Trial]) -> list[Outcome]:
    present = {trial.outcome for trial in trials}
    order = [*_BACKGROUND_FIRST, *(outcome for outcome in Outcome if outcome not in _BACKGROUND_FIRST)]
    return [outcome for outcome in order if outcome in present]


def _marks(axes: Axes, points: np.ndarray, outcome: Outcome, rasterized: bool) -> None:
    style = STYLES[outcome]
    axes.scatter(
        points[:, 0],
        points[:, 1],
        marker=style.marker,
        s=12 if rasterized else 34,
        c=style.light,
        linewidths=0,
        alpha=0.85,
        zorder=3,
        clip_on=False,
        rasterized=rasterized,
    )


def _alpha(lines: int) -> float:
    """Fainter the more lines there are, so that a bundle shows where it is dense."""
    return max(0.08, min(0.6, 60 / max(1, lines)))


def _logarithmic(axis: Axis, threshold: float, values: Iterable[float]) -> None:
    """A scale with 0 on it: linear up to `threshold`, decades above; limits around 0 and the finite `values`."""
    top = max([value for value in values if math.isfinite(value)] + [threshold])
    decades = math.ceil(math.log10(top / threshold) + 1e-9)
    is_x = isinstance(axis, XAxis)
    (axis.axes.set_xscale if is_x else axis.axes.set_yscale)("symlog", linthresh=threshold, linscale=0.4)
    axis.set_ticks([0.0, *(threshold * 10**power for power in range(decades + 1))])
    axis.set_ticks([], minor=True)
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    (axis.axes.set_xlim if is_x else axis.axes.set_ylim)(-0.15 * threshold, 1.6 * top)


def _end_labels(axes: Axes, labelled: Sequence[tuple[np.ndarray, str]]) -> None:
    """Names at the ends of curves; those at the same epoch are moved apart."""
    low, high = axes.get_ylim()
    occupied: dict[float, float] = {}
    for curve, text in sorted(labelled, key=lambda item: _last_finite(item[0])[1]):
        epoch, value = _last_finite(curve)
        height = (min(max(value, low), high) - low) / (high - low)
        height = occupied[epoch] = max(height, occupied.get(epoch, -math.inf) + _LABEL_HEIGHT)
        axes.annotate(
            text,
            (epoch, height),
            xycoords=axes.get_xaxis_transform(),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
        )


def _legend(axes: Axes, trials: Sequence[Trial], columns: int = 4, bottom: float = 1.0) -> None:
    outcomes = [trial.outcome for trial in trials]
    handles = [
        Line2D(
            [],
            [],
            color=STYLES[outcome].light,
            marker=STYLES[outcome].marker,
            linestyle="none",
            markersize=6,
            markeredgewidth=0,
            label=f"{outcome} ({outcomes.count(outcome)})",
        )
        for outcome in Outcome
        if outcome in outcomes
    ]
    if handles:
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(-0.01, bottom),
            ncols=columns,
            handletextpad=0.2,
            columnspacing=1.4,
            borderaxespad=0.2,
        )


def _last_finite(curve: np.ndarray) -> np.ndarray:
    return curve[np.flatnonzero(np.isfinite(curve[:, 1]))[-1]]


def _many(sweep: Sweep) -> bool:
    return len(sweep.trials) > RASTERISED_ABOVE
