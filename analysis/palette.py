"""One colour and one mark for every outcome, on screen and in figures.

The colours are those of Okabe and Ito (2008), which stay apart for the colour-blind; the dark variants are lightened.
A colour never stands alone: a word or a mark goes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sweeps.records.outcomes import Outcome
from trainables.health import SICKNESSES


@dataclass(frozen=True)
class Style:
    """How an outcome looks. `marker` is matplotlib's."""

    light: str
    dark: str
    marker: str


STYLES = {
    Outcome.FINISHED: Style("#0072b2", "#56a9dd", "o"),
    Outcome.CONTROL: Style("#009e73", "#2fc197", "D"),
    Outcome.UNMET: Style("#c2a5cf", "#d9c4e3", "h"),
    Outcome.RUNG: Style("#8a929a", "#7f8890", "v"),
    Outcome.GIVEN_UP: Style("#6f8f86", "#8fb0a6", "1"),
    Outcome.BY_HAND: Style("#b0a060", "#cfc08a", "<"),
    **{Outcome(sick.outcome): Style(sick.light, sick.dark, sick.marker) for sick in SICKNESSES.values()},
    Outcome.FAILED: Style("#2f353b", "#dfe3e6", "s"),
    Outcome.INTERRUPTED: Style("#56b4e9", "#8fcdf2", "d"),
    Outcome.RUNNING: Style("#7fb8d9", "#3f7ea6", "o"),
    Outcome.PENDING: Style("#c3c9ce", "#565e66", "."),
    Outcome.OTHER: Style("#6b5b95", "#a99bcf", "*"),
}

INK = ("#1d2329", "#e4e7ea")  # light, dark
MUTED = ("#68727b", "#98a2ab")
HAIRLINE = ("#e3e7ea", "#2c3238")


def variables(dark: bool) -> dict[str, str]:
    """The palette as CSS variables, by name."""
    theme = {"ink": INK[dark], "muted": MUTED[dark], "hairline": HAIRLINE[dark]}
    return theme | {slug(outcome): style.dark if dark else style.light for outcome, style in STYLES.items()}


def slug(outcome: Outcome) -> str:
    """The CSS variable of an outcome's colour."""
    return "outcome-" + outcome.name.lower()
