"""Generated crops of single cells under the fluorescence microscope, segmented: the background is exactly 0.

Crops are as large as their cell, half the image size to all of it. Each is drawn from nine factors (`FACTORS`); the
outline, the chromatin's clumps, the filaments and the photons are random. The label is the cell's state: a third
are interphase, spread out, with a nucleus of textured chromatin and dark nucleoli in a cytoplasm of filaments; a
third are mitotic, round, with a bright plate of chromosomes; a third are apoptotic, small, with a few bright beads.

The gain (photons that the brightest structures send) differs between images by a factor of 16, and with it the
noise: it is what scaling each image by its own percentiles takes away. Intensities are those of a 16-bit camera.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from trainables.data.crops import to_sample
from trainables.data.samples import Samples

COUNT = 512
STATES = ("apoptotic", "interphase", "mitotic")
FACTORS = {
    "size": (0.5, 1.0),  # of the crop's longer side: share of the image size
    "elongation": (1.0, 1.5),
    "angle": (0.0, math.pi),  # radians
    "nucleus": (0.45, 0.65),  # size: share of the cell's
    "nucleus along": (-0.20, 0.20),  # place of the nucleus on the cell's long axis: share of its half length
    "cytoplasm": (0.25, 0.60),  # brightness: share of the nucleus'
    "filaments": (0.0, math.pi),  # direction in radians
    "focus": (0.4, 0.9),  # blur in pixels of a 32-pixel image
    "gain": (math.log(60), math.log(960)),  # log photons
}
COUNTS_PER_PHOTON = 30


def embedded_cells(size: int, seed: int = 0) -> Samples:
    """512 crops with their masks, (512, 2, size, size) float32; see `trainables.data.crops`."""
    factors, states = embedded_cell_factors(seed), embedded_cell_states(seed)
    x = np.empty((COUNT, 2, size, size), np.float32)
    for index, (values, state) in enumerate(zip(factors.tolist(), states, strict=True)):
        named = dict(zip(FACTORS, values, strict=True))
        crop = draw_cell(size, named, STATES[state], np.random.default_rng([seed, index]))
        x[index] = to_sample(crop[None], crop != 0, size)
    return Samples(x, "embedded", [STATES[state] for state in states], embedded=True)


def embedded_cell_factors(seed: int = 0) -> np.ndarray:
    """The true factors, (512, 9), columns as in `FACTORS`, uniform in the ranges given there."""
    low, high = np.transpose(list(FACTORS.values()))
    return np.random.default_rng([seed, *b"factors"]).uniform(low, high, (COUNT, len(FACTORS)))


def embedded_cell_states(seed: int = 0) -> np.ndarray:
    """Index into `STATES` of each cell, (512,)."""
    return np.random.default_rng([seed, *b"states"]).permutation(np.arange(COUNT) % len(STATES))


def draw_cell(size: int, factors: Mapping[str, float], state: str, rng: np.random.Generator) -> np.ndarray:
    """A crop, (H, W) float32 camera counts, exactly 0 outside the cell; H and W at most `size`."""
    from scipy.ndimage import gaussian_filter

    z, pixels = _cell_plane(size, factors, state)
    texture = _Texture(z.shape, size / 32, rng)
    edge = np.abs(z) * (1 + _waves(z, 0.06 if state == "interphase" else 0.03, rng))
    coverage = np.clip((1 - edge) * pixels + 0.5, 0, 1)
    signal = {"interphase": _interphase, "mitotic": _mitotic, "apoptotic": _apoptotic}[state](
        z, factors, texture, rng
    )
    blurred = gaussian_filter(coverage * signal, factors["focus"] * size / 32)
    photons = rng.poisson(math.exp(factors["gain"]) * np.maximum(blurred, 0))
    inside = coverage > 0.5
    crop = np.where(inside, COUNTS_PER_PHOTON * photons + rng.normal(200, 15, z.shape), 0)
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return np.clip(np.rint(crop), 0, 65535).astype(np.float32)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


class _Texture:
    """Random fields of unit variance, at lengths in pixels of a 32-pixel image."""

    def __init__(self, shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> None:
        self.shape, self.scale, self.rng = shape, scale, rng

    def __call__(self, length: float) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        field = gaussian_filter(self.rng.standard_normal(self.shape), length * self.scale, mode="wrap")
        return field / field.std()


def _cell_plane(size: int, factors: Mapping[str, float], state: str) -> tuple[np.ndarray, float]:
    """Complex coordinates, the cell's long axis real and its outline at 1, and the cell's mean radius in pixels."""
    elongation = factors["elongation"] if state == "interphase" else 1 + (factors["elongation"] - 1) / 4
    half = factors["size"] * size / 2 * 0.97
    side = np.arange(size) + 0.5 - size / 2
    z = (side[None, :] + 1j * side[:, None]) * np.exp(-1j * factors["angle"])
    return z.real / half + 1j * z.imag * elongation / half, half / math.sqrt(elongation)


def _waves(z: np.ndarray, height: float, rng: np.random.Generator) -> np.ndarray:
    angle = np.angle(z)
    return height * sum(np.cos(order * angle + rng.uniform(0, 2 * np.pi)) / order**0.5 for order in (2, 3, 5))


def _interphase(
    z: np.ndarray, factors: Mapping[str, float], texture: _Texture, rng: np.random.Generator
) -> np.ndarray:
    share = factors["nucleus"]
    n = (z - factors["nucleus along"]) / share
    nucleus = np.clip((1 - np.abs(n) * (1 + _waves(n, 0.04, rng))) * 5, 0, 1)
    chromatin = 0.75 + 0.20 * texture(0.8) + 0.12 * np.abs(n) ** 4
    for _ in range(rng.integers(1, 4)):
        nucleolus = n - rng.uniform(0, 0.6) * np.exp(1j * rng.uniform(0, 2 * np.pi))
        chromatin = chromatin * (1 - 0.75 * np.exp(-((np.abs(nucleolus) / rng.uniform(0.16, 0.28)) ** 4)))
    across = (z * np.exp(-1j * factors["filaments"])).imag
    filaments = 0.5 + 0.5 * np.cos(16 * across + 1.6 * texture(3.0))
    cytoplasm = factors["cytoplasm"] * (0.35 + 0.9 * filaments**2 + 0.25 * texture(0.7)) * (1.1 - 0.5 * np.abs(z))
    return np.where(nucleus > 0, nucleus * chromatin + (1 - nucleus) * cytoplasm, cytoplasm)


def _mitotic(z: np.ndarray, factors: Mapping[str, float], texture: _Texture, rng: np.random.Generator) -> np.ndarray:
    axis = z * np.exp(-1j * factors["filaments"])
    apart = max(0.0, rng.uniform(-0.3, 0.45))  # metaphase, or anaphase with two plates
    plates = [np.exp(-(((axis.real - sign * apart) / 0.16) ** 2) - (axis.imag / 0.58) ** 4) for sign in (-1, 1)]
    chromosomes = np.maximum(*plates) * (1.3 + 0.35 * texture(0.7))
    spindle = np.exp(-((axis.imag / 0.35) ** 2)) * (0.6 + 0.4 * np.cos(18 * axis.imag)) * (np.abs(axis.real) < 0.75)
    return chromosomes + factors["cytoplasm"] * (0.55 + 0.45 * spindle + 0.12 * texture(0.7))


def _apoptotic(
    z: np.ndarray, factors: Mapping[str, float], texture: _Texture, rng: np.random.Generator
) -> np.ndarray:
    signal = factors["cytoplasm"] * (0.5 + 0.3 * texture(1.2))
    for _ in range(rng.integers(3, 8)):
        bead = z - rng.uniform(0, 0.6) * np.exp(1j * rng.uniform(0, 2 * np.pi))
        signal = np.maximum(signal, 1.4 * np.exp(-((np.abs(bead) / rng.uniform(0.10, 0.26)) ** 4)))
    return signal
