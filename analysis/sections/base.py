"""What a section of the report is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from analysis.sweep import Sweep

Content = dict[str, object]  # what a template shows, by name


class Section(ABC):
    """One part of the page.

    Attributes:
        title: its heading, and its name in the bar at the top.
        order: its place in the page; the lowest is the first.
        template: in Jinja, of what `content` returns and `sweep`; it may import from `templates/macros.html.j2`.
        most_rows: of a table, or of a group of the leaderboard.
    """

    title: str
    order: int
    template: str
    most_rows = 500

    @property
    def id(self) -> str:
        """The name of its file; links to the section lead to it."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def content(self, sweep: Sweep) -> Content | None:
        """What the template shows; None where there is nothing to show."""
