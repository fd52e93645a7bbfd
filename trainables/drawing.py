"""A trial's pictures, drawn from the arrays that `trainables.artifacts` has saved. No torch, none of the user's code.

They lie beside the arrays, are drawn once, and again where newer arrays have taken the place of the old. Keys:

    reconstructions/NAME    (B, H, W, 3) uint8; original, reconstruction, and what else is decoded
    samples                 (B, H, W, 3) uint8; decoded draws from the prior
    latent/plane            (N, 2); the means of the posterior in the plane of their two first principal components
    latent/explained        (2,); the share of the variance of each
    latent/labels           (N,) strings; absent where the data has none
    latent/kl               (K,); raw KL (nats) of each dimension, largest first
    latent/active           (); units in use
    codes                   (C,); how often each code was used
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.files import ARRAYS, replace_file

ROW = "reconstructions/"
DPI = 110
LEGEND = 12  # labels at most
COLUMNS = 8  # of samples
MARGIN = 0.03  # of an image's place, on each side

Arrays = Mapping[str, np.ndarray]


def draw(folder: Path) -> list[str]:
    """Draw what the arrays in `folder` hold and is not drawn yet; a sentence for every file that cannot be.

    `pictures.npz` becomes `reconstructions.png`, `samples.png`, `latent_pca.png`, `kl_per_dim.png` or
    `code_usage.png`; `pictures-epoch-00005.npz`, of a trial on its way, `reconstructions-epoch-00005.png`.
    """
    problems = []
    for arrays in sorted(folder.glob(ARRAYS)):
        try:
            _draw(arrays)
        except Exception as error:  # whatever a file may hold: it costs its own pictures
            problems.append(f"{arrays} cannot be drawn: {type(error).__name__}: {error}")
    return problems


def _draw(path: Path) -> None:
    suffix = path.stem.removeprefix("pictures")
    saved = path.stat().st_mtime_ns
    with np.load(path, allow_pickle=False) as arrays:
        for needed, figure in FIGURES.items():
            picture = path.with_name(f"{figure.__name__}{suffix}.png")
            drawn = picture.exists() and picture.stat().st_mtime_ns >= saved
            if needed in arrays and not drawn:
                with replace_file(picture) as file:
                    figure(arrays).savefig(file, format="png", dpi=DPI)


def reconstructions(arrays: Arrays) -> Figure:
    """Originals, reconstructions, their absolute difference if more than these is shown, and the rest."""
    rows = {name.removeprefix(ROW): arrays[name] for name in arrays if name.startswith(ROW)}
    if len(rows) > 2:
        original, decoded = (rows.pop(name) for name in ("original", "reconstruction"))
        difference = np.abs(original.astype(np.int16) - decoded).astype(np.uint8)
        rows = {"original": original, "reconstruction": decoded, "difference": difference} | rows
    count = len(next(iter(rows.values())))
    figure, axis = _axes(1.1 * count + 1.2, 1.2 * len(rows))
    _tile(axis, [image for images in rows.values() for image in images], count)
    axis.set_yticks(np.arange(len(rows)) + 0.5, list(rows), fontsize=8, rotation=90, va="center")
    return figure


def samples(arrays: Arrays) -> Figure:
    """Decoded draws from the prior."""
    images = arrays["samples"]
    figure, axis = _axes(8.0, 1.1 * len(images) / COLUMNS)
    _tile(axis, list(images), COLUMNS)
    axis.set_yticks([])
    return figure


def latent_pca(arrays: Arrays) -> Figure:
    """The means of the posterior, coloured by label."""
    plane, explained = arrays["latent/plane"], arrays["latent/explained"]
    figure, axis = _axes(4.6, 4.0)
    if "latent/labels" not in arrays:
        axis.scatter(plane[:, 0], plane[:, 1], s=14, alpha=0.8)
    else:
        labels = arrays["latent/labels"]
        groups = np.unique(labels)
        for label in groups:
            x, y = plane[labels == label].T
            axis.scatter(x, y, s=14, alpha=0.8, label=str(label))
        if len(groups) <= LEGEND:
            axis.legend(fontsize=7, frameon=False)
    axis.set_xlabel(f"PC 1 of mu ({explained[0]:.0%} of variance)", fontsize=8)
    axis.set_ylabel(f"PC 2 ({explained[1]:.0%})", fontsize=8)
    return figure


def kl_per_dim(arrays: Arrays) -> Figure:
    """Raw KL by latent dimension."""
    kl = arrays["latent/kl"]
    figure, axis = _axes(4.6, 3.2)
    _steps(axis, kl, "latent dimension, by KL", "raw KL (nats)")
    active = int(arrays["latent/active"])
    axis.set_title(f"{active} of {len(kl)} units active, {kl.sum():.1f} nats in total", fontsize=9)
    return figure


def code_usage(arrays: Arrays) -> Figure:
    """How often each code was used."""
    counts = arrays["codes"]
    figure, axis = _axes(4.6, 3.2)
    _steps(axis, np.sort(counts)[::-1], "code, by use", "times used")
    axis.set_title(f"{int((counts > 0).sum())} of {len(counts)} codes in use", fontsize=9)
    return figure


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _steps(axis: Axes, heights: np.ndarray, xlabel: str, ylabel: str) -> None:
    axis.fill_between(np.arange(1, len(heights) + 1), heights, step="mid", linewidth=0)
    axis.set_xlabel(xlabel, fontsize=8)
    axis.set_ylabel(ylabel, fontsize=8)


def _tile(axis: Axes, images: list[np.ndarray], columns: int) -> None:
    """Images (H, W, 3) row by row, each in a square of its own; one axes for all, for forty of them take a second."""
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        height, width = (side / max(image.shape[:2]) * (0.5 - MARGIN) for side in image.shape[:2])
        x, y = column + 0.5, row + 0.5
        axis.imshow(image, interpolation="nearest", extent=(x - width, x + width, y + height, y - height))
    axis.set(xlim=(0, columns), ylim=(-(-len(images) // columns), 0), xticks=[], frame_on=False)
    axis.tick_params(length=0)


FIGURES: dict[str, Callable[[Arrays], Figure]] = {  # by what each needs; a picture has the name of its function
    f"{ROW}original": reconstructions,
    "samples": samples,
    "latent/plane": latent_pca,
    "latent/kl": kl_per_dim,
    "codes": code_usage,
}
