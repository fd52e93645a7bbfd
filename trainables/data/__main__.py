"""The prepared data that sweeps keep in their storage.

python -m trainables.data list              what is kept, and how large it is
python -m trainables.data clear [NAME…]     remove all of it, or those named
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.filesize import decimal

from trainables.data.kept import FOLDER, Kept, clear, kept


@dataclass(frozen=True)
class List:
    """Tell what is kept: name, samples, size, when it was made, whether a sweep uses it now, and from what."""

    storage: Path = Path("results")
    """The folder that holds the sweeps."""


@dataclass(frozen=True)
class Clear:
    """Remove prepared data that no process uses. A sweep that is resumed prepares it again from its source, so keep
    what has no source any more."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NAME")] = ()
    """Those to remove, as `list` names them (default: all)."""
    storage: Path = Path("results")
    """The folder that holds the sweeps."""


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 when a name is unknown or what it names is in use."""
    command = tyro.extras.subcommand_cli_from_dict(
        {"list": List, "clear": Clear},
        prog="python -m trainables.data",
        description="The prepared data that sweeps keep in their storage.",
        args=arguments,
    )
    found = kept(command.storage)
    return _clear(command, found) if isinstance(command, Clear) else _list(command, found)


def _list(command: List, found: list[Kept]) -> int:
    if not found:
        print(f"Nothing is kept in {command.storage / FOLDER}.")
    for each in found:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.made))
        samples = "" if each.samples is None else f"{each.samples} samples, "
        used = ", in use" if each.in_use else ""
        print(f"{each.name}  {samples}{decimal(each.size)}, made {made}{used}  {each.source}")
    if len(found) > 1:
        print(f"{len(found)} in all, {decimal(sum(each.size for each in found))}")
    return 0


def _clear(command: Clear, found: list[Kept]) -> int:
    by_name = {each.name: each for each in found}
    if unknown := [name for name in command.names if name not in by_name]:
        known = ", ".join(by_name) or "none"
        print(
            f"error: {', '.join(unknown)}: expected names of prepared data in {command.storage}: {known}",
            file=sys.stderr,
        )
        return 2
    chosen = [by_name[name] for name in command.names] or found
    removed = clear(chosen)
    print(f"Removed {len(removed)} of {len(chosen)}: {decimal(sum(each.size for each in removed))}.")
    left = [each.name for each in chosen if each not in removed]
    if left:
        print(f"error: in use, and kept: {', '.join(left)}; wait for the sweeps to end", file=sys.stderr)
    return 2 if left else 0


if __name__ == "__main__":
    sys.exit(main())
