"""Crops of differing size as samples of one size, and their fixed space.

A sample is (C + 1, S, S) float32: raw intensities, then the content mask, 1 on the cell, 0 on background, −1 on
padding, so that a model can tell what was reflected there from what was seen.
"""

from __future__ import annotations

import numpy as np

PERCENTILES = (5, 95)
CLIPPED = (-1.0, 2.0)  # in units of the distance between the percentiles
PADDING = -1.0  # of the content mask
FLOOR = 1e-6  # least distance between them, as a share of the larger one


def to_sample(crop_CHW: np.ndarray, mask_HW: np.ndarray, size: int) -> np.ndarray:
    """The crop in the middle of a square, surrounded by its reflections.

    A crop of more than `size` pixels a side is shrunk first, by area and with its proportions kept; what is less
    than half content is none then.
    """
    if max(mask_HW.shape) > size:
        crop_CHW, mask_HW = _shrunk(crop_CHW, mask_HW, size)
    height, width = mask_HW.shape
    top, left = (size - height) // 2, (size - width) // 2
    around = ((0, 0), (top, size - height - top), (left, size - width - left))
    sample = np.zeros((len(crop_CHW) + 1, size, size), np.float32)
    sample[:-1] = np.pad(crop_CHW, around, mode="reflect")
    sample[-1] = PADDING
    sample[-1, top : top + height, left : left + width] = mask_HW
    return sample


def robust_scaled(sample: np.ndarray) -> np.ndarray:
    """The fixed space: every channel at 0 at the 5th and 1 at the 95th percentile of its content.

    Args:
        sample: (C + 1, S, S), see `to_sample`; some of it is content.

    Returns:
        (C, S, S) float64, clipped to [−1, 2].
    """
    intensities = sample[:-1].astype(np.float64)
    low, high = np.percentile(intensities[:, sample[-1] > 0], PERCENTILES, axis=1)
    floor = FLOOR * np.maximum(np.maximum(abs(low), abs(high)), 1.0)
    distance = np.maximum(high - low, floor)
    return np.clip((intensities - low[:, None, None]) / distance[:, None, None], *CLIPPED)


def _shrunk(crop_CHW: np.ndarray, mask_HW: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image

    height, width = (max(1, round(side * size / max(mask_HW.shape))) for side in mask_HW.shape)

    def resized(plane: np.ndarray, how: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), how))

    crop = np.stack([resized(plane, Image.Resampling.HAMMING) for plane in crop_CHW])
    return crop, resized(mask_HW, Image.Resampling.BOX) >= 0.5
