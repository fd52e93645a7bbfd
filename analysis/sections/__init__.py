"""The parts of the report's page: one class a file behind `base.Section`.

A new one is a file in this folder with a subclass of `Section` that has a title; nothing else names it.
"""

from __future__ import annotations

from functools import cache

from analysis.sections.base import Section
from trainables.discovery import subclasses_in


@cache
def known() -> list[Section]:
    """Every section in this folder that has a title."""
    return [kind() for kind in subclasses_in(__name__, Section, "title")]
