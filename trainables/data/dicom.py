"""One DICOM file as a grey image, the way a viewer shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from struct import unpack
from typing import TYPE_CHECKING

import numpy as np

from trainables.data.errors import DataError
from trainables.data.image_files import damaged, first_line
from trainables.data.pixels import PERCENTILES, luminance, refuse_huge, stretched

if TYPE_CHECKING:
    from pydicom import Dataset

MARK = b"DICM"
PLACE = slice(128, 132)
UNUSABLE = (
    "have a window that is of no use (a width of 0, or below 1 where it is linear): each is stretched from its "
    f"{PERCENTILES[0]} to its {PERCENTILES[1]} percentile"
)
_FIRST_GROUPS = (0x0002, 0x0008)  # of the elements with which files without a preamble begin
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_NARROWEST = {"LINEAR": 1.0, "LINEAR_EXACT": math.ulp(0.0), "SIGMOID": math.ulp(0.0)}  # widths of windows


def is_dicom(path: Path) -> bool:
    """Whether the file carries the mark of the format, or begins with a data element; DICOM often has no suffix."""
    try:
        with open(path, "rb") as file:
            start = file.read(PLACE.stop)
    except OSError:
        return False
    return start[PLACE] == MARK or _begins_with_element(start)


def patient_ids(paths: Sequence[Path]) -> dict[Path, str]:
    """The patient of each readable file that names one."""
    from pydicom import dcmread

    def patient(path: Path) -> str:
        header = dcmread(path, stop_before_pixels=True, force=is_dicom(path), specific_tags=["PatientID"])
        return str(header.get("PatientID") or "")

    return {path: name for path, name in ((path, patient(path)) for path in paths) if name}


def read_dicom(path: Path) -> tuple[np.ndarray, list[str]]:
    """The image as (H, W) float32, 0 black, 1 white, and what the user should know of it.

    Stored values are rescaled (slope and intercept, or the modality's table), then shown as the file's first table of
    values of interest (VOI LUT) or else its first window says; without either, or with a window that is of no use,
    they are stretched from the 0.5 to the 99.5 percentile, padding not counted. MONOCHROME1 and the presentation
    shape INVERSE are inverted, padding is black, colour becomes luminance.

    Raises:
        DataError: the file is damaged, holds no image or several, or is compressed in a way that needs a plug-in.
    """
    from pydicom import dcmread

    import trainables.data.dicom_codecs  # noqa: F401, adds its decoders

    try:
        dataset = dcmread(path, force=is_dicom(path))
        _refuse_unusual(path, dataset)
        _complete(dataset)
        return _grey(dataset)
    except DataError:
        raise
    except Exception as error:
        raise DataError(str(path), [_explained(error)]) from error


def _begins_with_element(start: bytes) -> bool:
    """Whether the bytes are a tag of the first groups and its type (explicit), or a short even length (implicit)."""
    if len(start) < 8 or unpack("<H", start[:2])[0] not in _FIRST_GROUPS:
        return False
    from pydicom.datadict import dictionary_has_tag

    group, element, length = unpack("<HHI", start[:8])
    kind = start[4:6]
    plausible = (kind.isalpha() and kind.isupper()) or (length <= len(start) and length % 2 == 0)
    return plausible and dictionary_has_tag((group << 16) | element)


def _refuse_unusual(path: Path, dataset: Dataset) -> None:
    if not any(name in dataset for name in _PIXELS) or "Rows" not in dataset:
        raise DataError(str(path), [f"is a DICOM file without an image (modality {dataset.get('Modality', '?')})"])
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise DataError(str(path), [f"holds {frames} frames; expected one image a file: export single frames"])
    refuse_huge(path, dataset.Rows * dataset.Columns)
    if dataset.get("RescaleSlope") == 0:
        raise DataError(str(path), ["has a RescaleSlope of 0, which makes all values the same; set it to 1"])


def _complete(dataset: Dataset) -> None:
    """With what pydicom asks for: a transfer syntax in place of a missing header, integers in place of reals."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    if "PixelData" not in dataset:
        dataset.PixelRepresentation, dataset.BitsStored = 0, dataset.BitsAllocated


def _grey(dataset: Dataset) -> tuple[np.ndarray, list[str]]:
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    stored = dataset.pixel_array
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, dataset)
    if stored.ndim == 3:
        return (luminance(np.moveaxis(stored, 2, 0)) / np.iinfo(stored.dtype).max).astype(np.float32), []
    values, padding = apply_modality_lut(stored, dataset), _padding(stored, dataset)
    facts = []
    if dataset.get("VOILUTSequence"):
        grey = _looked_up(values, dataset)
    elif (usable := _window_is_usable(dataset)) is True:
        grey = _windowed(values, dataset)
    else:
        grey = stretched(values, values[~padding])
        facts = [UNUSABLE] if usable is False else []
    inverse = dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    return np.where(padding, np.float32(0), 1 - grey if inverse else grey), facts


def _padding(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Where nothing was imaged, (H, W) bool."""
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(stored.shape, bool)
    low, high = sorted((first, dataset.get("PixelPaddingRangeLimit", first)))
    return (low <= stored) & (stored <= high)


def _looked_up(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """By the first table, whose least value is black and whose largest is white; values beyond its ends are its ends.

    pydicom's own function wraps around in tables of 8 bits and more than 256 values.
    """
    table = dataset.VOILUTSequence[0]
    count, first, _ = table.LUTDescriptor
    count, data = count or 2**16, table.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        data = np.frombuffer(data, np.uint8 if len(data) < 2 * count else f"{order}u2")
    shown = np.asarray(data, np.float32)[:count]
    places = np.clip(np.rint(values) - first, 0, len(shown) - 1).astype(int)
    return (shown[places] - shown.min()) / max(float(np.ptp(shown)), 1.0)


def _window_is_usable(dataset: Dataset) -> bool | None:
    """None if there is no window."""
    try:
        ends = [dataset.get("WindowCenter"), dataset.get("WindowWidth")]
        if any(value in (None, "", []) for value in ends):
            return None
        centre, width = (float(np.atleast_1d(value)[0]) for value in ends)
    except (TypeError, ValueError):
        return False
    narrowest = _NARROWEST.get(str(dataset.get("VOILUTFunction") or "LINEAR").upper(), math.inf)
    return math.isfinite(centre) and narrowest <= width < math.inf


def _windowed(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    from pydicom.pixels import apply_windowing

    with np.errstate(over="ignore"):
        black, white = apply_windowing(np.array([-1e12, 1e12]), dataset)
        return ((apply_windowing(values, dataset) - black) / (white - black)).astype(np.float32)


def _explained(error: Exception) -> str:
    if "plugins" not in str(error):
        return damaged(error)
    return (
        "is damaged or compressed in a way that needs more software, such as pip install 'pylibjpeg[all]' "
        f"({first_line(error)})"
    )
