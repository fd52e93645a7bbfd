"""Volumes of any size as cubes of one size, and their normalisation. The brain is where a volume is not exactly 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainables.data.errors import DataError

LEAST_CONTRAST = 1e-5  # standard deviation over the brain, as a share of its mean
REACH = 4.0  # of the low-pass filter, in standard deviations


class Box(NamedTuple):
    """The first and the last voxel along each axis, (3,) each."""

    first: np.ndarray
    last: np.ndarray


def brain_box(brain_XYZ: np.ndarray) -> Box:
    """The smallest box around what is True; something is."""
    along = [np.flatnonzero(brain_XYZ.any(axis=(*range(axis), *range(axis + 1, 3)))) for axis in range(3)]
    return Box(np.array([there[0] for there in along]), np.array([there[-1] for there in along]))


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around boxes on one grid."""
    return Box(np.min([box.first for box in boxes], axis=0), np.max([box.last for box in boxes], axis=0))


def cube_steps(box: Box, spacing: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The cube of `size`³ voxels around a box, as large as its longest side.

    Args:
        box: on a grid.
        spacing: of the grid, millimetres, (3,).
        size: S.

    Returns:
        The place of the cube's first voxel, (3,), and the distance of its voxels along each axis, (3,), both in
        voxels of the grid. In millimetres that distance is the same along all axes.
    """
    step = np.max((box.last - box.first + 1) * spacing) / size / spacing
    return (box.first + box.last) / 2 - step * (size - 1) / 2, step


def to_cube(values_XYZ: np.ndarray, start: np.ndarray, step: np.ndarray, size: int) -> np.ndarray:
    """(S, S, S) float32, 0 where less than half is brain.

    Gaussian low-pass against aliasing (its standard deviation is half of what a step exceeds a voxel by), linear
    interpolation; both weigh the brain alone (normalised convolution, Knutsson & Westin 1993), so that its surface
    does not darken.
    """
    from scipy.ndimage import affine_transform, gaussian_filter

    deviation = np.maximum(step - 1, 0) / 2
    reach = np.ceil(REACH * deviation).astype(int) + 1
    low = np.maximum(np.floor(start).astype(int) - reach, 0)
    high = np.ceil(start + step * (size - 1)).astype(int) + reach + 1
    values_XYZ = values_XYZ[tuple(slice(*ends) for ends in zip(low, high, strict=True))]

    def resampled(values: np.ndarray) -> np.ndarray:
        smooth = gaussian_filter(values, deviation, mode="constant", truncate=REACH)
        return affine_transform(smooth, step, start - low, 3 * (size,), order=1, mode="grid-constant")

    share = resampled((values_XYZ != 0).astype(np.float32))
    return np.where(share >= 0.5, resampled(values_XYZ) / np.maximum(share, 0.5), 0)


def standardised(values_XYZ: np.ndarray, source: str) -> np.ndarray:
    """Mean 0 and standard deviation 1 over the brain, 0 outside, float32.

    Raises:
        DataError: there is no brain, or all of it is the same.
    """
    brain = values_XYZ != 0
    inside = values_XYZ[brain].astype(np.float64)
    if inside.size == 0 or inside.std() <= LEAST_CONTRAST * abs(inside.mean()):
        raise DataError(source, ["holds a single value where it is not 0; expected an image"])
    result = np.zeros(values_XYZ.shape, np.float32)
    result[brain] = (inside - inside.mean()) / inside.std()
    return result
