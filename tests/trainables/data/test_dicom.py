from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from trainables.data.dicom import is_dicom, read_dicom
from trainables.data.errors import DataError

STORED = np.random.default_rng(0).integers(0, 4096, (6, 8), np.uint16)
FILES = Path(pydicom.data.__file__).parent / "test_files"


def write(path: Path, stored: np.ndarray = STORED, **elements: object) -> Path:
    """A file of 12 bits stored in 16, with changes."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = stored.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_dicom(path)
    (problem,) = error.value.problems
    return problem


WINDOW = {"RescaleSlope": "2", "RescaleIntercept": "-1000", "WindowCenter": "40", "WindowWidth": "400"}


def test_stored_values_are_rescaled_and_windowed(tmp_path: Path):
    image = read_dicom(write(tmp_path / "slice.dcm", **WINDOW))
    expected = np.clip((2.0 * STORED - 1000 - 39.5) / 399 + 0.5, 0, 1)  # DICOM PS3.3, C.11.2.1.2.1
    np.testing.assert_allclose(image, expected, atol=1e-6)
    assert image.dtype == np.float32


def test_the_first_of_several_windows(tmp_path: Path):
    several = WINDOW | {"WindowCenter": ["40", "-600"], "WindowWidth": ["400", "1500"]}
    one, first = write(tmp_path / "one.dcm", **WINDOW), write(tmp_path / "several.dcm", **several)
    np.testing.assert_array_equal(read_dicom(first), read_dicom(one))


def test_a_sigmoid_window(tmp_path: Path):
    image = read_dicom(write(tmp_path / "slice.dcm", **WINDOW, VOILUTFunction="SIGMOID"))
    expected = 1 / (1 + np.exp(-4 * (2.0 * STORED - 1000 - 40) / 400))  # DICOM PS3.3, C.11.2.1.3.1
    np.testing.assert_allclose(image, expected, atol=1e-6)


def test_without_a_window_percentiles_and_no_padding(tmp_path: Path):
    low, high = np.percentile(STORED, (0.5, 99.5))
    expected = np.clip((STORED - low) / (high - low), 0, 1)
    np.testing.assert_allclose(read_dicom(write(tmp_path / "a.dcm")), expected, atol=1e-6)
    padded = STORED.copy()
    padded[:2] = 0
    low, high = np.percentile(padded[2:], (0.5, 99.5))
    image = read_dicom(write(tmp_path / "b.dcm", padded, PixelPaddingValue=0))
    np.testing.assert_allclose(image, np.clip((padded - low) / (high - low), 0, 1), atol=1e-6)


@pytest.mark.parametrize("elements", [{}, WINDOW], ids=["percentiles", "window"])
def test_monochrome1_is_inverted(tmp_path: Path, elements: dict):
    plain = read_dicom(write(tmp_path / "plain.dcm", **elements))
    inverted = read_dicom(write(tmp_path / "inverted.dcm", **elements, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(inverted, 1 - plain, atol=1e-6)


def test_signed_values(tmp_path: Path):
    stored = (STORED.astype(np.int16) - 2048).astype(np.int16)
    elements = {"PixelRepresentation": 1, "WindowCenter": "0", "WindowWidth": "2001"}
    image = read_dicom(write(tmp_path / "slice.dcm", stored, **elements))
    np.testing.assert_allclose(image, np.clip((stored + 0.5) / 2000 + 0.5, 0, 1), atol=1e-6)


def test_colour_becomes_luminance(tmp_path: Path):
    stored = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    image = read_dicom(write(tmp_path / "slice.dcm", stored, **colour, **bits))
    np.testing.assert_allclose(255 * image, stored @ [0.299, 0.587, 0.114], atol=0.51)


def test_what_is_no_single_image_is_refused(tmp_path: Path):
    stack = write(tmp_path / "stack.dcm", np.stack([STORED, STORED]), NumberOfFrames=2, Rows=6, Columns=8)
    assert refused(stack) == "holds 2 frames; expected one image a file: export single frames"
    assert refused(FILES / "test-SR.dcm") == "is a DICOM file without an image (modality SR)"
    huge = write(tmp_path / "huge.dcm", Rows=65_000, Columns=65_000)
    assert "4225 million values" in refused(huge)


def test_damaged_files(tmp_path: Path):
    path = write(tmp_path / "slice.dcm")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert refused(path).startswith("is damaged, cut short or not an image (ValueError")
    path.write_bytes(whole[:100])
    assert refused(path).startswith("is damaged, cut short or not an image (InvalidDicomError")


def test_a_compression_that_cannot_be_decoded_says_what_to_install():
    pylibjpeg = pydicom.pixels.get_decoder(pydicom.uid.JPEGLSLossless)
    if pylibjpeg.is_available:
        pytest.skip("a decoder of JPEG-LS is installed")
    problem = refused(FILES / "MR_small_jpeg_ls_lossless.dcm")
    assert "pip install 'pylibjpeg[all]'" in problem
    assert "JPEG-LS Lossless" in problem
    assert "\n" not in problem


def test_dicom_is_told_by_its_mark(tmp_path: Path):
    path = write(tmp_path / "1.2.840.1")
    assert is_dicom(path)
    (tmp_path / "notes.txt").write_text("DICM")
    assert not is_dicom(tmp_path / "notes.txt")
    assert not is_dicom(tmp_path / "absent")
