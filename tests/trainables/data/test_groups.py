from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest
from PIL import Image

from trainables.data.cache import prepare
from trainables.data.errors import DataError
from trainables.data.grey_images import GreyImageReader
from trainables.data.grids import GridReader
from trainables.data.groups import parted
from trainables.data.samples import Samples
from trainables.data.splitting import Split
from trainables.data.store import Dataset

CT = Path(pydicom.data.__file__).parent / "test_files" / "CT_small.dcm"
RNG = np.random.default_rng(0)
Columns = dict[str, list[Any]]


def images(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (16, 16), np.uint8)).save(path)
    return folder


def grey(folder: Path, **settings: Any) -> Dataset:
    return prepare(GreyImageReader, str(folder), folder.parent / "cache", {"image_size": 16} | settings)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[Columns], str]:
    """The path of 24 grids with these columns."""

    def write(columns: Columns) -> str:
        x = RNG.standard_normal((24, 2, 2, 3)).tolist()
        kind = pa.list_(pa.list_(pa.list_(pa.float32())))
        pq.write_table(pa.table({"emb": pa.array(x, kind), **columns}), tmp_path / "grids.parquet")
        return str(tmp_path / "grids.parquet")

    return write


def straddling(parts: Split, names: list[Any]) -> set[Any]:
    """What is in more than one part."""
    sets = [{names[index] for index in part} for part in parts]
    return (sets[0] & sets[1]) | (sets[0] & sets[2]) | (sets[1] & sets[2])


def test_a_column_keeps_its_groups_whole_for_every_seed(table: Callable[[Columns], str], tmp_path: Path) -> None:
    names = [f"p{index % 8}" for index in range(24)]
    data = prepare(GridReader, table({"patient": names, "source": ["x"] * 24}), tmp_path / "cache")
    assert data.grouping == "Split by 8 groups, from the column patient."
    for seed in range(20):
        parts = data.split(seed)
        assert straddling(parts, names) == set()
        assert sorted(np.concatenate(parts)) == list(range(24))
        assert all(len(part) >= 2 for part in parts)
        np.testing.assert_array_equal(parts.test, data.test)
    assert len({tuple(sorted(data.split(seed).val)) for seed in range(20)}) > 5


def test_the_column_that_is_asked_for_goes_before_those_that_are_known(
    table: Callable[[Columns], str], tmp_path: Path
) -> None:
    scanners = [f"s{index % 4}" for index in range(24)]
    source = table({"patient": list(map(str, range(24))), "scanner": scanners})
    data = prepare(GridReader, source, tmp_path / "cache", {"group": "scanner"})
    assert data.grouping == "Split by 4 groups, from the column scanner."
    assert straddling(data.split(0), scanners) == set()


def test_a_column_split_is_honoured_by_every_seed(table: Callable[[Columns], str], tmp_path: Path) -> None:
    said = ["train"] * 16 + ["valid"] * 5 + ["Test"] * 3
    data = prepare(GridReader, table({"split": said}), tmp_path / "cache")
    assert data.grouping == "Split as the column split says."
    for seed in (0, 1):
        assert [sorted(part) for part in data.split(seed)] == [
            list(range(16)), list(range(16, 21)), list(range(21, 24)),
        ]  # fmt: skip


def test_a_column_split_of_other_words_is_refused(table: Callable[[Columns], str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="column split holds fold1; expected train, training, val"):
        prepare(GridReader, table({"split": ["fold1"] * 24}), tmp_path / "cache")


def test_folders_give_parts_and_the_missing_one_is_drawn_from_training(tmp_path: Path) -> None:
    names = [f"training/{index:02}.png" for index in range(20)] + [f"test/{index}.png" for index in range(4)]
    data = grey(images(tmp_path / "images", names))
    assert data.grouping == "Split as the folders say."
    assert {index for index in range(24) if sorted(names)[index].startswith("test/")} == set(data.test)
    assert (len(data.train), len(data.val)) == (15, 5)
    assert set(data.split(1).test) == set(data.test)
    assert set(data.split(1).val) != set(data.val)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("sub-{:02}/sub-{:02}_slice{}.png", "BIDS subjects (sub-…)"),
        ("patient_{:02}/{:02}_{}.png", "patients in the paths"),
        ("BraTS-GLI-{:05}-{:03}_{}.png", "BraTS subjects"),
    ],
)
def test_subjects_are_recognised_in_paths(tmp_path: Path, pattern: str, told: str) -> None:
    names = sorted(pattern.format(subject, subject, part) for subject in range(8) for part in range(3))
    data = grey(images(tmp_path / "images", names))
    assert data.grouping == f"Split by 8 groups, from {told}."
    assert straddling(data.split(0), [index // 3 for index in range(24)]) == set()


def test_dicom_files_are_split_by_patient(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(12):
        scan = pydicom.dcmread(CT)
        scan.PatientID = f"P{index % 4}"
        scan.PixelData = (scan.pixel_array + index).astype(np.int16).tobytes()
        scan.PixelData = np.roll(scan.pixel_array, index).tobytes()
        scan.save_as(folder / f"{index:02}.dcm")
    data = grey(folder)
    assert data.grouping == "Split by 4 groups, from DICOM PatientID."
    assert straddling(data.split(0), [index % 4 for index in range(12)]) == set()


def test_a_pattern_names_groups(tmp_path: Path) -> None:
    names = [f"{field:02}-{cell}.png" for field in range(6) for cell in range(4)]
    data = grey(images(tmp_path / "images", names), group=r"(\d+)-")
    assert data.grouping == r"Split by 6 groups, from --group (\d+)-."
    assert straddling(data.split(0), [index // 4 for index in range(24)]) == set()


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(", "no regular expression"),
        (r"\d+", r"0 groups in brackets; expected one, as in 'patient"),
        ("(z)", r"not found in 24 of 24 names, such as 00-0\.png; expected it in each"),
        (r"\.(png)", r"1 groups, from --group \\\.\(png\), are too few for three parts; expected at least 3"),
    ],
)
def test_a_pattern_that_does_not_serve_is_refused(tmp_path: Path, pattern: str, problem: str) -> None:
    names = [f"{field:02}-{cell}.png" for field in range(6) for cell in range(4)]
    with pytest.raises(DataError, match=problem):
        grey(images(tmp_path / "images", names), group=pattern)


def test_too_few_recognised_groups_are_told_and_not_used(tmp_path: Path) -> None:
    data = grey(images(tmp_path / "images", [f"patient{index % 2}/{index:02}.png" for index in range(12)]))
    assert data.grouping == ""
    assert data.notes == (
        "2 groups, from patients in the paths, are too few for three parts: samples are split one by one, and scores "
        "are of these groups alone; name others with --group PATTERN|COLUMN, or take each file for itself with "
        "--group '(.*)'",
    )


def test_groups_that_leave_a_part_too_small_are_refused() -> None:
    x = RNG.standard_normal((30, 2)).astype(np.float32)
    samples = Samples(x, "rows", groups=["a"] * 28 + ["b", "c"], grouped_by="the column patient")
    with pytest.raises(DataError, match=r"leave a part too small \(28 train, 0 val, 2 test\); expected at least 2"):
        parted(samples, None)


def test_repeated_samples_are_of_one_part_whatever_their_groups_and_are_counted() -> None:
    x = RNG.standard_normal((40, 3)).astype(np.float32)
    x[20:] = x[:20]
    samples, parting = parted(Samples(x, "rows"), None)
    assert samples.notes == ("20 samples repeat others to the last bit; each is in the part of its like",)
    for seed in range(5):
        parts = parting.split() if seed == 0 else parting.split().redrawn(seed, parting.groups)
        assert straddling(parts, [index % 20 for index in range(40)]) == set()
        assert sorted(np.concatenate(parts)) == list(range(40))


def test_a_repeated_sample_is_taken_out_of_the_training_that_is_given() -> None:
    x = RNG.standard_normal((20, 3)).astype(np.float32)
    x[19] = x[0]
    given = ["train"] * 14 + ["val"] * 3 + ["test"] * 3
    parts = parted(Samples(x, "rows", given=given), None)[1].split()
    assert {0, 19} <= set(parts.test)
    assert sorted(np.concatenate(parts)) == list(range(20))


def test_nothing_known_leaves_each_sample_for_itself() -> None:
    x = RNG.standard_normal((50, 3)).astype(np.float32)
    samples, parting = parted(Samples(x, "rows", ids=list(range(50))), None)
    assert (samples.notes, parting.told, parting.given) == ((), "", None)
    np.testing.assert_array_equal(np.sort(parting.groups), np.arange(50))
