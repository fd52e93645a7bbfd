import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image, ImageDraw

from trainables.data.cache import prepare
from trainables.data.errors import DataError
from trainables.data.grey_images import ACCEPTED, GreyImageReader, fitted
from trainables.data.samples import Samples, subset

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "gray256"
CT = Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm"
RNG = np.random.default_rng(0)


def settings(size: int = 16, **changes: Any) -> dict[str, Any]:
    return {"image_size": size, "subset": None, "strict": False} | changes


def read(root: Path, **changes: Any) -> Samples:
    return GreyImageReader.read(str(root), settings(**changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """12 images of 16 × 16."""
    for number in range(12):
        Image.fromarray(RNG.integers(0, 256, (16, 16), np.uint8)).save(tmp_path / f"{number:02}.png")
    return tmp_path


def test_eight_bit_images_of_the_right_size_are_taken_as_they_are(root: Path):
    samples = read(root)
    assert samples.x.shape == (12, 1, 16, 16)
    assert samples.x.dtype == np.uint8
    for name, x in zip(samples.ids, samples.x, strict=True):
        np.testing.assert_array_equal(x[0], np.asarray(Image.open(root / name)))
    assert samples.labels is None
    assert samples.environments is None
    assert samples.notes == ()


def test_labels_are_the_names_of_the_folders(root: Path):
    (root / "abdomen").mkdir()
    (root / "chest").mkdir()
    for index, path in enumerate(sorted(root.glob("*.png"))):
        path.rename(root / ("abdomen" if index < 7 else "chest") / path.name)
    samples = read(root)
    assert samples.labels == ["abdomen"] * 7 + ["chest"] * 5
    assert samples.ids[0] == "abdomen/00.png"


def test_the_whole_image_is_kept_and_centred_on_black():
    tall = np.full((40, 20), 200, np.uint8)
    np.testing.assert_array_equal(fitted(tall, 20)[0, :, 5:15], np.full((20, 10), 200))
    assert not fitted(tall, 20)[0][:, [*range(5), *range(15, 20)]].any()
    np.testing.assert_array_equal(fitted(tall.T, 20)[0], fitted(tall, 20)[0].T)
    assert fitted(np.full((1, 1000), 9, np.uint8), 16)[0, 7].all()


def test_resizing_is_antialiased():
    checkerboard = (np.indices((128, 128)).sum(axis=0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(fitted(checkerboard, 16), 127.5, atol=1)
    smooth = 127.5 + 100 * np.sin(np.linspace(0, np.pi, 256))[:, None] * np.ones(256)
    expected = smooth.reshape(32, 8, 32, 8).mean(axis=(1, 3))
    np.testing.assert_allclose(fitted(smooth.astype(np.uint8), 32)[0], expected, atol=1.5)


def test_values_in_0_to_1_become_bytes():
    values = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_array_equal(fitted(values, 16)[0], np.arange(256).reshape(16, 16))


def test_sixteen_bits_are_stretched_by_percentiles_of_the_image(root: Path):
    values = RNG.normal(3000, 500, (16, 16)).astype(np.uint16)
    Image.fromarray(values).save(root / "00.png")
    tifffile.imwrite(root / "deep.tif", values.astype(np.float32) / 1e4)
    samples = read(root)
    low, high = np.percentile(values, (0.5, 99.5))
    expected = np.rint(255 * np.clip((values - low) / (high - low), 0, 1))
    np.testing.assert_array_equal(samples.x[0, 0], expected)
    np.testing.assert_allclose(samples.x[12, 0].astype(float), expected, atol=1)
    assert samples.notes == (
        "2 of 13 images have more than 8 bits: each is stretched from its 0.5 to its 99.5 percentile",
    )


def test_colour_becomes_luminance_and_is_noted(root: Path):
    colour = RNG.integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(colour).save(root / "00.png")
    samples = read(root)
    np.testing.assert_allclose(samples.x[0, 0], colour @ [0.299, 0.587, 0.114], atol=0.6)
    assert samples.notes == ("1 of 12 images are stored in colour: their luminance is used",)


def test_dicom_with_and_without_a_suffix(root: Path):
    shutil.copy(CT, root / "slice.dcm")
    shutil.copy(CT, root / "1.2.840.113619.2")
    (root / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    samples = read(root, size=128)
    assert len(samples.x) == 14
    stored = pydicom.dcmread(CT).pixel_array.astype(float)
    first, last = samples.x[samples.ids.index("slice.dcm"), 0], samples.x[samples.ids.index("1.2.840.113619.2"), 0]
    np.testing.assert_array_equal(first, last)
    assert np.corrcoef(first.ravel(), stored.ravel())[0, 1] > 0.98
    assert (first.min(), first.max()) == (0, 255)


def test_what_is_unusual_is_noted(root: Path):
    Image.fromarray(np.full((8, 16), 7, np.uint8)).save(root / "00.png")
    Image.fromarray(RNG.integers(0, 256, (8, 8), np.uint8)).save(root / "01.png")
    (root / "labels.csv").write_text("a,b")
    assert read(root).notes == (
        "left out are 1 file of another kind: labels.csv",
        "1 of 12 images are not square: they are centred on black",
        "1 of 12 images are smaller than 16 × 16: they are enlarged",
        "1 of 12 images hold one value only",
    )


def test_damaged_files_are_left_out_and_named(root: Path):
    whole = (root / "00.png").read_bytes()
    (root / "00.png").write_bytes(whole[: len(whole) // 2])
    (root / "05.png").write_bytes(b"")
    samples = read(root)
    assert samples.ids == [f"{number:02}.png" for number in range(12) if number not in (0, 5)]
    (note,) = samples.notes
    assert note.startswith("2 of 12 are left out: 00.png: is damaged, cut short or not an image (")
    assert note.endswith("; 05.png: is empty (0 bytes)")
    for name, x in zip(samples.ids, samples.x, strict=True):
        np.testing.assert_array_equal(x[0], np.asarray(Image.open(root / name)))


def test_strict_refuses_them_together(root: Path):
    (root / "00.png").write_bytes(b"")
    (root / "05.png").write_text("no image")
    with pytest.raises(DataError) as error:
        read(root, strict=True)
    assert error.value.problems == [
        "00.png: is empty (0 bytes)",
        "05.png: is not an image, or of another format than its name says",
    ]


@pytest.mark.parametrize("limit", [200, 100])
def test_pixel_bombs_are_damaged_files(root: Path, monkeypatch: pytest.MonkeyPatch, limit: int):
    for path in root.glob("0[0-9].png"):
        Image.fromarray(RNG.integers(0, 256, (8, 8), np.uint8)).save(path)
    Image.fromarray(RNG.integers(0, 256, (15, 15), np.uint8)).save(root / "10.png")
    (root / "11.png").unlink()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # Pillow warns beyond it and raises beyond twice of it
    samples = read(root)
    assert len(samples.x) == 10
    assert samples.notes[0].startswith("1 of 11 are left out: 10.png: ")


def test_too_few_are_left(root: Path):
    for number in range(3):
        (root / f"{number:02}.png").write_bytes(b"")
    with pytest.raises(DataError) as error:
        read(root)
    assert error.value.problems[0].startswith("9 samples; at least 10 are needed")
    assert error.value.problems[1:] == [f"{number:02}.png: is empty (0 bytes)" for number in range(3)]


def test_refused_sources_say_what_is_accepted(root: Path):
    for source in (root / "absent", root / "00.png"):
        with pytest.raises(DataError, match=r"PNG, JPEG, TIFF or BMP of 8 or 16 bit, or DICOM") as error:
            read(source)
        assert error.value.problems[0].endswith(ACCEPTED)
    for path in root.glob("*.png"):
        Image.new("L", (16, 16), 77).save(path)
    with pytest.raises(DataError, match="all 12 samples are identical"):
        read(root)


def test_a_subset_is_chosen_before_decoding(root: Path):
    chosen = subset(12, None, 10)
    for number in set(range(12)) - set(chosen):
        (root / f"{number:02}.png").write_text("damaged, but not among those that are read")
    samples = read(root, subset=10)
    assert samples.ids == [f"{number:02}.png" for number in chosen]
    assert samples.notes == ()


def test_the_cache_takes_what_the_reader_gives(root: Path, tmp_path_factory: pytest.TempPathFactory):
    cache = tmp_path_factory.mktemp("cache")
    dataset = prepare(GreyImageReader, str(root), cache, settings())
    assert dataset.shape == (1, 16, 16)
    assert dataset.read(dataset.train).max() <= 1
    embedded = prepare(GreyImageReader, None, cache, settings(16, subset=20))
    assert embedded.embedded
    assert len(embedded) == 20


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_images():
    samples = read(REAL, size=256, strict=True)
    assert samples.x.shape == (70, 1, 256, 256)
    assert samples.notes == ()
    np.testing.assert_array_equal(samples.x[3, 0], np.asarray(Image.open(REAL / samples.ids[3])))
    small = read(REAL, size=64)
    blocks = samples.x.reshape(70, 64, 4, 64, 4).mean(axis=(2, 4))
    assert np.abs(small.x[:, 0] - blocks).mean() < 3


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_images_in_other_formats(tmp_path: Path):
    for index, path in enumerate(sorted(REAL.glob("*.png"))[:12]):
        image = Image.open(path)
        if index < 4:
            image.convert("RGB").save(tmp_path / f"{index:02}.jpg", quality=95)
        elif index < 8:
            tifffile.imwrite(tmp_path / f"{index:02}.tif", np.asarray(image, np.uint16) * 16, compression="zlib")
        else:
            ImageDraw.Draw(image).rectangle((0, 0, 255, 40), fill=0)
            image.save(tmp_path / f"{index:02}.bmp")
    original, converted = read(REAL, size=64), read(tmp_path, size=64)
    for index in range(12):
        assert np.corrcoef(original.x[index, 0, 12:].ravel(), converted.x[index, 0, 12:].ravel())[0, 1] > 0.98
    assert len(converted.notes) == 2
