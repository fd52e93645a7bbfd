"""One NIfTI file as a volume with axes towards right, anterior and superior."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.data.errors import DataError

if TYPE_CHECKING:
    from nibabel.spatialimages import SpatialImage


class Grid(NamedTuple):
    """The voxels of a volume.

    Args:
        shape: how many along each axis.
        affine: (4, 4), from the voxel's indices to its place in millimetres.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Millimetres between voxels along each axis, (3,)."""
        return np.sqrt(np.square(self.affine[:3, :3]).sum(axis=0))

    @property
    def key(self) -> tuple[tuple[float, ...], ...]:
        """The same for the same grid, to 1/100 mm."""
        return self.shape, tuple(np.round(self.affine, 2).ravel().tolist())

    def distance(self, other: Grid) -> float:
        """How far the corners of two volumes of one shape lie apart at most, in voxels."""
        corners = np.array([(*corner, 1) for corner in product(*((0, length - 1) for length in self.shape))])
        apart = corners @ (self.affine - other.affine).T[:, :3]
        return float(np.sqrt(np.square(apart).sum(axis=1)).max() / self.spacing.min())


class Volume(NamedTuple):
    """A file whose header has been read and whose values have not.

    Args:
        path: the file.
        grid: of the reoriented volume.
        image: as it is stored.
        orientation: what reorients it, as nibabel has it; no interpolation.
    """

    path: Path
    grid: Grid
    image: SpatialImage
    orientation: np.ndarray

    def values(self) -> np.ndarray:
        """(X, Y, Z) float32 on `grid`; raises `DataError` for values that are not finite, or 0 everywhere."""
        from nibabel.orientations import apply_orientation

        stored = np.asarray(self.image.dataobj, np.float32).reshape(self.image.shape[:3])
        if not np.isfinite(stored).all():
            raise DataError(str(self.path), ["holds values that are NaN or infinite; expected finite numbers"])
        if not stored.any():
            raise DataError(str(self.path), ["is 0 everywhere"])
        return apply_orientation(stored, self.orientation)


def open_volume(path: Path) -> Volume:
    """The volume in a file, after a look at its header.

    Raises:
        DataError: it is not one volume of real numbers somewhere in space.
        Exception: whatever nibabel raises for damaged files.
    """
    import nibabel
    from nibabel.orientations import inv_ornt_aff, io_orientation
    from nibabel.spatialimages import SpatialImage

    image = nibabel.load(path)
    if not isinstance(image, SpatialImage):
        raise DataError(str(path), [f"holds a {type(image).__name__}; expected one volume, of 3 axes"])
    shape, kind = image.shape, image.get_data_dtype().kind
    if len(shape) < 3 or min(shape[:3]) < 2 or any(length != 1 for length in shape[3:]):
        raise DataError(str(path), [f"holds {' × '.join(map(str, shape))} values; expected one volume, of 3 axes"])
    if kind not in "uif":
        raise DataError(str(path), [f"holds values of type {image.get_data_dtype()}; expected real numbers"])
    affine = image.affine
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise DataError(str(path), ["its affine matrix has no inverse; set the voxels' size and direction anew"])
    orientation = io_orientation(affine)
    reoriented = affine @ inv_ornt_aff(orientation, shape[:3])
    order = np.argsort(orientation[:, 0])
    return Volume(path, Grid(tuple(shape[axis] for axis in order), reoriented), image, orientation)
