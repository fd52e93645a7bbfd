"""Generated axial slices of a body, as computed tomography shows them: two levels, chest and abdomen (the labels).

Lengths are shares of the body's half width and height, so that organs move and grow with the body; everything is
seen from the feet, front up. Each slice is drawn from 14 factors (`FACTORS`); what they leave open (the organs'
outlines, bowel loops, ribs, vessels, texture, noise) is random. Organs have textures of their own and edges one
pixel wide, so that blur and checkerboard patterns show.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping

import numpy as np

from trainables.data.samples import Samples

Place = tuple[float, float] | np.ndarray  # right and down

COUNT = 512
LEVELS = ("abdomen", "chest")
FACTORS = {
    "width": (0.76, 0.94),  # of the body: shares of the image's half side
    "height": (0.60, 0.76),
    "right": (-0.05, 0.05),  # of the body's centre: shares of the image's half side
    "down": (-0.08, 0.04),
    "tilt": (-0.10, 0.10),  # radians
    "fat": (0.03, 0.16),  # thickness under the skin
    "organs right": (-0.05, 0.05),
    "organs down": (-0.05, 0.05),
    "organ size": (0.85, 1.12),  # liver or heart
    "organ grey": (0.50, 0.68),
    "contrast agent": (0.58, 0.95),  # grey of vessels and kidneys
    "lung or bowel": (0.85, 1.12),  # size
    "bone": (0.80, 1.0),  # grey
    "brightness": (0.90, 1.10),
}
AIR, FAT, MUSCLE, GAS = 0.02, 0.24, 0.46, 0.04  # grey
SKIN = 0.025  # thickness


def embedded_grey(size: int, seed: int = 0) -> Samples:
    """512 slices, (512, 1, size, size) uint8."""
    factors, levels = embedded_grey_factors(seed), embedded_grey_levels(seed)
    x = np.empty((COUNT, 1, size, size), np.uint8)
    for index, (values, level) in enumerate(zip(factors.tolist(), levels, strict=True)):
        named = dict(zip(FACTORS, values, strict=True))
        image = _Slice(size, named, np.random.default_rng([seed, index])).drawn(LEVELS[level])
        x[index] = np.rint(255 * np.clip(image, 0, 1))
    return Samples(x, "embedded", [LEVELS[level] for level in levels], embedded=True)


def embedded_grey_factors(seed: int = 0) -> np.ndarray:
    """The true factors, (512, 14), columns as in `FACTORS`, uniform in the ranges given there."""
    low, high = np.transpose(list(FACTORS.values()))
    return np.random.default_rng([seed, *b"factors"]).uniform(low, high, (COUNT, len(FACTORS)))


def embedded_grey_levels(seed: int = 0) -> np.ndarray:
    """Index into `LEVELS` of each slice, (512,)."""
    return np.random.default_rng([seed, *b"levels"]).permutation(np.arange(COUNT) % len(LEVELS))


class _Slice:
    """One slice in the making: painted layer over layer."""

    def __init__(self, size: int, factors: Mapping[str, float], rng: np.random.Generator) -> None:
        self.factors, self.rng = factors, rng
        side = (np.arange(size) + 0.5) * 2 / size - 1
        z = (side[None, :] - factors["right"]) + 1j * (side[:, None] - factors["down"])
        z = z * np.exp(-1j * factors["tilt"])
        self.z = (z.real / factors["width"] + 1j * z.imag / factors["height"]).astype(np.complex64)
        self.x, self.y = self.z.real, self.z.imag
        self.pixels = size / 2 * math.sqrt(factors["width"] * factors["height"])  # of the body's half width
        self.image = np.full((size, size), AIR, np.float32)
        self.fine, self.grain, self.mottle = (self._texture(scale * size / 64) for scale in (0.5, 0.9, 2.0))

    def drawn(self, level: str) -> np.ndarray:
        """(S, S) float32, black at 0, white at 1."""
        inside = self._wall()
        if level == "chest":
            self._chest(inside)
        else:
            self._abdomen(inside)
        self._spine()
        return (
            self.image * self.factors["brightness"]
            + 0.012 * self.fine
            + 0.012 * self.rng.standard_normal(self.image.shape, np.float32)
        )

    def _wall(self) -> np.ndarray:
        """Couch, skin, fat, muscle and ribs; returns where the cavity is."""
        self.paint(self.ellipse((0, -1.6), (2.6, 2.85)) - self.ellipse((0, -1.6), (2.56, 2.80)), 0.14)
        depth = 1 - self.radius((0, 0), (1, 1), wobble=0.03)

        def below(thickness: float) -> np.ndarray:
            return np.clip((depth - thickness) * self.pixels + 0.5, 0, 1)

        muscle = SKIN + self.factors["fat"]
        self.paint(below(0), 0.42)
        self.paint(below(SKIN), FAT + 0.02 * self.mottle)
        self.paint(below(muscle), MUSCLE + 0.035 * self.grain)
        angle, phase = np.angle(self.z), self.rng.uniform(0, 2 * np.pi)
        around = np.cos(self.rng.integers(9, 13) * angle + phase + 0.6 * np.sin(2 * angle))
        ribs = below(muscle + 0.01) * (1 - below(muscle + 0.06)) * np.clip(3 * around - 1.2, 0, 1)
        self.paint(ribs, self.factors["bone"])
        return below(muscle + 0.075)

    def _abdomen(self, inside: np.ndarray) -> None:
        factors, rng = self.factors, self.rng
        self.paint(inside, FAT + 0.02 + 0.03 * self.mottle)
        self._bowel(inside)
        grey, size = factors["organ grey"], factors["organ size"]
        tissue = grey + 0.025 * self.grain + 0.02 * self.mottle
        liver = self.organ((-0.44, -0.06), (0.42 * size, 0.56 * size), tilt=0.25, wobble=0.07)
        lobe = self.organ((-0.12, -0.38), (0.34 * size, 0.22 * size), tilt=-0.2, wobble=0.08)
        liver = np.maximum(liver, lobe) * inside
        self.paint(liver, tissue)
        self.paint(liver * self.ridges(), 0.5 * grey + 0.5 * factors["contrast agent"])
        spleen = self.organ((0.66, 0.14), (0.19, 0.34), tilt=-0.35, wobble=0.06) * inside
        self.paint(spleen, grey + 0.05 + 0.03 * self.grain)
        stomach = self.organ((0.36, -0.40), (0.32, 0.24), tilt=0.3, wobble=0.08) * inside
        self.paint(stomach, MUSCLE + 0.12)
        content = self.organ((0.36, -0.40), (0.28, 0.20), tilt=0.3, wobble=0.08) * inside
        level = -0.40 + rng.uniform(-0.12, 0.08)
        gas = content * np.clip((level - self.y) * self.pixels + 0.5, 0, 1)
        self.paint(content, 0.40 + 0.05 * self.mottle)
        self.paint(gas, GAS)
        for side in (-1, 1):
            self._kidney(side * rng.uniform(0.36, 0.44), rng.uniform(0.24, 0.36), side)

    def _kidney(self, right: float, down: float, side: int) -> None:
        agent, tilt = self.factors["contrast agent"], side * self.rng.uniform(0.2, 0.7)
        centre = (right, down)
        self.paint(self.organ(centre, (0.15, 0.22), tilt, wobble=0.05), agent)
        self.paint(self.organ(centre, (0.10, 0.16), tilt, wobble=0.12), 0.75 * agent + 0.06 * self.grain)
        self.paint(self.organ((right - side * 0.05, down), (0.07, 0.08), tilt, wobble=0.15), FAT)

    def _bowel(self, inside: np.ndarray) -> None:
        rng = self.rng
        for _ in range(rng.integers(6, 11)):
            centre = rng.uniform((-0.1, -0.35), (0.62, 0.22))
            radius = rng.uniform(0.09, 0.15) * self.factors["lung or bowel"]
            radii = (radius, radius * rng.uniform(0.6, 1.0))
            self.paint(self.organ(centre, radii, rng.uniform(0, 3), 0.08) * inside, rng.uniform(0.50, 0.66))
            content = GAS if rng.random() < 0.3 else rng.uniform(0.34, 0.60) + 0.06 * self.mottle
            inner = (radii[0] - 0.045, radii[1] - 0.045)
            self.paint(self.organ(centre, inner, rng.uniform(0, 3), 0.08) * inside, content)

    def _chest(self, inside: np.ndarray) -> None:
        factors, rng = self.factors, self.rng
        self.paint(inside, MUSCLE - 0.04 + 0.04 * self.mottle)
        size, lung = factors["organ size"], factors["lung or bowel"]
        for side in (-1, 1):
            lobe = self.organ((side * 0.48, 0.02), (0.37 * lung, 0.66 * lung), side * 0.12, 0.06) * inside
            self.paint(lobe, 0.08 + 0.012 * self.grain + 0.02 * self.mottle)
            vessels, distance = self.branches((side * 0.20, 0.05))
            self.paint(lobe * vessels, 0.62 - 0.35 * np.minimum(distance, 1))
        grey, agent = factors["organ grey"], factors["contrast agent"]
        heart = self.organ((0.13, -0.22), (0.33 * size, 0.34 * size), 0.5, 0.06)
        self.paint(heart, grey - 0.04 + 0.03 * self.grain)
        self.paint(self.organ((0.22, -0.16), (0.13 * size, 0.17 * size), 0.7, 0.08), agent)
        self.paint(self.organ((-0.01, -0.30), (0.12 * size, 0.15 * size), 0.3, 0.10), 0.5 * (agent + grey))
        for side in (-1, 1):
            place = (side * rng.uniform(0.10, 0.15), rng.uniform(0.10, 0.18))
            self.paint(self.organ(place, (0.065, 0.075), 0, 0.05), MUSCLE + 0.2)
            self.paint(self.organ(place, (0.045, 0.055), 0, 0.05), GAS)
        self.paint(self.organ((0, -0.70), (0.14, 0.06), 0, 0.05), factors["bone"] - 0.1 + 0.08 * self.grain)

    def _spine(self) -> None:
        bone = self.factors["bone"]
        spongy = bone - 0.22 + 0.09 * self.grain
        for side in (-1, 1):
            self.paint(self.ellipse((side * 0.16, 0.62), (0.15, 0.05), side * 0.35, 0.1), bone - 0.08)
            self.paint(self.ellipse((side * 0.26, 0.72), (0.17, 0.12), side * 0.1, 0.08), MUSCLE + 0.04 * self.grain)
        self.paint(self.ellipse((0, 0.76), (0.045, 0.13)), bone - 0.05)
        self.paint(self.ellipse((0, 0.42), (0.165, 0.17), wobble=0.03), bone)
        self.paint(self.ellipse((0, 0.42), (0.13, 0.13), wobble=0.03), spongy)
        self.paint(self.ellipse((0, 0.62), (0.10, 0.085)), bone)
        self.paint(self.ellipse((0, 0.615), (0.065, 0.06)), MUSCLE)
        agent = self.factors["contrast agent"]
        self.paint(self.ellipse((0.10, 0.20), (0.07, 0.08)), agent)

    def organ(self, centre: Place, radii: tuple[float, float], tilt: float = 0.0, wobble: float = 0.0) -> np.ndarray:
        """An ellipse that moves with all organs."""
        moved = (centre[0] + self.factors["organs right"], centre[1] + self.factors["organs down"])
        return self.ellipse(moved, radii, tilt, wobble)

    def ellipse(
        self, centre: Place, radii: tuple[float, float], tilt: float = 0.0, wobble: float = 0.0
    ) -> np.ndarray:
        """How much of each pixel an ellipse covers, (S, S) in [0, 1]; arguments as of `radius`."""
        inside = 1 - self.radius(centre, radii, tilt, wobble)
        return np.clip(inside * math.sqrt(radii[0] * radii[1]) * self.pixels + 0.5, 0, 1)

    def radius(self, centre: Place, radii: tuple[float, float], tilt: float = 0.0, wobble: float = 0.0) -> np.ndarray:
        """Distance from the centre, 1 at the outline, (S, S); the outline is wavy by the share `wobble`."""
        z = self.z - complex(*centre)
        if tilt:
            z = z * cmath.rect(1, -tilt)
        z = z.real / radii[0] + 1j * z.imag / radii[1]
        radius = np.abs(z)
        if not wobble:
            return radius
        unit = z / (radius + 1e-6)
        second, third, fifth = wobble * np.exp(1j * self.rng.uniform(0, 2 * np.pi, 3)) * (1, 0.7, 0.4)
        square = unit * unit
        waves = square * (complex(second) + unit * complex(third) + square * unit * complex(fifth))
        return radius * (1 + waves.real)

    def paint(self, coverage: np.ndarray, grey: np.ndarray | float) -> None:
        """Lay a grey over what is there."""
        self.image += coverage * (grey - self.image)

    def ridges(self) -> np.ndarray:
        """Thin winding lines: where a smooth random field changes its sign."""
        return np.clip(1.5 - np.abs(self._texture(2.2 * len(self.image) / 64)) / 0.16, 0, 1)

    def branches(self, root: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Lines that leave a root, fork and fade, and the distance from it."""
        z = self.z - complex(*root)
        distance = np.abs(z) + 1e-3
        bend = 0.5 * self.mottle + self.rng.uniform(0, 2 * np.pi)
        lines = np.zeros_like(distance)
        for count, start in ((4, 0.0), (8, 0.2), (16, 0.45)):
            across = np.abs(np.sin(count / 2 * np.angle(z) + bend)) * 2 * distance / count * self.pixels
            there = np.clip((distance - start) * 8 + 0.5, 0, 1) * np.clip(self.grain + 1.2, 0, 1)
            lines = np.maximum(lines, there * np.clip(0.9 - across, 0, 1))
        return lines, distance

    def _texture(self, scale: float) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        field = gaussian_filter(self.rng.standard_normal(self.image.shape, np.float32), scale, mode="wrap")
        return field / field.std()
