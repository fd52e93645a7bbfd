from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from trainables.data.cache import prepare
from trainables.data.cells import CellReader
from trainables.data.crops import PADDING, robust_scaled
from trainables.data.errors import DataError
from trainables.data.pixels import EXTRA
from trainables.data.samples import Samples, subset
from trainables.data.tiff_files import UNNAMED

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "cells"
RNG = np.random.default_rng(0)
WHOLE = "have neither a mask file nor a background of zeros: all of the crop counts as the cell"


def settings(size: int = 16, **changes: Any) -> dict[str, Any]:
    return {"image_size": size, "subset": None, "strict": False} | changes


def read(root: Path, **changes: Any) -> Samples:
    return CellReader.read(str(root), settings(**changes))


def refused(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as error:
        read(root, **changes)
    return error.value.problems


def inside(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The crop in the middle of a sample."""
    top, left = ((side - length) // 2 for side, length in zip(x.shape[1:], shape, strict=True))
    return x[:, top : top + shape[0], left : left + shape[1]]


@pytest.fixture
def crops(tmp_path: Path) -> dict[str, np.ndarray]:
    """12 crops of one channel, 16 bit, sides of 2 to 16 pixels, without zeros, in files of the folder."""
    values = {f"{number:02}.tif": RNG.integers(1, 65536, RNG.integers(2, 17, 2), np.uint16) for number in range(12)}
    for name, crop in values.items():
        tifffile.imwrite(tmp_path / name, crop)
    return values


def test_crops_of_all_sizes_keep_their_raw_intensities(tmp_path: Path, crops: dict[str, np.ndarray]):
    samples = read(tmp_path)
    assert samples.x.shape == (12, 2, 16, 16)
    assert samples.x.dtype == np.float32
    assert samples.ids == list(crops)
    assert samples.labels is None
    assert samples.notes == (f"12 of 12 crops {WHOLE}",)
    for x, crop in zip(samples.x, crops.values(), strict=True):
        np.testing.assert_array_equal(inside(x, crop.shape)[0], crop)
        assert (x[1] == 1).sum() == inside(x, crop.shape)[1].sum() == crop.size
        assert (x[1] == PADDING).sum() == x[1].size - crop.size


def test_without_a_mask_the_content_is_what_is_not_zero(tmp_path: Path, crops: dict[str, np.ndarray]):
    for name, crop in crops.items():
        crop[0, 0] = 0
        tifffile.imwrite(tmp_path / name, crop)
    samples = read(tmp_path)
    assert samples.notes == ()
    for x, crop in zip(samples.x, crops.values(), strict=True):
        np.testing.assert_array_equal(inside(x, crop.shape)[1], crop != 0)


@pytest.mark.parametrize(
    "place",
    [
        "cells/{}_mask.png",
        "cells/{}_masks.tif",
        "cells/{}_cp_masks.png",
        "cells/masks/{}.tif",
        "cells/masks/{}_mask.bmp",
        "cells/Masks/{}_cp_masks.tif",
        "masks/{}.png",
        "MASK/{}.png",
    ],
)
def test_masks_are_found(tmp_path: Path, crops: dict[str, np.ndarray], place: str):
    (tmp_path / "cells").mkdir()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    masks = []
    for name, crop in crops.items():
        (tmp_path / name).rename(tmp_path / "cells" / name)
        masks.append(RNG.random(crop.shape) < 0.5)
        masks[-1].flat[0] = True
        Image.fromarray(masks[-1] * np.uint8(3)).save(tmp_path / place.format(Path(name).stem))
    samples = read(tmp_path)
    assert samples.ids == [f"cells/{name}" for name in crops]
    assert samples.notes == ()
    for x, mask in zip(samples.x, masks, strict=True):
        np.testing.assert_array_equal(inside(x, mask.shape)[1], mask)


def test_masks_in_the_folders_of_their_crops_kinds(tmp_path: Path, crops: dict[str, np.ndarray]):
    for index, (name, crop) in enumerate(crops.items()):
        kind = "mitotic" if index < 4 else "resting"
        for folder in ("images", "masks"):
            (tmp_path / folder / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / name).rename(tmp_path / "images" / kind / name)
        Image.fromarray(np.full(crop.shape, 255, np.uint8)).save(tmp_path / f"masks/{kind}/{Path(name).stem}.png")
    samples = read(tmp_path)
    assert samples.labels == ["mitotic"] * 4 + ["resting"] * 8
    assert samples.notes == ()


def test_outlines_and_flows_are_no_crops(tmp_path: Path, crops: dict[str, np.ndarray]):
    for name in ("00_outlines.png", "00_flows_cp_masks.tif", "01_flows.tif"):
        Image.fromarray(np.ones((3, 3), np.uint8)).save(tmp_path / name)
    samples = read(tmp_path)
    assert samples.ids == list(crops)
    named = "00_flows_cp_masks.tif; 00_outlines.png; 01_flows.tif"
    assert samples.notes[0] == f"3 files of masks or outlines belong to no crop: {named}"


def test_masks_without_crops_and_crops_without_masks_are_noted(tmp_path: Path, crops: dict[str, np.ndarray]):
    for name, crop in [*crops.items()][:10]:
        Image.fromarray(np.full(crop.shape, 255, np.uint8)).save(tmp_path / f"{Path(name).stem}_mask.png")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "99_mask.png")
    assert read(tmp_path).notes == (
        "1 files of masks or outlines belong to no crop: 99_mask.png",
        "2 of 12 crops have no mask file: 10.tif; 11.tif",
        f"2 of 12 crops {WHOLE}",
    )


def test_unusable_masks_take_their_crops_with_them(tmp_path: Path, crops: dict[str, np.ndarray]):
    shape = crops["00.tif"].shape
    Image.fromarray(np.ones((33, 44), np.uint8)).save(tmp_path / "00_mask.png")
    (tmp_path / "01_mask.png").touch()
    assert refused(tmp_path, strict=True) == [
        f"00.tif: its mask 00_mask.png is of 33 × 44 pixels; expected {shape[0]} × {shape[1]}",
        "01.tif: its mask 01_mask.png is empty (0 bytes)",
    ]
    assert len(read(tmp_path).x) == 10


def test_a_crop_of_background_alone_is_left_out(tmp_path: Path, crops: dict[str, np.ndarray]):
    tifffile.imwrite(tmp_path / "03.tif", np.zeros((9, 9), np.uint8))
    samples = read(tmp_path)
    assert "03.tif" not in samples.ids
    assert samples.notes[0] == "1 of 12 are left out: 03.tif: holds no cell: all of it is background at 16 × 16"


@pytest.mark.parametrize("channels", [2, 3, 5])
@pytest.mark.parametrize("axes", ["CYX", "YXC"])
def test_channels_first_or_last(tmp_path: Path, channels: int, axes: str):
    expected = []
    for number in range(12):
        crop = RNG.integers(1, 256, (channels, *RNG.integers(2, 17, 2)), np.uint8)
        stored = np.moveaxis(crop, 0, 2) if axes == "YXC" else crop
        tifffile.imwrite(tmp_path / f"{number:02}.tif", stored, photometric="minisblack", metadata={"axes": axes})
        expected.append(crop)
    samples = read(tmp_path)
    assert samples.x.shape == (12, channels + 1, 16, 16)
    for x, crop in zip(samples.x, expected, strict=True):
        np.testing.assert_array_equal(inside(x, crop.shape[1:])[:-1], crop)


def test_pages_that_may_be_channels_or_slices_are_asked_about(tmp_path: Path, crops: dict[str, np.ndarray]):
    for name in ("05.tif", "07.tif"):
        tifffile.imwrite(tmp_path / name, np.ones((3, 8, 9), np.uint16), photometric="minisblack")
    (problem,) = refused(tmp_path)
    assert problem == f"05.tif (and 1 more): holds 3 × 8 × 9 values, axes QYX; {UNNAMED}"


def test_alpha_is_neither_a_stain_nor_a_mask(tmp_path: Path, crops: dict[str, np.ndarray]):
    for name, crop in crops.items():
        alpha = np.zeros_like(crop)
        alpha[0, 0] = 65535
        tifffile.imwrite(
            tmp_path / name,
            np.dstack([crop, alpha]),
            photometric="minisblack",
            planarconfig="contig",
            extrasamples=["unassalpha"],
        )
        Image.fromarray(np.dstack([np.zeros(crop.shape, np.uint8), alpha > 0])).save(
            tmp_path / f"{Path(name).stem}_mask.png"
        )
    problems = refused(tmp_path)
    assert problems[1] == "00.tif: holds no cell: all of it is background at 16 × 16"
    for path in tmp_path.glob("*_mask.png"):
        path.unlink()
    samples = read(tmp_path)
    assert samples.notes == (f"12 of 12 crops {WHOLE}", f"12 of 12 crops {EXTRA}")
    for x, crop in zip(samples.x, crops.values(), strict=True):
        np.testing.assert_array_equal(inside(x, crop.shape)[0], crop)


def test_files_that_differ_in_channels_are_named_even_if_one_comes_first(
    tmp_path: Path, crops: dict[str, np.ndarray]
):
    tifffile.imwrite(tmp_path / "00.tif", np.ones((8, 8, 3), np.uint8), photometric="rgb")
    Image.fromarray(np.ones((8, 8, 3), np.uint8)).save(tmp_path / "zz.png")
    assert refused(tmp_path) == [
        "2 of 13 crops differ from the others in their channels, 00.tif has 3; zz.png has 3; expected 1 in all: move "
        "those files away or convert them"
    ]


def test_larger_crops_are_shrunk_and_noted(tmp_path: Path, crops: dict[str, np.ndarray]):
    tifffile.imwrite(tmp_path / "00.tif", np.full((10, 40), 500, np.uint16))
    samples = read(tmp_path)
    assert "1 of 12 crops are larger than 16 × 16: they are shrunk" in samples.notes
    np.testing.assert_allclose(inside(samples.x[0], (4, 16)), [np.full((4, 16), 500), np.ones((4, 16))], rtol=1e-6)
    assert (samples.x[0, 1] == 1).sum() == 4 * 16


def test_labels_are_the_names_of_the_folders(tmp_path: Path, crops: dict[str, np.ndarray]):
    for name, folder in zip(crops, ["mitotic"] * 4 + ["resting"] * 8, strict=True):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / folder / name)
    assert read(tmp_path).labels == ["mitotic"] * 4 + ["resting"] * 8


def test_damaged_files_are_left_out_and_named(tmp_path: Path, crops: dict[str, np.ndarray]):
    (tmp_path / "00.tif").write_bytes(b"")
    (tmp_path / "07.tif").write_bytes(b"II*\0 and no more")
    samples = read(tmp_path)
    assert samples.notes[0].startswith(
        "2 of 12 are left out: 00.tif: is empty (0 bytes); 07.tif: is damaged, cut short"
    )
    for name, x in zip(samples.ids, samples.x, strict=True):
        np.testing.assert_array_equal(inside(x, crops[name].shape)[0], crops[name])
    assert len(refused(tmp_path, strict=True)) == 2


def test_nothing_but_damaged_files(tmp_path: Path):
    for number in range(12):
        (tmp_path / f"{number:02}.tif").touch()
    problems = refused(tmp_path)
    assert problems[0].startswith("0 samples; at least 10 are needed")
    assert problems[1] == "00.tif: is empty (0 bytes)"
    assert len(problems) == 13


def test_refused_sources_say_what_is_accepted(tmp_path: Path):
    (problem,) = refused(tmp_path / "absent")
    assert "a folder of cell crops of any size" in problem
    (tmp_path / "cells.nd2").touch()
    assert refused(tmp_path)[1] == "1 file of another kind: cells.nd2"


def test_a_subset_is_chosen_before_decoding(tmp_path: Path, crops: dict[str, np.ndarray]):
    chosen = subset(12, None, 10)
    for number in set(range(12)) - set(chosen):
        (tmp_path / f"{number:02}.tif").write_text("damaged, but not among those that are read")
    assert read(tmp_path, subset=10).ids == [f"{number:02}.tif" for number in chosen]


def test_the_cache_takes_what_the_reader_gives(
    tmp_path: Path, crops: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
):
    cache = tmp_path_factory.mktemp("cache")
    dataset = prepare(CellReader, str(tmp_path), cache, settings())
    assert dataset.shape == (2, 16, 16)
    assert prepare(CellReader, None, cache, settings(16)).embedded


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_cells():
    samples = read(REAL, size=64, strict=True)
    assert samples.x.shape == (160, 2, 64, 64)
    assert samples.notes == ("40 of 160 crops are larger than 64 × 64: they are shrunk", f"140 of 160 crops {WHOLE}")
    for name, x in zip(samples.ids, samples.x, strict=True):
        stored = tifffile.imread(REAL / name)
        if max(stored.shape) <= 64:
            np.testing.assert_array_equal(inside(x, stored.shape)[0], stored)
    scaled = np.stack([robust_scaled(x)[0] for x in samples.x])
    content = samples.x[:, 1] > 0
    assert 0.2 < scaled[content].mean() < 0.6  # whatever the gain
    mean = (scaled * content).sum(axis=0) / np.maximum(content.sum(axis=0), 1)
    assert mean[28:36, 28:36].mean() > mean[content.sum(axis=0) > 20].mean() > 0.1  # nuclei lie in the middle
