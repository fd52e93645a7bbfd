"""The report of a sweep: one HTML page that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis import formats, names, palette, sections
from analysis.sections.compare import Compare
from analysis.sweep import Sweep, load
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Origin
from trainables.files import write_text

LONG_TABLE = 60  # rows; longer ones scroll on screen


def write(folder: Path, out: Path | None = None, other: Path | None = None) -> Path:
    """Write the report of the sweep in `folder` and return its path: `out`, or `report.html` in the folder.

    Args:
        folder: of the sweep.
        out: where to write.
        other: the folder of a sweep to compare it with.

    Raises:
        analysis.sweep.SweepError: the folder is not a readable sweep.
    """
    out = out or SweepFolder(folder).report
    write_text(out, render(load(folder), load(other) if other else None))
    return out


def render(sweep: Sweep, other: Sweep | None = None) -> str:
    """The page; with a comparison after the summary if there is an `other` sweep."""
    environment = _environment()
    beside = [Compare(other)] if other else []
    shown = [
        (section, Markup(environment.from_string(section.template).render(sweep=sweep, **content)))
        for section in sorted([*sections.known(), *beside], key=lambda section: section.order)
        if (content := section.content(sweep)) is not None
    ]
    return environment.get_template("page.html.j2").render(
        sweep=sweep,
        sections=shown,
        light=palette.variables(dark=False),
        dark=palette.variables(dark=True),
        created=_date(sweep.record.created),
        state=_state(sweep),
    )


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
        "variant": _variant,
    }
    environment.globals |= {
        "LONG_TABLE": LONG_TABLE,
        "ORIGINS": {Origin.TRIED: "tried", Origin.DOCUMENTED: "documented", Origin.BASELINE: "before"},
    }
    return environment


def _state(sweep: Sweep) -> str:
    extended = "".join(f"; extended {each}" for each in sweep.state.extended)
    if sweep.ended:
        return sweep.state.status + (f": {sweep.state.detail}" if sweep.state.detail else "") + extended
    return f"not ended: it is still running, or its driver was killed{extended}"


def _date(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") if seconds else ""


def _breakable(name: str) -> Markup:
    """A name that may wrap after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _variant(name: str) -> str:
    """The name of a variant of an ablation in running text."""
    named: dict[str, str] = {
        Origin.DOCUMENTED: "the documented configuration",
        Origin.BASELINE: "the documented “before”",
    }
    return named.get(name, name)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
