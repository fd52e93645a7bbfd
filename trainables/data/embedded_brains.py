"""Generated brains with known factors of variation: a drawn template, deformed, scanned and mostly with a tumour.

160 subjects, four registered modalities. Every subject is the template of `trainables.data.brain_template`, deformed:

    size        along each axis, 3 % (one standard deviation)
    ventricles  −25 … 45 % wider, at the cost of the white matter around them
    torque      one half lies up to 5 mm ahead of the other
    shape       six smooth fields of displacement, the same for all subjects, of 0.8 mm each, and 0.7 mm of its own

Three of four have a tumour in the white matter: a core without blood supply, a rim that takes up contrast agent and
an oedema around it that follows the white matter; it pushes the brain aside. The label tells its side.

Tissues have a density of protons and relaxation times (1.5 T); the modalities differ in when the scanner looks:

    spin echo             density · (1 − exp(−TR / T1)) · exp(−TE / T2)
    inversion recovery    density · |1 − 2 exp(−TI / T1) + exp(−TR / T1)| · exp(−TE / T2)

t1ce is t1 with contrast agent, which shortens T1 where it goes. Each modality of each subject has a bias field and
noise (Rician) of its own, and no gain: values are standardised over the brain (`trainables.data.cubes`).

At 32³ voxels, of the held-out variance: 32 principal components of the training samples explain 0.42, 4 of them 0.17.
The mean of the training samples alone, which needs no latents, reaches a structural similarity of 0.81 to 0.86 with
the held-out ones, by modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from trainables.data.blocks import allocate
from trainables.data.brain_template import FIELD, SPACING, TISSUES, centres, draw_template
from trainables.data.cubes import standardised
from trainables.data.samples import Samples

COUNT = 160
MODALITIES = ("t1", "t1ce", "t2", "flair")
FACTORS = (
    *("width", "length", "height", "ventricles", "torque"),
    *(f"shape {number}" for number in range(1, 7)),
    *("tumour radius", "tumour right", "tumour anterior", "tumour superior", "core", "oedema"),
)
TUMOUR = 11  # place of the first factor of the tumour
TUMOUR_SHARE = 0.75
FIELDS, FIELD_WIDTH, FIELD_SIZE = 6, 28.0, 0.8  # of displacement: how many, millimetres, millimetres
OWN_WIDTH, OWN_SIZE = 16.0, 0.7
VENTRICLES, VENTRICLE_REACH = (0, -2, 13), (22, 36, 18)  # middle and extent, millimetres
BIAS, NOISE = 0.05, 0.03  # standard deviations, as a share of the signal and of white matter's


class Tissue(NamedTuple):
    """Proton density, and T1, T2 and T1 with contrast agent in milliseconds."""

    density: float
    t1: float
    t2: float
    t1_contrast: float


class Sequence(NamedTuple):
    """Repetition, echo and inversion time in milliseconds (0: spin echo), and whether contrast agent was given."""

    repetition: float
    echo: float
    inversion: float = 0.0
    contrast: bool = False


TISSUE = {
    "fluid": Tissue(1.0, 4200, 1900, 4200),
    "grey matter": Tissue(0.86, 950, 100, 900),
    "white matter": Tissue(0.77, 600, 80, 590),
    "nuclei": Tissue(0.84, 820, 86, 790),
    "core": Tissue(0.95, 2200, 280, 2100),
    "rim": Tissue(0.88, 1150, 125, 330),
    "oedema": Tissue(0.90, 1150, 160, 1130),
}
SCANNED = {
    "t1": Sequence(2300, 3, 900),
    "t1ce": Sequence(2300, 3, 900, contrast=True),
    "t2": Sequence(4500, 95),
    "flair": Sequence(9000, 110, 2500),
}


def signal(tissue: Tissue, sequence: Sequence) -> float:
    """What the scanner measures of a tissue."""
    relaxation = tissue.t1_contrast if sequence.contrast else tissue.t1
    remaining = np.exp(-sequence.repetition / relaxation)
    recovered = 1 - remaining
    if sequence.inversion:
        recovered = abs(1 - 2 * np.exp(-sequence.inversion / relaxation) + remaining)
    return float(tissue.density * recovered * np.exp(-sequence.echo / tissue.t2))


def embedded_brains(size: int, seed: int = 0) -> Samples:
    """160 subjects of 4 × `size`³, labelled "tumour left", "tumour right" or "no tumour"."""
    factors = embedded_factors(seed)
    scanner = _Scanner(size, _stream(seed, "anatomy"))
    x = allocate((COUNT, len(MODALITIES), *3 * (size,)), np.float32)
    for index, values in enumerate(factors):
        x[index] = scanner.scan(dict(zip(FACTORS, values.tolist(), strict=True)), _stream(seed, f"subject {index}"))
    sides = np.where(factors[:, TUMOUR + 1] > 0, "tumour right", "tumour left")
    labels = np.where(factors[:, TUMOUR] > 0, sides, "no tumour").tolist()
    return Samples(x, "embedded", labels, embedded=True)


def embedded_factors(seed: int = 0) -> np.ndarray:
    """The true factors, (160, 17), columns as in `FACTORS`.

    Sizes and ventricles as a share of the template's, lengths in millimetres, shapes in standard deviations, the core
    as a share of the tumour's radius, the oedema's width as one. Without a tumour all that tells of it is 0.
    """
    rng = _stream(seed, "factors")
    anatomy = np.column_stack(
        [
            rng.normal(0, 0.03, (COUNT, 3)),
            rng.uniform(-0.25, 0.45, COUNT),
            rng.uniform(-5, 5, COUNT),
            rng.standard_normal((COUNT, FIELDS)),
        ]
    )
    low, high = np.array([(7, 17), (18, 38), (-50, 40), (6, 40), (0.3, 0.7), (0.4, 1.4)]).T
    tumour = rng.uniform(low, high, (COUNT, len(low)))
    tumour[:, 1] *= rng.choice([-1, 1], COUNT)
    tumour[rng.random(COUNT) >= TUMOUR_SHARE] = 0
    return np.concatenate([anatomy, tumour], axis=1)


class _Scanner:
    """Draws subjects on a grid of `size`³ voxels."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        from scipy.ndimage import gaussian_filter

        self.place = centres(size)
        blur = max(FIELD / size / SPACING - 1, 0) / 2  # against aliasing, see `trainables.data.cubes`
        self.template = [gaussian_filter(share, blur) for share in draw_template(rng)]
        self.fields = [FIELD_SIZE * self._displacement(FIELD_WIDTH, rng) for _ in range(FIELDS)]

    def scan(self, factors: Mapping[str, float], rng: np.random.Generator) -> np.ndarray:
        """(4, S, S, S), standardised."""
        shares = self._anatomy(factors, rng)
        inside = shares.sum(axis=0)
        if factors["tumour radius"]:
            shares = self._with_tumour(shares, factors, rng)
        brain = inside >= 0.5
        volumes = []
        for sequence in SCANNED.values():
            signals = np.array([signal(tissue, sequence) for tissue in TISSUE.values()], np.float32)
            true = np.tensordot(signals[: len(shares)], shares, 1) / np.maximum(inside, 0.5)
            true *= np.exp(BIAS * self._smooth(60.0, rng))
            noise = NOISE * signals[TISSUES.index("white matter")] * rng.standard_normal((2, *true.shape), np.float32)
            volumes.append(standardised(brain * np.hypot(true + noise[0], noise[1]), "embedded"))
        return np.stack(volumes)

    def _anatomy(self, factors: Mapping[str, float], rng: np.random.Generator) -> np.ndarray:
        """Share of each tissue of the deformed template, (4, S, S, S)."""
        from scipy.ndimage import map_coordinates

        place = self.place.copy()
        if factors["tumour radius"]:
            offset, distance = self._from_tumour(factors)
            place -= 0.3 * offset * np.exp(-np.square(distance / (1.3 * factors["tumour radius"])) / 2)
        place -= OWN_SIZE * self._displacement(OWN_WIDTH, rng)
        for number, field in enumerate(self.fields, 1):
            place -= factors[f"shape {number}"] * field
        place[1] -= factors["torque"] * np.tanh(place[0] / 25)
        place /= 1 + np.array([factors[axis] for axis in ("width", "length", "height")]).reshape(3, 1, 1, 1)
        offset = place - np.reshape(VENTRICLES, (3, 1, 1, 1))
        near = np.exp(-np.square(offset / np.reshape(VENTRICLE_REACH, (3, 1, 1, 1))).sum(axis=0) / 2)
        place -= offset * (1 - 1 / (1 + factors["ventricles"] * near))
        index = (place / FIELD + 0.5) * len(self.template[0]) - 0.5
        return np.stack([map_coordinates(share, index, order=1) for share in self.template])

    def _with_tumour(self, shares: np.ndarray, factors: Mapping[str, float], rng: np.random.Generator) -> np.ndarray:
        """Share of each tissue, core, rim and oedema too, (7, S, S, S)."""
        radius, inside = factors["tumour radius"], shares.sum(axis=0)
        distance = self._from_tumour(factors)[1] + 0.15 * radius * self._smooth(12.0, rng)
        core = inside * _within(factors["core"] * radius - distance)
        rim = inside * _within(radius - distance) - core
        white = shares[TISSUES.index("white matter")]
        swollen = _within(radius * (1 + factors["oedema"]) - distance) * (0.15 * inside + 0.85 * white)
        oedema = np.minimum(swollen, inside - core - rim)
        rest = (inside - core - rim - oedema) / np.maximum(inside, 1e-6)
        return np.concatenate([shares * rest, np.maximum([core, rim, oedema], 0)])

    def _from_tumour(self, factors: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        centre = [factors[f"tumour {axis}"] for axis in ("right", "anterior", "superior")]
        offset = self.place - np.reshape(centre, (3, 1, 1, 1))
        return offset, np.sqrt(np.square(offset).sum(axis=0))

    def _displacement(self, width: float, rng: np.random.Generator) -> np.ndarray:
        return np.stack([self._smooth(width, rng) for _ in range(3)])

    def _smooth(self, width: float, rng: np.random.Generator) -> np.ndarray:
        """A normal field of unit variance that varies over `width` millimetres, (S, S, S); the same for all S."""
        points = np.arange(-FIELD / 2 - 2 * width, FIELD / 2 + 2 * width, width / 1.5)
        kernel = np.exp(-np.square((self.place[0, :, 0, :1] - points) / width)).astype(np.float32)
        kernel /= np.sqrt(np.square(kernel).sum(axis=1, keepdims=True))
        field = rng.standard_normal(3 * (len(points),), np.float32)
        for _ in range(3):
            field = np.tensordot(field, kernel, (0, 1))
        return field


def _within(depth: np.ndarray) -> np.ndarray:
    """1 inside, 0 outside, over about 3 mm."""
    return 1 / (1 + np.exp(-np.clip(depth, -30, 30)))


def _stream(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, *purpose.encode()])
