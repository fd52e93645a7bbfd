from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from trainables.data import embedded_fundus
from trainables.data.cache import prepare
from trainables.data.domains import DomainReader, cropped
from trainables.data.errors import DataError
from trainables.data.pixels import EXTRA
from trainables.data.samples import Samples

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "fundus"
RNG = np.random.default_rng(0)
ENVIRONMENTS, CLASSES = ("berlin", "kyoto", "quito"), ("0", "1")


def settings(size: int = 16, **changes: Any) -> dict[str, Any]:
    return {"image_size": size, "subset": None, "strict": False} | changes


def read(root: Path, **changes: Any) -> Samples:
    return DomainReader.read(str(root), settings(**changes))


def refused(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as error:
        read(root, **changes)
    return error.value.problems


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(RNG.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{number:02}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three environments of two classes of five images of 16 × 16."""
    for environment in ENVIRONMENTS:
        for label in CLASSES:
            fill(tmp_path / environment / label, 5)
    return tmp_path


def test_environment_and_class_are_the_first_two_folders(root: Path):
    samples = read(root)
    assert samples.x.shape == (30, 3, 16, 16)
    assert samples.x.dtype == np.uint8
    assert samples.environments == [name for name in ENVIRONMENTS for _ in range(10)]
    assert samples.labels == (["0"] * 5 + ["1"] * 5) * 3
    assert samples.ids[6] == "berlin/1/01.png"
    assert samples.notes == ()
    for name, x in zip(samples.ids, samples.x, strict=True):
        np.testing.assert_array_equal(x.transpose(1, 2, 0), np.asarray(Image.open(root / name)))


def test_deeper_folders_belong_to_their_class(root: Path):
    (root / "berlin" / "1" / "patient 7").mkdir()
    (root / "berlin" / "1" / "00.png").rename(root / "berlin" / "1" / "patient 7" / "left.png")
    samples = read(root)
    place = samples.ids.index("berlin/1/patient 7/left.png")
    assert (samples.environments[place], samples.labels[place]) == ("berlin", "1")


def test_the_middle_of_the_longer_side_is_kept():
    values = RNG.integers(0, 256, (3, 20, 30), np.uint8)
    np.testing.assert_array_equal(cropped(values, 20), values[:, :, 5:25])
    np.testing.assert_array_equal(cropped(values.transpose(0, 2, 1), 20), values[:, :, 5:25].transpose(0, 2, 1))
    blocks = np.repeat(np.repeat(RNG.integers(50, 200, (3, 6, 8), np.uint8), 32, axis=1), 32, axis=2)
    middles = cropped(blocks, 48)[:, 4::8, 4::8]
    np.testing.assert_array_equal(middles, blocks[:, 16::32, 48:-32:32])


def test_resizing_is_antialiased():
    checkerboard = np.broadcast_to(np.indices((128, 192)).sum(axis=0) % 2 * 255, (3, 128, 192)).astype(np.uint8)
    np.testing.assert_allclose(cropped(checkerboard, 16), 127.5, atol=1)


def test_grey_deep_and_transparent_images_become_colour(root: Path):
    folder = root / "kyoto" / "0"
    grey = RNG.integers(0, 256, (16, 16), np.uint8)
    colour = RNG.integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(grey).save(folder / "00.png")
    Image.fromarray(np.dstack([colour, grey])).save(folder / "01.png")
    tifffile.imwrite(folder / "02.tif", colour * np.uint16(257), photometric="rgb")
    tifffile.imwrite(folder / "03.tif", colour / 255, photometric="rgb")
    tifffile.imwrite(folder / "04.tif", colour.astype(np.float32) - 9, photometric="rgb")
    samples = read(root)
    images = dict(zip(samples.ids, samples.x, strict=True))
    np.testing.assert_array_equal(images["kyoto/0/00.png"], np.stack(3 * [grey]))
    np.testing.assert_array_equal(images["kyoto/0/01.png"], colour.transpose(2, 0, 1))
    np.testing.assert_array_equal(images["kyoto/0/02.tif"], colour.transpose(2, 0, 1))
    np.testing.assert_array_equal(images["kyoto/0/03.tif"], colour.transpose(2, 0, 1))
    low, high = int(colour.min()), int(colour.max())
    assert samples.notes == (
        f"1 of 33 are left out: kyoto/0/04.tif: holds values from {low - 9} to {high - 9}; what is white? Expected 0 "
        "to 1 in floating point, or integers from 0: rescale all of a camera alike",
        f"1 of 32 images {EXTRA}",
        "1 is taken for white in 1 images of environment kyoto: the largest of their values is 1",
    )


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_sixteen_are_one_decision_for_an_environment(root: Path, bits: int):
    stored = {path: np.asarray(Image.open(path)) for path in sorted((root / "kyoto").rglob("*.png"))}
    dark, *_ = stored
    stored[dark] = stored[dark] // 8
    for path, values in stored.items():
        deep = (values * np.uint16(257)) >> (16 - bits)
        tifffile.imwrite(path, deep, photometric="rgb")  # a TIFF, whatever its name says
    samples = read(root)
    for path, values in stored.items():
        x = samples.x[samples.ids.index(path.relative_to(root).as_posix())]
        np.testing.assert_allclose(x.transpose(1, 2, 0).astype(int), values, atol=1)
    white = 2**bits - 1
    note = f"{white} is taken for white in 10 images of environment kyoto: the largest of their values is {white}"
    assert samples.notes == (note,)


@pytest.mark.parametrize("split", ["train", "VAL", "Training"])
def test_environments_in_the_folders_of_a_split(root: Path, split: str):
    before = read(root)
    for environment in ENVIRONMENTS[1:]:
        (root / split).mkdir(exist_ok=True)
        (root / environment).rename(root / split / environment)
    samples = read(root)
    assert sorted(samples.environments) == sorted(before.environments)
    assert sorted(samples.labels) == sorted(before.labels)
    assert f"{split}/kyoto/0/00.png" in samples.ids


def test_parts_of_a_split_are_no_environments(root: Path):
    for environment, split in zip(ENVIRONMENTS, ("train", "val", "test"), strict=True):
        (root / environment).rename(root / split)
    assert refused(root)[0] == (
        "images are not in folders of an environment and a class, such as test/0/00.png (train, training, val, "
        "valid, validation, test, testing are parts of a split, no environments)"
    )


def test_a_single_environment_is_refused_with_what_to_do(root: Path):
    for environment in ENVIRONMENTS[1:]:
        for path in (root / environment).rglob("*.png"):
            path.unlink()
    problems = refused(root)
    assert problems[0].startswith("one environment (berlin); expected at least two, one to hold out and one to train")
    assert "give each a folder of its own" in problems[0]
    assert "ENVIRONMENT/CLASS/image.png" in problems[1]


def test_nor_may_all_but_one_environment_be_damaged(root: Path):
    for environment in ENVIRONMENTS[1:]:
        for path in (root / environment).rglob("*.png"):
            path.write_text("no image")
    fill(root / "berlin" / "1", 20)
    assert refused(root)[0].startswith("one environment (berlin)")


def test_an_environment_may_lack_a_class(root: Path):
    for path in (root / "quito" / "1").iterdir():
        path.unlink()
    samples = read(root)
    assert samples.notes == ("environment quito has no images of class 1",)
    statistics = DomainReader.statistics(samples, np.arange(25))
    assert statistics["class_counts"].tolist() == [15, 10]


def test_images_outside_the_layout(root: Path):
    Image.new("RGB", (16, 16)).save(root / "overview.png")
    Image.new("RGB", (16, 16)).save(root / "berlin" / "loose.png")
    samples = read(root)
    assert len(samples.x) == 30
    assert samples.notes == (
        "left out are 2 images outside ENVIRONMENT/CLASS folders: berlin/loose.png; overview.png",
    )
    problems = refused(root / "berlin")
    assert problems[0] == "images are not in folders of an environment and a class, such as 0/00.png"


def test_damaged_files_are_left_out_and_named(root: Path):
    (root / "quito" / "1" / "04.png").write_bytes(b"")
    samples = read(root)
    assert samples.notes == ("1 of 30 are left out: quito/1/04.png: is empty (0 bytes)",)
    assert samples.environments.count("quito") == 9
    assert refused(root, strict=True) == ["quito/1/04.png: is empty (0 bytes)"]


def test_a_subset_of_each_environment_is_chosen_before_decoding(root: Path):
    chosen = read(root, subset=4)
    assert chosen.environments == [name for name in ENVIRONMENTS for _ in range(4)]
    for path in root.rglob("*.png"):
        if path.relative_to(root).as_posix() not in chosen.ids:
            path.write_text("damaged, but not among those that are read")
    again = read(root, subset=4, strict=True)
    assert again.ids == chosen.ids
    np.testing.assert_array_equal(again.x, chosen.x)


def test_statistics_are_of_the_training_samples(root: Path):
    samples, index = read(root), np.array([1, 0, 29, 12, 28])
    statistics = DomainReader.statistics(samples, index)
    assert statistics["class_counts"].tolist() == [3, 2]


def test_the_cache_takes_what_the_reader_gives(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(embedded_fundus, "EACH", 6)
    cache = tmp_path_factory.mktemp("cache")
    dataset = prepare(DomainReader, str(root), cache, settings(subset=5))
    assert dataset.shape == (3, 16, 16)
    assert len(dataset) == 15
    assert sorted(set(dataset.environments)) == sorted(ENVIRONMENTS)
    assert dataset.statistics["class_counts"].sum() == len(dataset.train)
    embedded = prepare(DomainReader, None, cache, settings(16, subset=10))
    assert len(embedded) == 30


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_fundus_photographs():
    samples = read(REAL, size=112, strict=True)
    assert samples.x.shape == (192, 3, 112, 112)
    assert samples.notes == ()
    assert sorted(set(samples.labels)) == ["class0", "class1"]
    np.testing.assert_array_equal(samples.x[7].transpose(1, 2, 0), np.asarray(Image.open(REAL / samples.ids[7])))
    places = np.array(samples.environments)
    means = np.stack([samples.x[places == name].mean(axis=(0, 2, 3)) for name in np.unique(places)])
    assert (means[:, 0] > means[:, 1]).all()  # red
    assert (means[:, 1] > means[:, 2]).all()
