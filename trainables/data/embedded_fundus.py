"""Generated photographs of the back of the eye, from three cameras (the environments), healthy or with retinopathy.

An eye has a disc with a cup, arteries and veins that leave it, arch around the macula and fork, and a mottled
ground; ten factors (`FACTORS`) describe it. Retinopathy adds microaneurysms and small haemorrhages (dark red dots)
and hard exudates (bright yellow ones, in clusters). Cameras differ in colour, field, magnification, vignetting,
sharpness and noise (`CAMERAS`); all see eyes of the same kind, and as many of each class. Lengths are shares of the
field's radius; the vessels' course and the lesions' places are random.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.data.samples import Samples

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

CLASSES = ("healthy", "retinopathy")
EACH = 85  # images of a class from a camera
FACTORS = {
    "side": (-1.0, 1.0),  # negative: the disc is on the left
    "disc across": (0.42, 0.62),  # distance of the disc's centre from the field's
    "disc down": (-0.12, 0.12),
    "disc": (0.15, 0.21),  # radius
    "cup": (0.35, 0.65),  # share of the disc's radius
    "pigment": (-0.12, 0.12),  # relative brightness of the ground
    "macula": (0.15, 0.45),  # darkening at its centre
    "vessels": (0.85, 1.20),  # relative width
    "exposure": (0.85, 1.15),
    "light": (-0.25, 0.25),  # gradient of the illumination from left to right
}
OVERSAMPLING = 4  # of vessels and lesions
STEP = 0.06  # of a vessel
THINNEST, FARTHEST = 0.012, 1.2  # width of a vessel, and where it may fork


class Camera(NamedTuple):
    """How a camera sees the eye.

    Args:
        tone: red, green and blue of the ground, in [0, 1].
        field: radius of the visible disc, in half sides of the image.
        cut: where the field is cut off above and below, in half sides of the image.
        magnification: of the eye.
        vignetting: darkening at the field's edge.
        blur: in pixels of a 64-pixel image.
        noise: standard deviation, in [0, 1].
    """

    tone: tuple[float, float, float]
    field: float
    cut: float
    magnification: float
    vignetting: float
    blur: float
    noise: float


CAMERAS = {
    "clinic-a": Camera((0.86, 0.42, 0.20), 0.97, 2.00, 1.00, 0.25, 0.30, 0.010),
    "clinic-b": Camera((0.66, 0.25, 0.08), 1.22, 2.00, 1.20, 0.60, 0.40, 0.020),
    "clinic-c": Camera((0.80, 0.47, 0.38), 0.97, 0.78, 0.92, 0.10, 0.50, 0.010),
}


def embedded_fundus(size: int, seed: int = 0) -> Samples:
    """510 photographs, (510, 3, size, size) uint8, 85 of each class from each camera."""
    factors = embedded_fundus_factors(seed)
    environments = [name for name in CAMERAS for _ in range(len(CLASSES) * EACH)]
    labels = [label for _ in CAMERAS for label in CLASSES for _ in range(EACH)]
    x = np.empty((len(factors), 3, size, size), np.uint8)
    for index, (values, label, name) in enumerate(zip(factors.tolist(), labels, environments, strict=True)):
        named = dict(zip(FACTORS, values, strict=True))
        rng = np.random.default_rng([seed, index])
        eye = _Eye(size, CAMERAS[name], named, rng)
        x[index] = np.rint(255 * np.clip(eye.photograph(lesions=label == CLASSES[1]), 0, 1)).transpose(2, 0, 1)
    return Samples(x, "embedded", labels, embedded=True, environments=environments)


def embedded_fundus_factors(seed: int = 0) -> np.ndarray:
    """The true factors, (510, 10), columns as in `FACTORS`, uniform in the ranges given there."""
    low, high = np.transpose(list(FACTORS.values()))
    count = len(CAMERAS) * len(CLASSES) * EACH
    return np.random.default_rng([seed, *b"factors"]).uniform(low, high, (count, len(FACTORS)))


class _Eye:
    """One eye before one camera. Complex numbers are places: right and down, the field's radius at 1."""

    def __init__(self, size: int, camera: Camera, factors: Mapping[str, float], rng: np.random.Generator) -> None:
        self.size, self.camera, self.factors, self.rng = size, camera, factors, rng
        side = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
        self.place = (side[None, :] + 1j * side[:, None]).astype(np.complex64)
        self.scale = 0.97 * camera.magnification  # half sides of the image per unit
        self.z = self.place / np.float32(self.scale)
        self.temporal = -1.0 if factors["side"] > 0 else 1.0  # direction from the disc to the macula
        self.disc = complex(-self.temporal * factors["disc across"], factors["disc down"])
        self.macula = self.disc + complex(self.temporal * 0.62, 0.08)

    def photograph(self, lesions: bool) -> np.ndarray:
        """(S, S, 3) float32, black at 0, white at 1."""
        from scipy.ndimage import gaussian_filter

        image = self._ground()
        self._disc(image)
        self._vessels(image)
        if lesions:
            self._lesions(image)
        image *= self._light()[..., None]
        blurred = gaussian_filter(image, (*(2 * [self.camera.blur * self.size / 64]), 0))
        noise = self.camera.noise * self.rng.standard_normal(image.shape, np.float32)
        return (blurred + noise) * self._field()[..., None] + 0.015

    def _ground(self) -> np.ndarray:
        factors = self.factors
        mottle = 0.05 * self._texture(4.0) + 0.035 * self._texture(1.2)
        fibres = 0.03 * np.cos(40 * np.angle(self.z - self.disc) + 2 * self._texture(3.0))
        brightness = (1 + factors["pigment"]) * (1 + mottle + fibres)
        macula = factors["macula"] * np.exp(-(np.square(np.abs(self.z - self.macula) / 0.24)))
        tone = np.array(self.camera.tone, np.float32)
        return brightness[..., None] * tone * (1 - macula[..., None] * np.array((0.7, 1.1, 1.0), np.float32))

    def _disc(self, image: np.ndarray) -> None:
        radius, tone = self.factors["disc"], np.array(self.camera.tone, np.float32)
        z = self.z - self.disc
        z = z.real * 1.08 + 1j * z.imag * 0.95
        pale = np.array((1.05, 0.78, 0.50), np.float32) * (0.55 + 0.45 * tone[0])
        pixels = self.size / 2 * self.scale
        rim, cup = (1.0, 0.45 * tone + 0.55 * pale, 1.0), (self.factors["cup"], 1.12 * pale, 1.5)
        for share, colour, softness in ((1.12, 0.85 * tone, 3.0), rim, cup):
            edge = np.clip((share * radius - np.abs(z)) * pixels / softness + 0.5, 0, 1)[..., None]
            image += edge * (colour - image)

    def _vessels(self, image: np.ndarray) -> None:
        canvas, draw = self._canvas()
        arcade, nasal = (self.temporal, 0.20, 0.060), (-self.temporal, 0.9, 0.012)
        vein, artery = (0.052, 230, 0.2), (0.040, 150, 0.0)
        for upward, (direction, lean, bend), (width, depth, apart) in product(
            (-1, 1), (arcade, nasal), (vein, artery)
        ):
            heading = upward * (np.pi / 2 - (lean + apart) * direction)
            turn = -upward * direction * bend * self.rng.uniform(0.8, 1.25)
            self._vessel(draw, self.disc, heading, turn, width * self.factors["vessels"], depth)
        image *= 1 - self._covered(canvas)[..., None] * np.array((0.38, 0.62, 0.55), np.float32)

    def _vessel(
        self, draw: ImageDraw.ImageDraw, start: complex, heading: float, turn: float, width: float, depth: int
    ) -> None:
        """A vessel that turns by `turn` radians a step, tapers, and sends out thinner ones."""
        rng = self.rng
        count = int(rng.uniform(0.7, 1.0) * (8 + 420 * width))
        turns = np.where(np.arange(count) < 2, 0, turn) + rng.normal(0, 0.10, count)
        headings = heading + np.cumsum(turns)
        course = start + np.cumsum(STEP * np.exp(1j * headings))
        widths = width * np.linspace(1, 0.55, count)
        self._line(draw, np.concatenate([[start], course]), widths, depth)
        sign = rng.choice((-1, 1))
        for step in range(rng.integers(2, 5), count, rng.integers(3, 6)):
            sign, thinner = -sign, 0.58 * widths[step]
            if thinner > THINNEST and abs(course[step]) < FARTHEST:
                fork = headings[step] + sign * rng.uniform(0.45, 0.9)
                self._vessel(draw, course[step], fork, -0.03 * sign, thinner, depth)

    def _line(self, draw: ImageDraw.ImageDraw, course: np.ndarray, widths: np.ndarray, depth: int) -> None:
        points = self._on_canvas(course)
        unit = self._on_canvas(np.array([1.0]))[0][0] - self._on_canvas(np.array([0.0]))[0][0]
        for first in range(0, len(widths), 4):
            thickness = max(1, round(widths[first] * unit))
            draw.line(points[first : first + 5], fill=depth, width=thickness, joint="curve")

    def _lesions(self, image: np.ndarray) -> None:
        rng = self.rng
        red, draw_red = self._canvas()
        for _ in range(rng.integers(5, 19)):
            self._dot(draw_red, self._somewhere(), rng.uniform(0.022, 0.040))
        for _ in range(rng.integers(1, 5)):
            centre = self._somewhere()
            for _ in range(4):
                self._dot(draw_red, centre + 0.03 * complex(*rng.normal(size=2)), rng.uniform(0.03, 0.05))
        image *= 1 - self._covered(red)[..., None] * np.array((0.50, 0.72, 0.62), np.float32)
        yellow, draw_yellow = self._canvas()
        for _ in range(rng.integers(1, 5)):
            centre = self._somewhere()
            for _ in range(rng.integers(5, 12)):
                self._dot(draw_yellow, centre + 0.09 * complex(*rng.normal(size=2)), rng.uniform(0.015, 0.038))
        fat = np.array((1.05, 0.88, 0.42), np.float32) * (0.4 + 0.6 * self.camera.tone[0])
        image += self._covered(yellow)[..., None] * (fat - image)

    def _somewhere(self) -> complex:
        """A place in the field, not on the disc."""
        while True:
            place = 0.85 * np.sqrt(self.rng.random()) * np.exp(2j * np.pi * self.rng.random())
            if abs(place - self.disc) > 1.5 * self.factors["disc"]:
                return complex(place)

    def _dot(self, draw: ImageDraw.ImageDraw, centre: complex, radius: float) -> None:
        corners = self._on_canvas(centre + radius * np.array([-1 - 1j, 1 + 1j]))
        draw.ellipse(corners, fill=255)

    def _light(self) -> np.ndarray:
        radius = np.abs(self.place) / self.camera.field
        direction = 1 + self.factors["light"] * self.place.real
        return self.factors["exposure"] * direction * (1 - self.camera.vignetting * np.square(radius))

    def _field(self) -> np.ndarray:
        inside = np.minimum(self.camera.field - np.abs(self.place), self.camera.cut - np.abs(self.place.imag))
        return np.clip(inside * self.size / 2 + 0.5, 0, 1)

    def _canvas(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        from PIL import Image, ImageDraw

        canvas = Image.new("L", 2 * (self.size * OVERSAMPLING,))
        return canvas, ImageDraw.Draw(canvas)

    def _on_canvas(self, places: np.ndarray) -> list[tuple[float, float]]:
        pixels = (places * self.scale + (1 + 1j)) * (self.size * OVERSAMPLING / 2)
        return list(zip(pixels.real.tolist(), pixels.imag.tolist(), strict=True))

    def _covered(self, canvas: Image.Image) -> np.ndarray:
        return np.asarray(canvas.reduce(OVERSAMPLING), np.float32) / 255

    def _texture(self, length: float) -> np.ndarray:
        from scipy.ndimage import gaussian_filter

        noise = self.rng.standard_normal(self.z.shape, np.float32)
        field = gaussian_filter(noise, length * self.size / 64, mode="wrap")
        return field / field.std()
