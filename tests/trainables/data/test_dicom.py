from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    generate_uid,
)

from trainables.data.dicom import UNUSABLE, is_dicom, patient_ids, read_dicom
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


def image(path: Path) -> np.ndarray:
    return read_dicom(path)[0]


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        read_dicom(path)
    (problem,) = error.value.problems
    return problem


WINDOW = {"RescaleSlope": "2", "RescaleIntercept": "-1000", "WindowCenter": "40", "WindowWidth": "400"}


def test_stored_values_are_rescaled_and_windowed(tmp_path: Path):
    shown = image(write(tmp_path / "slice.dcm", **WINDOW))
    expected = np.clip((2.0 * STORED - 1000 - 39.5) / 399 + 0.5, 0, 1)  # DICOM PS3.3, C.11.2.1.2.1
    np.testing.assert_allclose(shown, expected, atol=1e-6)
    assert shown.dtype == np.float32


def test_the_first_of_several_windows(tmp_path: Path):
    several = WINDOW | {"WindowCenter": ["40", "-600"], "WindowWidth": ["400", "1500"]}
    one, first = write(tmp_path / "one.dcm", **WINDOW), write(tmp_path / "several.dcm", **several)
    np.testing.assert_array_equal(image(first), image(one))


def test_a_sigmoid_window(tmp_path: Path):
    shown = image(write(tmp_path / "slice.dcm", **WINDOW, VOILUTFunction="SIGMOID"))
    expected = 1 / (1 + np.exp(-4 * (2.0 * STORED - 1000 - 40) / 400))  # DICOM PS3.3, C.11.2.1.3.1
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def test_without_a_window_percentiles_and_no_padding(tmp_path: Path):
    low, high = np.percentile(STORED, (0.5, 99.5))
    expected = np.clip((STORED - low) / (high - low), 0, 1)
    np.testing.assert_allclose(image(write(tmp_path / "a.dcm")), expected, atol=1e-6)
    padded = STORED.copy()
    padded[:2] = 0
    low, high = np.percentile(padded[2:], (0.5, 99.5))
    shown = image(write(tmp_path / "b.dcm", padded, PixelPaddingValue=0))
    np.testing.assert_allclose(shown, np.clip((padded - low) / (high - low), 0, 1), atol=1e-6)


@pytest.mark.parametrize("elements", [{}, WINDOW], ids=["percentiles", "window"])
def test_monochrome1_is_inverted(tmp_path: Path, elements: dict):
    plain = image(write(tmp_path / "plain.dcm", **elements))
    inverted = image(write(tmp_path / "inverted.dcm", **elements, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(inverted, 1 - plain, atol=1e-6)


def test_signed_values(tmp_path: Path):
    stored = (STORED.astype(np.int16) - 2048).astype(np.int16)
    elements = {"PixelRepresentation": 1, "WindowCenter": "0", "WindowWidth": "2001"}
    shown = image(write(tmp_path / "slice.dcm", stored, **elements))
    np.testing.assert_allclose(shown, np.clip((stored + 0.5) / 2000 + 0.5, 0, 1), atol=1e-6)


def test_colour_becomes_luminance(tmp_path: Path):
    stored = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    shown = image(write(tmp_path / "slice.dcm", stored, **colour, **bits))
    np.testing.assert_allclose(255 * shown, stored @ [0.299, 0.587, 0.114], atol=0.51)


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


@pytest.mark.parametrize("compressed", ["MR_small_jpeg_ls_lossless", "MR_small_RLE", "MR_small_jp2klossless"])
def test_lossless_compression(compressed: str):
    np.testing.assert_array_equal(image(FILES / f"{compressed}.dcm"), image(FILES / "MR_small.dcm"))


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless])
@pytest.mark.parametrize("signed", [False, True])
def test_jpeg_without_loss(tmp_path: Path, syntax: UID, signed: bool):
    """The bits that are stored are compressed, of signed values their complements."""
    stored = STORED.astype(np.int16) - 2048 if signed else STORED
    elements = WINDOW | {"WindowWidth": "8192", "WindowCenter": "500", "PixelRepresentation": int(signed)}
    expected = image(write(tmp_path / "plain.dcm", stored, **elements))
    path = write(tmp_path / "packed.dcm", stored, **elements)
    dataset, bits = pydicom.dcmread(path), (stored & 0xFFF).astype(np.uint16)
    lossless = syntax in (JPEGLossless, JPEGLosslessSV1)
    frame = imagecodecs.ljpeg_encode(bits, bitspersample=12) if lossless else imagecodecs.jpegls_encode(bits)
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    np.testing.assert_allclose(image(path), expected, atol=1e-6)


def test_a_frame_that_cannot_be_decoded_says_why():
    problem = refused(FILES / "GDCMJ2K_TextGBR.dcm")
    assert problem.startswith("is damaged or compressed in a way that needs more software, such as pip install")
    assert "\n" not in problem


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["slice.dcm", "IM0001"])
def test_without_a_preamble(tmp_path: Path, implicit: bool, name: str):
    path = write(tmp_path / name, **WINDOW, PatientID="P7")
    expected, dataset = image(path), pydicom.dcmread(path)
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(path, implicit_vr=implicit, little_endian=True)
    assert path.read_bytes()[128:132] != b"DICM"
    assert is_dicom(path)
    np.testing.assert_array_equal(image(path), expected)
    assert patient_ids([path]) == {path: "P7"}


TABLES = {
    "16 bits": (np.arange(4096, dtype=np.uint16)[::-1] * 16, 16),
    "8 bits": (np.arange(4096)[::-1] // 16, 8),
    "less than its range": (np.arange(4096)[::-1] // 16, 16),
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_values_of_interest(tmp_path: Path, table: str):
    data, bits = TABLES[table]
    item = pydicom.Dataset()
    item.LUTDescriptor = [4096, 0, bits]
    item.add_new("LUTData", "OW", data.astype(np.uint8 if bits == 8 else np.uint16).tobytes())
    shown = image(write(tmp_path / "slice.dcm", VOILUTSequence=[item], WindowCenter="1", WindowWidth="2"))
    np.testing.assert_allclose(shown, (4095 - STORED) / 4095, atol=1 / 250)


def test_a_table_that_begins_elsewhere(tmp_path: Path):
    item = pydicom.Dataset()
    item.LUTDescriptor = [1001, 1000, 16]
    item.add_new("LUTData", "US", list(range(1001)))
    shown = image(write(tmp_path / "slice.dcm", VOILUTSequence=[item]))
    np.testing.assert_allclose(shown, np.clip((STORED - 1000.0) / 1000, 0, 1), atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_presentation_shape_inverse(tmp_path: Path, photometric: str):
    """MONOCHROME1 and INVERSE are two names of the same, DICOM PS3.3, C.8.11.3."""
    plain = image(write(tmp_path / "plain.dcm", **WINDOW))
    inverse = {"PresentationLUTShape": "INVERSE", "PhotometricInterpretation": photometric}
    np.testing.assert_allclose(image(write(tmp_path / "inverse.dcm", **WINDOW, **inverse)), 1 - plain, atol=1e-6)


@pytest.mark.parametrize(
    "window",
    [
        {"WindowWidth": "0"},
        {"WindowWidth": "0.5"},
        {"WindowWidth": "-400"},
        {"WindowWidth": ["0", "400"], "WindowCenter": ["40", "50"]},
        {"WindowWidth": "0", "VOILUTFunction": "SIGMOID"},
        {"VOILUTFunction": "CUBIC"},
    ],
)
def test_a_window_that_is_of_no_use(tmp_path: Path, window: dict):
    shown, facts = read_dicom(write(tmp_path / "slice.dcm", **WINDOW | window))
    np.testing.assert_allclose(shown, image(write(tmp_path / "plain.dcm")), atol=1e-6)
    assert facts == [UNUSABLE]
    assert read_dicom(write(tmp_path / "plain.dcm", WindowWidth="", WindowCenter=""))[1] == []


def test_a_narrow_window_of_another_function(tmp_path: Path):
    narrow = {"RescaleSlope": "0.0002", "RescaleIntercept": "0", "WindowCenter": "0.4", "WindowWidth": "0.5"}
    shown, facts = read_dicom(write(tmp_path / "slice.dcm", **narrow, VOILUTFunction="LINEAR_EXACT"))
    np.testing.assert_allclose(shown, np.clip((0.0002 * STORED - 0.15) / 0.5, 0, 1), atol=1e-6)
    assert facts == []


@pytest.mark.parametrize(("name", "kind"), [("FloatPixelData", np.float32), ("DoubleFloatPixelData", np.float64)])
@pytest.mark.parametrize("elements", [{}, {"WindowCenter": "0.5", "WindowWidth": "0.5", "VOILUTFunction": "SIGMOID"}])
def test_real_numbers(tmp_path: Path, name: str, kind: type, elements: dict):
    values = STORED.astype(kind) / 4096
    path = write(tmp_path / "slice.dcm", **{name: values.tobytes(), "BitsAllocated": 8 * values.itemsize}, **elements)
    dataset = pydicom.dcmread(path)
    for element in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        del dataset[element]
    dataset.save_as(path)
    expected = 1 / (1 + np.exp(-4 * (values - 0.5) / 0.5)) if elements else image(write(tmp_path / "plain.dcm"))
    np.testing.assert_allclose(image(path), expected, atol=1e-5)


@pytest.mark.parametrize("elements", [{}, WINDOW, {"PhotometricInterpretation": "MONOCHROME1"}])
def test_padding_is_black(tmp_path: Path, elements: dict):
    stored = np.where(STORED < 1000, STORED + 1000, STORED)
    stored[:2], stored[2] = 7, 9
    shown = image(write(tmp_path / "slice.dcm", stored, PixelPaddingValue=5, PixelPaddingRangeLimit=9, **elements))
    assert not shown[:3].any()
    assert shown[3:].max() == 1


def test_a_slope_of_zero_is_refused(tmp_path: Path):
    zero = write(tmp_path / "slice.dcm", RescaleSlope="0", RescaleIntercept="0")
    assert refused(zero) == "has a RescaleSlope of 0, which makes all values the same; set it to 1"


def test_dicom_is_told_by_its_mark(tmp_path: Path):
    path = write(tmp_path / "1.2.840.1")
    assert is_dicom(path)
    (tmp_path / "notes.txt").write_text("DICM")
    assert not is_dicom(tmp_path / "notes.txt")
    assert not is_dicom(tmp_path / "absent")
