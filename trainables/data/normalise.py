"""The fixed space of grids: every channel of every sample at mean 0 and standard deviation 1 over its own grid.

Shapes: N samples, R × C grid, D channels. Standard deviations are those of the population; sums are float64.
"""

from __future__ import annotations

import numpy as np

from trainables.data.blocks import sample_blocks
from trainables.data.rows import Rows

FLOOR_SHARE = 1e-3  # of the typical standard deviation; a channel below it is treated as constant
_GRID = (1, 2)


def std_floor(x_NRCD: np.ndarray) -> float:
    """The least standard deviation that a channel is divided by, in the units of `x`.

    `FLOOR_SHARE` of the median, over samples and channels, of the standard deviation over the grid; channels
    that are constant over their grid do not count.

    Raises:
        ValueError: every channel of every sample is constant over its grid.
    """
    spreads = np.concatenate([_grid_spread(x_NRCD[block]) for block in sample_blocks(x_NRCD.shape)])
    return _floor(spreads)


def to_fixed_space(x_NRCD: np.ndarray, floor: float) -> np.ndarray:
    """(x − mean over the grid) / max(standard deviation over the grid, floor), float32; a constant channel is 0."""
    fixed = np.empty(x_NRCD.shape, np.float32)
    for block in sample_blocks(x_NRCD.shape):
        fixed[block] = _normalise(x_NRCD[block].astype(np.float64), float(floor))
    return fixed


def grid_statistics(x_NRCD: Rows, train_index: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of the training samples `x[train_index]`, float32; reads `x` twice, in blocks.

    Returns:
        std_floor: (), see `std_floor`.
        channel_mean, channel_std: (D,), over all training nodes.
    """
    index = np.sort(train_index)
    blocks = [index[block] for block in sample_blocks((len(index), *x_NRCD.shape[1:]))]
    nodes = len(index) * x_NRCD.shape[1] * x_NRCD.shape[2]
    spreads, total = [], np.zeros(x_NRCD.shape[-1])
    for block in blocks:
        x = x_NRCD[block]
        spreads.append(_grid_spread(x))
        total += x.sum(axis=(0, 1, 2), dtype=np.float64)
    floor, mean = _floor(np.concatenate(spreads)), total / nodes
    squares = np.zeros_like(mean)
    for block in blocks:
        x = x_NRCD[block].astype(np.float64)
        squares += np.square(x - mean).sum(axis=(0, 1, 2))
    statistics = {
        "std_floor": floor,
        "channel_mean": mean,
        "channel_std": np.sqrt(squares / nodes),
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in statistics.items()}


def _grid_spread(x_NRCD: np.ndarray) -> np.ndarray:
    """The standard deviation over the grid, (N, D); exactly 0 where the channel is constant."""
    return np.where(np.ptp(x_NRCD, axis=_GRID) == 0, 0.0, x_NRCD.std(axis=_GRID, dtype=np.float64))


def _floor(spreads: np.ndarray) -> float:
    varying = spreads[spreads > 0]
    if not varying.size:
        raise ValueError("every channel of every sample is constant over its grid; there is nothing to normalise")
    return FLOOR_SHARE * float(np.median(varying))


def _normalise(x_NRCD: np.ndarray, floor: float) -> np.ndarray:
    mean = x_NRCD.mean(axis=_GRID, keepdims=True)
    centred = x_NRCD - mean
    spread = np.sqrt(np.square(centred).mean(axis=_GRID, keepdims=True))
    constant = np.ptp(x_NRCD, axis=_GRID, keepdims=True) == 0
    return np.where(constant, 0.0, centred / np.maximum(spread, floor))
