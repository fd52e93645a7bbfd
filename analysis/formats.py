"""Numbers as the report prints them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from search_spaces.space import show

ABSENT = "–"


def number(value: float | None, digits: int = 3) -> str:
    """One number for running text, with `digits` significant digits."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == int(value) and abs(value) < 1e6:
        return _minus(f"{value:.0f}")
    return _minus(_fixed(value, digits) if 1e-4 <= abs(value) < 1e6 else f"{value:.{digits - 1}e}")


def short(value: float, digits: int = 3) -> str:
    """A number with at most `digits` significant digits, no zeros behind; whole numbers in full."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e6:
        return _minus(f"{value:.0f}")
    return plain(float(f"{value:.{digits}g}"))


def plain(value: float) -> str:
    """A number as it was set: 0.05, 100."""
    return _minus(f"{value:g}")


def percent(share: float) -> str:
    """A share as whole percent, with a digit after the point where it would round to 0 or 100."""
    decimals = 1 if 0 < share < 0.01 or 0.99 < share < 1 else 0
    return f"{100 * share:.{decimals}f}\N{NARROW NO-BREAK SPACE}%"


def column(values: Sequence[Any], digits: int = 4, scientific: bool = False) -> list[str]:
    """The cells of one column: the same number of decimals in all, so that the points align; a value that would
    round to 0 shows its first digit instead.

    Args:
        values: numbers, or anything `search_spaces.space.show` prints; None is an absent number.
        digits: significant digits of a value of typical size.
        scientific: print as 1.2e−3, for values spread over orders of magnitude.
    """
    numbers = [value for value in values if _is_number(value)]
    if any(not _is_number(value) and value is not None for value in values):
        return [show(value) for value in values]
    finite = np.array([abs(value) for value in numbers if math.isfinite(value) and value != 0], dtype=float)
    if all(float(value).is_integer() for value in numbers if math.isfinite(value)):
        cell = "{:.0f}"
    elif scientific or np.quantile(finite, 0.75) < 10.0 ** (digits - 7) or np.quantile(finite, 0.75) >= 1e6:
        cell = f"{{:.{digits - 2}e}}"
    else:
        decimals = digits - 1 - math.floor(math.log10(np.quantile(finite, 0.75)))
        cell = f"{{:.{min(max(decimals, 0), digits)}f}}"
    return [_cell(value, cell) for value in values]


def exact(value: Any) -> str:
    """A hyperparameter as `--set` takes it, without loss."""
    return repr(value) if isinstance(value, float) else show(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: float | None, cell: str) -> str:
    if value is None:
        return ABSENT
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = cell.format(value + 0.0)  # no negative zero
    return _minus(text if value == 0 or float(text) != 0 else f"{value:.1g}")


def _fixed(value: float, digits: int) -> str:
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"


def _minus(text: str) -> str:
    return text.replace("-", "−").replace("e−0", "e−").replace("e+0", "e")
