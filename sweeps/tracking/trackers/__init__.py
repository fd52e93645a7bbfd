"""Where a sweep can be shown: one class a file behind `base.Tracker`, chosen by the scheme of the tracking address.

A new one is a file in this folder with a subclass of `Tracker` that has `schemes`; nothing else names it. All import
their libraries when they are opened, so that checking an address is quick.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from sweeps.tracking.trackers.base import Tracker
from sweeps.tracking.trackers.mlflow import EXPECTED
from trainables.discovery import subclasses_in


@cache
def known() -> dict[str, type[Tracker]]:
    """Every tracker in this folder, by each scheme of addresses that it takes."""
    found = subclasses_in(__name__, Tracker, "schemes")
    return {scheme: kind for kind in found for scheme in kind.schemes}


def check(uri: str) -> str | None:
    """None if runs can be sent to `uri`, as far as that shows in a moment; else what is wrong and what to do."""
    kind = known().get(_scheme(uri))
    if kind is None:
        more = ", ".join(f"{scheme}:" for scheme in sorted(known()))
        return f"tracking_uri '{uri}' is not a place to write to; known are addresses with {more}. {EXPECTED}"
    return kind.check(uri)


def open_tracker(sweep: Path, uri: str) -> Tracker:
    """The tracker that sends the sweep in folder `sweep` to `uri`.

    Raises:
        ValueError: no tracker takes such an address.
    """
    if _scheme(uri) not in known():
        raise ValueError(check(uri))
    return known()[_scheme(uri)](sweep, uri)


def _scheme(uri: str) -> str:
    """As in postgresql for postgresql+psycopg://…"""
    return uri.partition(":")[0].partition("+")[0]
