"""One NIfTI file as a volume with axes towards right, anterior and superior.

Whether it is packed by gzip is told by content, not by name.
"""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainables.data.background import without_background
from trainables.data.errors import DataError
from trainables.data.image_files import signature

if TYPE_CHECKING:
    from nibabel.filebasedimages import FileBasedImage
    from nibabel.spatialimages import SpatialImage

NAMES = "dataset.json"  # of the Medical Segmentation Decathlon and of nnU-Net
EXAMPLE = '{"modality": {"0": "T1w", "1": "T2w"}}'
_GZIP = b"\x1f\x8b"
_NIFTI_2 = 540  # length of the header


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
        number: which of several volumes in the file it is; None for the only one.
    """

    path: Path
    grid: Grid
    image: SpatialImage
    orientation: np.ndarray
    number: int | None

    @property
    def stated(self) -> bool:
        """Whether the file says where right, anterior and superior are."""
        from nibabel.nifti1 import Nifti1Header

        header = self.image.header
        codes = ("sform_code", "qform_code")
        return not isinstance(header, Nifti1Header) or any(int(header[code]) > 0 for code in codes)

    def values(self) -> tuple[np.ndarray, str | None]:
        """(X, Y, Z) float32 on `grid`, 0 on the background alone, and what is unusual about the background.

        Raises:
            DataError: values are not finite, or there is nothing but background.
        """
        from nibabel.orientations import apply_orientation

        stored = self.image.dataobj if self.number is None else self.image.dataobj[..., self.number]
        values_XYZ = np.asarray(stored, np.float32).reshape(self.image.shape[:3])
        cleared, fact = without_background(values_XYZ, _step(self.image), str(self.path))
        return apply_orientation(cleared, self.orientation), fact


def open_volume(path: Path, number: int | None = None) -> Volume:
    """The volume in a file, after a look at its header.

    Args:
        path: the file.
        number: which of the volumes along its fourth axis; None where there is one.

    Raises:
        DataError: it is not one volume of real numbers somewhere in space.
        Exception: whatever nibabel raises for damaged files.
    """
    from nibabel.orientations import inv_ornt_aff, io_orientation
    from nibabel.spatialimages import SpatialImage

    image = _load(path)
    if not isinstance(image, SpatialImage):
        raise DataError(str(path), [f"holds a {type(image).__name__}; expected one volume, of 3 axes"])
    shape, kind = image.shape, image.get_data_dtype().kind
    if len(shape) < 3 or min(shape[:3]) < 2 or (number is None and any(length != 1 for length in shape[3:])):
        found = f"holds {' × '.join(map(str, shape))} values; expected one volume, of 3 axes"
        several = f": split it, or name the volumes in {NAMES} {EXAMPLE}" if len(shape) == 4 else ""
        raise DataError(str(path), [found + several])
    if number is not None and (len(shape) != 4 or shape[3] <= number):
        found = f"holds {' × '.join(map(str, shape))} values"
        raise DataError(str(path), [f"{found}; expected at least {number + 1} along a fourth axis, see {NAMES}"])
    if kind not in "uif":
        raise DataError(str(path), [f"holds values of type {image.get_data_dtype()}; expected real numbers"])
    affine = image.affine
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise DataError(str(path), ["its affine matrix has no inverse; set the voxels' size and direction anew"])
    orientation = io_orientation(affine)
    reoriented = affine @ inv_ornt_aff(orientation, shape[:3])
    order = np.argsort(orientation[:, 0])
    return Volume(path, Grid(tuple(shape[axis] for axis in order), reoriented), image, orientation, number)


def _load(path: Path) -> FileBasedImage:
    """Raises whatever nibabel raises for damaged files."""
    import nibabel

    packed = signature(path).startswith(_GZIP)
    if packed == path.name.lower().endswith(".gz"):
        return nibabel.load(path)
    content = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    second = content[:4] in (_NIFTI_2.to_bytes(4, "little"), _NIFTI_2.to_bytes(4, "big"))
    return (nibabel.Nifti2Image if second else nibabel.Nifti1Image).from_bytes(content)


def _step(image: SpatialImage) -> float:
    """How far apart neighbouring values are where integers are stored with a slope and an intercept; else 0."""
    from nibabel.arrayproxy import ArrayProxy

    proxy = image.dataobj
    if not isinstance(proxy, ArrayProxy) or image.get_data_dtype().kind == "f":
        return 0.0
    return 0.0 if (proxy.slope, proxy.inter) == (1, 0) else abs(float(proxy.slope))
