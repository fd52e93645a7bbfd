"""Where the background of a volume is: what most of its border holds.

It is 0 in most files, but not in integers with an intercept, in intensities standardised over the whole volume, or
where NaN stands outside the brain.
"""

from __future__ import annotations

import numpy as np

from trainables.data.errors import DataError

NOISE = 1e-4  # of the range of values: what resampling leaves of a constant background
SHARE = 0.5  # of the border, that must be alike to be background
NAN = "have NaN outside the brain: it counts as background"
OFFSET = "have a background that is not exactly 0: what most of the border holds becomes 0"


def without_background(values_XYZ: np.ndarray, step: float, source: str) -> tuple[np.ndarray, str | None]:
    """The values less that of the background, 0 on the background alone, and what is unusual about it if anything.

    The background is where a value equals the border's commonest, exactly if the border holds it exactly, else within
    `NOISE` of the range or one `step`. Of a border of which less than `SHARE` is alike it is 0, exactly.

    Args:
        values_XYZ: float32.
        step: between neighbouring values, as they are stored; 0 if they are stored as they are.
        source: the file.

    Raises:
        DataError: values are infinite, or NaN within the border, or there is nothing but background.
    """
    border, missing = _border(values_XYZ), np.isnan(values_XYZ)
    if np.isinf(values_XYZ).any() or (missing.any() and not np.isnan(border).any()):
        raise DataError(source, ["holds values that are NaN or infinite; expected finite numbers"])
    if missing.all():
        raise DataError(source, ["is NaN everywhere"])
    finite = values_XYZ[~missing]
    value, tolerance = 0.0, 0.0
    if np.isnan(border).mean() < SHARE:
        limit = max(NOISE * float(np.ptp(finite)), step)
        value, tolerance = _constant(border[~np.isnan(border)], limit)
    brain = ~missing & (np.abs(values_XYZ - np.float32(value)) > tolerance)
    if not brain.any():
        raise DataError(source, [f"is {value:g} everywhere"])
    fact = NAN if missing.any() else OFFSET if value or tolerance else None
    return (values_XYZ if fact is None else np.where(brain, values_XYZ - np.float32(value), np.float32(0))), fact


def _constant(border: np.ndarray, limit: float) -> tuple[float, float]:
    """The border's value and how far from it is still background; 0 and 0 if it has none."""
    values, counts = np.unique(border, return_counts=True)
    commonest = counts.max() >= SHARE * len(border)
    value = float(values[counts.argmax()] if commonest else np.median(border))
    apart = np.abs(border - np.float32(value))
    like = apart <= limit
    return (value, limit if apart[like].any() else 0.0) if like.mean() >= SHARE else (0.0, 0.0)


def _border(values_XYZ: np.ndarray) -> np.ndarray:
    """The values of the outermost voxels; those of edges count more than once."""
    faces = [values_XYZ.take(end, axis=axis).ravel() for axis in range(3) for end in (0, -1)]
    return np.concatenate(faces)
