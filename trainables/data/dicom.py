"""One DICOM file as a grey image, the way a viewer shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.errors import DataError
from trainables.data.image_files import damaged, first_line, luminance, refuse_huge, stretched

if TYPE_CHECKING:
    from pydicom import Dataset

MARK = b"DICM"
PLACE = slice(128, 132)


def is_dicom(path: Path) -> bool:
    """Whether the file carries the mark of the format; DICOM files often have no suffix."""
    try:
        with open(path, "rb") as file:
            return file.read(PLACE.stop)[PLACE] == MARK
    except OSError:
        return False


def patient_ids(paths: Sequence[Path]) -> dict[Path, str]:
    """The patient of each readable file that names one."""
    from pydicom import dcmread

    found = {path: dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"]) for path in paths}
    return {path: str(header.PatientID) for path, header in found.items() if header.get("PatientID")}


def read_dicom(path: Path) -> np.ndarray:
    """The image as (H, W) float32, 0 black, 1 white.

    Stored values are rescaled (slope and intercept, or the modality's table), then windowed with the file's first
    window; a file without one is stretched from its 0.5 to its 99.5 percentile, padding not counted. MONOCHROME1 is
    inverted; colour becomes luminance.

    Raises:
        DataError: the file is damaged, holds no image or several, or is compressed in a way that needs a plug-in.
    """
    from pydicom import dcmread

    try:
        dataset = dcmread(path)
        _refuse_unusual(path, dataset)
        return _grey(dataset)
    except DataError:
        raise
    except Exception as error:
        raise DataError(str(path), [_explained(error)]) from error


def _refuse_unusual(path: Path, dataset: Dataset) -> None:
    if "PixelData" not in dataset or "Rows" not in dataset:
        raise DataError(str(path), [f"is a DICOM file without an image (modality {dataset.get('Modality', '?')})"])
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise DataError(str(path), [f"holds {frames} frames; expected one image a file: export single frames"])
    refuse_huge(path, dataset.Rows * dataset.Columns)


def _grey(dataset: Dataset) -> np.ndarray:
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing

    stored = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        return (luminance(np.moveaxis(stored, 2, 0)) / np.iinfo(stored.dtype).max).astype(np.float32)
    values = apply_modality_lut(stored, dataset)
    if dataset.get("WindowWidth") in (None, "", []) or dataset.get("WindowCenter") in (None, "", []):
        padding = dataset.get("PixelPaddingValue")
        grey = stretched(values, None if padding is None else values[stored != padding])
    else:
        with np.errstate(over="ignore"):
            black, white = apply_windowing(np.array([-1e12, 1e12]), dataset)
        grey = ((apply_windowing(values, dataset) - black) / (white - black)).astype(np.float32)
    return 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def _explained(error: Exception) -> str:
    if "plugins" not in str(error):
        return damaged(error)
    return (
        "is damaged or compressed in a way that needs more software, such as pip install 'pylibjpeg[all]' "
        f"({first_line(error)})"
    )
