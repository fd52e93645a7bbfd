"""Many files into one array, on all cores; what cannot be read is kept count of."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, MutableSequence, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from trainables.data.errors import DataError
from trainables.data.store import MINIMUM_SAMPLES, too_few

T = TypeVar("T")
PATIENCE = 2.0  # seconds without a progress bar …
SILENCE = 30.0  # … and without a line where there is no terminal
LISTED = 10  # names in a note
REFUSED = 100  # problems in a refusal


def decode(
    items: Sequence[T], function: Callable[[T], Any], what: str, out: np.ndarray | MutableSequence[Any]
) -> list[tuple[int, str]]:
    """`out[i] = function(items[i])` in threads, with a progress bar on a terminal and a line every half minute
    elsewhere; decoders' warnings are not shown.

    Args:
        items: as many as `out` has places.
        function: should raise `DataError` for an item that is of no use; a decoder's own exceptions will do.
        what: the bar's title.
        out: an array (see `trainables.data.blocks.allocate`) or a list; the places of failed items stay as they are.

    Returns:
        Which items failed and why, in the order of the items; the problem does not name the item.
    """
    attempt = partial(_attempt, items, function, out)
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_interactive)
    task = progress.add_task(what, total=len(items))
    began = told = time.monotonic()
    problems = []
    pool = ThreadPoolExecutor(os.cpu_count())
    with warnings.catch_warnings(action="ignore"):
        try:
            for index, problem in enumerate(pool.map(attempt, range(len(items)))):
                if problem is not None:
                    problems.append((index, problem))
                progress.advance(task)
                now = time.monotonic()
                if now - began > PATIENCE:
                    progress.start()
                if not console.is_interactive and now - told > SILENCE:
                    left = (now - began) * (len(items) / (index + 1) - 1)
                    console.print(f"{what}: {index + 1} of {len(items)}, about {left:.0f} s left", highlight=False)
                    told = now
        finally:
            pool.shutdown(cancel_futures=True)
            progress.stop()
    return problems


def keep_readable(
    source: str, names: Sequence[str], problems: Sequence[tuple[int, str]], strict: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The sorted indices of the items without a problem, and a note on the others if there are any.

    Args:
        source: as the user gave it.
        names: of all items.
        problems: as `decode` returns them.
        strict: refuse the source for a single problem.

    Raises:
        DataError: `strict` and there are problems, or fewer than `MINIMUM_SAMPLES` items are without one.
    """
    kept = np.setdiff1d(np.arange(len(names)), [index for index, _ in problems])
    if not problems and len(kept) >= MINIMUM_SAMPLES:
        return kept, ()
    named = [f"{names[index]}: {problem}" for index, problem in problems]
    shown = named[:REFUSED] + [f"… and {len(named) - REFUSED} more"] * (len(named) > REFUSED)
    if len(kept) < MINIMUM_SAMPLES:
        raise DataError(source, [too_few(len(kept)), *shown])
    if strict:
        raise DataError(source, shown)
    return kept, (f"{len(named)} of {len(names)} are left out: {listed(named)}",)


def compact(x: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """`x[kept]` for sorted `kept`, within the memory of `x`."""
    for place, index in enumerate(kept):
        if place != index:
            x[place] = x[index]
    return x[: len(kept)]


def listed(names: Sequence[str]) -> str:
    """The first few of them, and how many more there are."""
    more = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
    return "; ".join([*names[:LISTED], *more])


def _attempt(
    items: Sequence[T], function: Callable[[T], Any], out: np.ndarray | MutableSequence[Any], index: int
) -> str | None:
    try:
        out[index] = function(items[index])
    except DataError as error:
        return "; ".join(error.problems)
    except Exception as error:  # decoders of damaged files raise anything
        return f"cannot be read ({type(error).__name__}: {error})"
    return None
