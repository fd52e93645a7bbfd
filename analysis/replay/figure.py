"""The regret curve as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from analysis.palette import HAIRLINE, MUTED, STYLES
from analysis.replay.output import Replay, title

_styled = mpl.rc_context(
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": MUTED[0],
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": HAIRLINE[0],
        "legend.frameon": False,
        "font.size": 9,
    }
)
_COLOURS = [style.light for style in STYLES.values()]
_DASHES = ("-", "--", ":", "-.")


@_styled
def draw(replay: Replay, path: Path) -> None:
    """Mean regret against epochs spent; the format follows the file's ending.

    Raises:
        OSError: the file cannot be written.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=title(replay), xlabel="epochs spent, all trials", ylabel="regret")
    for position, result in enumerate(replay.results):
        colour, dash = _COLOURS[position % len(_COLOURS)], _DASHES[position // len(_COLOURS) % len(_DASHES)]
        axes.plot(result.curve.spent, result.curve.regret, dash, color=colour, label=result.scheduler)
        axes.fill_between(result.curve.spent, result.curve.low, result.curve.high, color=colour, alpha=0.15, lw=0)
    axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set(xlim=(replay.curves.epochs / 2, replay.truth.epochs), ylim=(0, 1.2), yticks=[0, 0.01, 0.1, 1])
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=150)
