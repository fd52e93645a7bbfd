"""What is looked at before any trial: everything that would make training on grids meaningless."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from trainables.data.blocks import sample_blocks
from trainables.data.errors import DataError
from trainables.data.rows import Rows
from trainables.data.samples import Samples
from trainables.data.store import MINIMUM_SAMPLES, too_few

LARGEST = 1e18  # its square is a float32
_NODES = (0, 1, 2)
_GRID = (1, 2)


def checked_grids(samples: Samples) -> Samples:
    """`samples` (N, R, C, D) with notes on what is unusual.

    Raises:
        DataError: there are too few samples, the grid is too small, values are not finite, or nothing varies.
    """
    count, rows, columns, channels = samples.x.shape
    problems = [too_few(count)] if count < MINIMUM_SAMPLES else []
    if min(rows, columns) < 2 or channels < 1:
        problems.append(f"samples of shape {rows} × {columns} × {channels}; expected a grid of at least 2 × 2 × 1")
    elif count:
        problems += _not_finite(samples) or _nothing_varies(samples.x)
    if problems:
        raise DataError(samples.source, problems)
    low, high = _range(samples.x)
    constant = int((low == high).sum())
    note = [f"{constant} of {channels} channels are constant; they become 0"] if constant else []
    return replace(samples, notes=(*samples.notes, *note))


def _not_finite(samples: Samples) -> list[str]:
    nan = infinite = 0
    first = None
    for block in sample_blocks(samples.x.shape):
        bad = ~np.isfinite(samples.x[block])
        if bad.any():
            missing = int(np.isnan(samples.x[block]).sum())
            nan, infinite = nan + missing, infinite + int(bad.sum()) - missing
            if first is None:
                first = np.argwhere(bad)[0] + [block.start, 0, 0, 0]
    if first is None:
        return []
    index, row, column, channel = (int(value) for value in first)
    return [
        f"{nan} values are NaN or null and {infinite} are infinite or beyond float32 (±3.4e38), of "
        f"{math.prod(samples.x.shape)}; the first is {samples.x[index, row, column, channel]} at "
        f"{samples.name(index)}, row {row}, col {column}, "
        f"channel {channel} (counted from 0); expected finite numbers: drop or repair those samples"
    ]


def _nothing_varies(x_NRCD: Rows) -> list[str]:
    low, high = _range(x_NRCD)
    if np.array_equal(low, high):
        return [f"all values of each channel are the same, {low[0]:g} in the first; expected data that vary"]
    blocks = list(sample_blocks(x_NRCD.shape))
    problems = []
    largest = max(-low.min(), high.max())
    if largest > LARGEST:
        problems.append(f"values as large as {largest:g}; expected at most {LARGEST:g} (squares overflow): rescale")
    if all((x_NRCD[block] == x_NRCD[:1]).all() for block in blocks):
        problems.append(f"all {len(x_NRCD)} samples are identical; expected samples that differ")
    if all((np.ptp(x_NRCD[block], axis=_GRID) == 0).all() for block in blocks):
        problems.append(
            "every sample holds one and the same embedding at all positions of its grid, so nothing is left after "
            "normalisation over the grid; expected one embedding per patch"
        )
    return problems


def _range(x_NRCD: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest value of each channel."""
    blocks = [x_NRCD[block] for block in sample_blocks(x_NRCD.shape)]
    low = np.min([block.min(axis=_NODES) for block in blocks], axis=0)
    high = np.max([block.max(axis=_NODES) for block in blocks], axis=0)
    return low, high
