"""A brain without a skull, drawn from ellipsoids: how much of which tissue is where.

Places are millimetres towards right, anterior and superior (RAS) from the middle of a cube of 200 mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TISSUES = ("fluid", "grey matter", "white matter", "nuclei")
FIELD = 200.0  # millimetres a side
SPACING = 2.0  # millimetres between the template's voxels
SOFTNESS = 0.8  # millimetres over which one tissue becomes another
CORTEX = 4.0  # millimetres
FOLD = 36.0  # millimetres, wavelength
SULCUS = 0.6  # millimetres, half of its width
VENTRICLES = (((9, 12, 19), (5, 24, 7)), ((17, -26, 15), (7, 16, 9)), ((30, -28, -8), (4, 18, 5)))  # each side
MIDLINE_VENTRICLES = (((0, -4, 4), (2.5, 14, 9)), ((0, -40, -32), (7, 5, 9)))
NUCLEI = (((11, -12, 7), (9, 15, 9)), ((14, 17, 14), (5, 13, 8)), ((26, 6, 3), (6, 17, 10)))  # each side


def centres(size: int) -> np.ndarray:
    """Places of `size`³ voxels, (3, S, S, S) float32."""
    along = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * FIELD
    return np.stack(np.meshgrid(along, along, along, indexing="ij"))


def draw_template(rng: np.random.Generator) -> np.ndarray:
    """Share of each of `TISSUES`, (4, 100, 100, 100) float32; together 1 inside the brain and 0 outside."""
    p = centres(round(FIELD / SPACING))
    x, y, z = p
    side = np.stack([np.abs(x), y, z])
    base = z + 21 - 11 * _sigmoid((-y - 30) / 6) - 7 * _sigmoid((y - 30) / 6)
    above, temporal = _ellipsoid(p, (0, 0, 12), (66, 85, 57)), _ellipsoid(side, (44, 6, -20), (20, 40, 22))
    cerebrum = np.maximum(np.minimum(above, base), temporal)
    cerebellum = np.minimum(_ellipsoid(p, (0, -52, -32), (49, 31, 23)), -8 - z)
    stem = _capsule(p, (0, -16, -6), (0, -30, -58), 13)
    hull = np.maximum(np.maximum(cerebrum, cerebellum), stem)

    middle = np.hypot((y + 3) / 44, (z - 8) / 27)  # below the corpus callosum the halves are joined
    fissure = side[0] - 1 + 60 * _sigmoid((1 - middle) * 20)
    sylvian = np.abs(z + 4 - 0.5 * y) - 1 + np.maximum(0, 36 - side[0]) + np.maximum(0, np.abs(y - 4) - 28)
    folded = _folded(np.maximum(above, temporal), FOLD, rng)
    cerebral = np.min([folded, cerebrum, fissure, sylvian], axis=0)
    surface = np.maximum(np.maximum(cerebral, _folded(cerebellum, FOLD / 2, rng)), stem + CORTEX)

    halves = [_ellipsoid(side, *shape) for shape in VENTRICLES]
    ventricles = np.max([*halves, *(_ellipsoid(p, *shape) for shape in MIDLINE_VENTRICLES)], axis=0)
    nuclei = np.max([_ellipsoid(side, *shape) for shape in NUCLEI], axis=0)
    shares = np.zeros((len(TISSUES), *x.shape), np.float32)
    rest = _sigmoid(hull / SOFTNESS)
    for tissue, depth in ((0, ventricles), (3, nuclei), (0, -surface), (1, CORTEX - surface)):
        share = rest * _sigmoid(depth / SOFTNESS)
        shares[tissue] += share
        rest = rest - share
    shares[2] = rest
    return shares


def _ellipsoid(p: np.ndarray, centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    """How deep each place lies inside, in millimetres near the surface, (S, S, S)."""
    middle, radius = (np.reshape(np.array(lengths, np.float32), (3, 1, 1, 1)) for lengths in (centre, radii))
    scaled = (p - middle) / radius
    distance = np.sqrt(np.square(scaled).sum(axis=0))
    slope = np.sqrt(np.square(scaled / radius).sum(axis=0))
    return (1 - distance) * distance / np.maximum(slope, 1e-6)


def _capsule(p: np.ndarray, start: Sequence[float], end: Sequence[float], radius: float) -> np.ndarray:
    """How deep each place lies inside a rod with round ends, in millimetres, (S, S, S)."""
    origin = np.array(start, np.float32)[:, None, None, None]
    rod = np.array(end, np.float32) - np.array(start, np.float32)
    along = np.clip(np.tensordot(rod, p - origin, 1) / np.square(rod).sum(), 0, 1)
    nearest = origin + rod[:, None, None, None] * along
    return radius - np.sqrt(np.square(p - nearest).sum(axis=0))


def _folded(depth: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Millimetres below the surface of a body with sulci every `length` / 2 millimetres, (S, S, S).

    Sulci are the zeros of band-limited noise, whose slope there is about 2 π / `length`.
    """
    from scipy.ndimage import gaussian_filter

    deviation = length / SPACING / (2 * np.pi)
    noise = rng.standard_normal(depth.shape, np.float32)
    band = gaussian_filter(noise, deviation, mode="wrap") - gaussian_filter(noise, 1.5 * deviation, mode="wrap")
    beside = np.abs(band) / band.std() * length / (2 * np.pi) - SULCUS
    return np.minimum(depth, np.maximum(beside, depth - length / 2))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))
