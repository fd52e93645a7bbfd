"""What a sweep has taught.

python -m analysis report NAME      one HTML page; or JSON, Parquet, Markdown
python -m analysis replay NAME      other schedulers over its recorded curves
python -m analysis export NAME      the best model, with a model card
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from analysis.replay.command import ReplayCommand
from analysis.replay.command import run as replay


@dataclass(frozen=True)
class Report:
    """Write the report of a sweep: one HTML file that needs nothing else, or its tables for other programs."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The sweep's name, or the path of its folder."""
    storage: Path = Path("results")
    """The folder that holds the sweeps."""
    out: Path | None = None
    """Where to write (default: report.html, .json, .parquet or .md in the sweep's folder)."""
    compare: str | None = None
    """Another sweep of the same model, by name or folder, to set beside it."""
    format: Literal["html", "json", "parquet", "md"] = "html"
    """html: the page; json: best, leaderboard, effects, claims, importance; parquet: one row a trial, with its
    hyperparameters and the metrics of its best epoch; md: the tables of json, readable."""


@dataclass(frozen=True)
class Export:
    """Write the best model of a sweep: weights (safetensors), configuration and a model card."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The sweep's name, or the path of its folder."""
    trial: int | None = None
    """Export this trial instead of the best."""
    storage: Path = Path("results")
    """The folder that holds the sweeps."""
    out: Path | None = None
    """The folder to write (default: export in the sweep's folder)."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 when there is no such sweep, or it cannot be read or the page not written."""
    command = tyro.extras.subcommand_cli_from_dict(
        {"report": Report, "replay": ReplayCommand, "export": Export},
        prog="python -m analysis",
        description="What a sweep has taught.",
        args=arguments,
    )
    return replay(command) if isinstance(command, ReplayCommand) else _write(command)


def _write(command: Report | Export) -> int:
    from analysis.sweep import SweepError, find

    try:
        folder = find(command.name, command.storage)
        print(_exported(command, folder) if isinstance(command, Export) else _reported(command, folder))
    except (SweepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _exported(command: Export, folder: Path) -> Path:
    from analysis import export

    return export.write(folder, command.out, command.trial)


def _reported(command: Report, folder: Path) -> Path:
    from analysis import outputs, report
    from analysis.sweep import find

    other = find(command.compare, command.storage) if command.compare else None
    if command.format == "html":
        return report.write(folder, command.out, other)
    return outputs.write(folder, command.format, command.out, other)


if __name__ == "__main__":
    sys.exit(main())
