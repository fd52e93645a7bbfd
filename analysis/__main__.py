"""What a sweep has taught.

python -m analysis report NAME      one HTML page
python -m analysis replay NAME      other schedulers over its recorded curves
python -m analysis export NAME      the best model, with a model card
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from analysis.replay.command import ReplayCommand
from analysis.replay.command import run as replay


@dataclass(frozen=True)
class Report:
    """Write the report of a sweep: one HTML file that needs nothing else."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The sweep's name, or the path of its folder."""
    storage: Path = Path("results")
    """The folder that holds the sweeps."""
    out: Path | None = None
    """Where to write (default: report.html in the sweep's folder)."""


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
    from analysis import export, report
    from analysis.sweep import SweepError, find

    try:
        folder = find(command.name, command.storage)
        if isinstance(command, Export):
            print(export.write(folder, command.out, command.trial))
        else:
            print(report.write(folder, command.out))
    except (SweepError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
