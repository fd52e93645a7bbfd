"""Samples that nearly repeat others: saved again with losses, a little brighter, with a little noise.

Two samples are taken for copies when their values correlate by `SAME` or more, both as they are (or dark pictures on
a bright mean would all be alike) and after the mean of all samples is taken off (or all heads would be). Candidates
are the nearest in a random projection of the standardised samples, which keeps distances (Johnson and Lindenstrauss
1984). A copy that is cropped, turned or moved by a pixel is not found.

Shapes: N samples, D values of a sample, F averages of neighbouring values, K projections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.spatial import KDTree

from trainables.data.blocks import sample_blocks
from trainables.data.rows import Rows

SAME = 0.99  # correlation; no pair of ten data sets of cells, brains, fundus images and embeddings reaches it
FEWEST_VALUES = 64  # of a sample: shorter ones correlate by chance
NEIGHBOURS = 4  # of each sample that are looked at
_PROJECTIONS, _AVERAGES = 32, 4096
_SLACK = 2.0  # of a squared distance, which a projection changes
_FLAT = 1e-9  # standard deviation, of samples that have nothing to compare


def near_duplicates(x_ND: Rows) -> np.ndarray:
    """Pairs of places of samples that nearly repeat each other, (P, 2), the smaller place first."""
    nothing = np.empty((0, 2), np.int64)
    if math.prod(x_ND.shape[1:]) < FEWEST_VALUES:
        return nothing
    mean_D, projected_NK, flat_N = _survey(x_ND)
    looked_at = np.flatnonzero(~flat_N)
    if len(looked_at) < 2:
        return nothing
    reach = math.sqrt(_SLACK * 2.0 * (1.0 - SAME))
    tree, count = KDTree(projected_NK[looked_at]), min(NEIGHBOURS + 1, len(looked_at))
    distance, place = tree.query(projected_NK[looked_at], k=count, distance_upper_bound=reach)
    one, other = np.nonzero(np.isfinite(distance))
    pairs = np.sort(np.column_stack([looked_at[one], looked_at[place[one, other]]]), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)
    same = [_correlate(x_ND, pair, mean_D) for pair in pairs]
    return pairs[np.array(same, bool)] if len(pairs) else pairs


def _survey(x_ND: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean of all samples (D,), the projections (N, K), and which samples have one value only (N,)."""
    count, values = x_ND.shape[0], math.prod(x_ND.shape[1:])
    step = math.ceil(values / _AVERAGES)
    averages = math.ceil(values / step)
    generator = np.random.default_rng(0)
    projection_FK = generator.standard_normal((averages, _PROJECTIONS)) / math.sqrt(_PROJECTIONS)
    total_D, projected_NK, flat_N = np.zeros(values), np.empty((count, _PROJECTIONS)), np.zeros(count, bool)
    for block, rows_ND in _blocks(x_ND):
        total_D += rows_ND.sum(axis=0)
        padded = np.pad(rows_ND, ((0, 0), (0, averages * step - values)))
        unit_NF, flat_N[block] = _unit(padded.reshape(len(rows_ND), averages, step).mean(axis=2))
        projected_NK[block] = unit_NF @ projection_FK
    return total_D / count, projected_NK, flat_N


def _blocks(x_ND: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    for block in sample_blocks(x_ND.shape):
        rows = np.asarray(x_ND[block])
        yield block, rows.reshape(len(rows), -1).astype(np.float64)


def _correlate(x_ND: Rows, pair: np.ndarray, mean_D: np.ndarray) -> bool:
    rows = np.asarray(x_ND[pair]).reshape(2, -1).astype(np.float64)
    return all(float(unit[0] @ unit[1]) >= SAME for unit, _ in (_unit(rows), _unit(rows - mean_D)))


def _unit(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows about their means, of length 1; and which had one value only."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1)
    flat = length <= _FLAT * math.sqrt(rows.shape[1])
    return centred / np.where(flat, 1.0, length)[:, None], flat
