import gzip
import io
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from trainables.data import blocks
from trainables.data.cache import prepare
from trainables.data.errors import DataError
from trainables.data.samples import subset
from trainables.data.volumes import UNORIENTED, VolumeReader, Volumes

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "brain32"
RNG = np.random.default_rng(0)
SPACING = np.diag([2.0, 2.0, 2.0, 1.0])


def settings(size: int = 8, **changes: Any) -> dict[str, Any]:
    return {"image_size": size, "modalities": None, "subset": None, "strict": False} | changes


def read(root: Path, **changes: Any) -> Volumes:
    return VolumeReader.read(str(root), settings(**changes))


def refused(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as error:
        read(root, **changes)
    return error.value.problems


def save(path: Path, values: np.ndarray, affine: np.ndarray = SPACING) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, affine), path)


def brain(shape: tuple[int, int, int] = (8, 8, 8), margin: int = 1) -> np.ndarray:
    """Random values with a border of zeros."""
    values = np.zeros(shape, np.float32)
    inside = tuple(slice(margin, length - margin) for length in shape)
    values[inside] = RNG.uniform(100, 200, values[inside].shape)
    return values


def standardised(values: np.ndarray) -> np.ndarray:
    inside = values[values != 0]
    return np.where(values != 0, (values - inside.mean()) / inside.std(), 0)


@pytest.fixture
def stored(tmp_path: Path) -> dict[str, np.ndarray]:
    """Volumes of 8³ of 12 subjects, t1 and t2, in files of the folder."""
    stored = {}
    for number in range(12):
        for modality in ("t1", "t2"):
            stored[f"sub-{number:02}_{modality}"] = brain()
    for name, values in stored.items():
        save(tmp_path / name[:6] / f"{name}.nii.gz", values)
    return stored


def test_volumes_of_the_right_size_are_taken_as_they_are(tmp_path: Path, stored: dict[str, np.ndarray]):
    samples = read(tmp_path)
    assert samples.x.shape == (12, 2, 8, 8, 8)
    assert samples.x.dtype == np.float32
    assert samples.ids == [f"sub-{number:02}" for number in range(12)]
    assert (samples.modalities, samples.labels, samples.notes) == (("t1", "t2"), None, ())
    for name, x in zip(samples.ids, samples.x, strict=True):
        for modality, volume in zip(samples.modalities, x, strict=True):
            np.testing.assert_allclose(volume, standardised(stored[f"{name}_{modality}"]), atol=1e-5)


def test_modalities_in_the_order_asked_for(tmp_path: Path, stored: dict[str, np.ndarray]):
    samples = read(tmp_path, modalities="T2w,t1")
    assert samples.modalities == ("t2", "t1")
    np.testing.assert_array_equal(samples.x, read(tmp_path).x[:, ::-1])
    assert read(tmp_path, modalities="t2").x.shape == (12, 1, 8, 8, 8)


def test_orientation_is_brought_to_ras(tmp_path: Path, stored: dict[str, np.ndarray]):
    turned = nibabel.Nifti1Image(stored["sub-03_t1"], SPACING).as_reoriented(np.array([[2, -1], [0, 1], [1, -1]]))
    nibabel.save(turned, tmp_path / "sub-03" / "sub-03_t1.nii.gz")
    samples = read(tmp_path)
    np.testing.assert_allclose(samples.x[3, 0], standardised(stored["sub-03_t1"]), atol=1e-5)
    assert samples.notes == ()


def test_subjects_on_one_grid_and_all_their_modalities_are_cut_alike(tmp_path: Path):
    """A landmark at one place of the grid is at one place of all samples, however far each brain reaches."""
    for number in range(12):
        for modality in ("t1", "t2"):
            values = np.zeros((20, 24, 16), np.float32)
            first = 3 + (number if modality == "t1" else 0) % 3
            values[first:15, 4:20, 2:14] = RNG.uniform(100, 101, (15 - first, 16, 12))
            values[8:12, 10:14, 8:12] = 300
            save(tmp_path / f"{number:02}_{modality}.nii.gz", values)
    samples = read(tmp_path)
    assert samples.notes == ("12 of 12 subjects are cut to the brain and resampled to 8 × 8 × 8",)
    places = np.stack([np.argwhere(volume > 2.5).mean(axis=0) for x in samples.x for volume in x])
    assert np.ptp(places, axis=0).max() < 0.1
    covered = (samples.x != 0).any(axis=(2, 3, 4))
    assert covered.all()


def test_subjects_on_their_own_grids_fill_their_cubes(tmp_path: Path):
    for number in range(12):
        save(tmp_path / f"{number:02}_t1.nii.gz", brain((20 + number, 18, 16), margin=3))
    samples = read(tmp_path)
    for x in samples.x:
        for axis in range(3):
            covered = (x[0] != 0).any(axis=tuple({0, 1, 2} - {axis}))
            assert covered.all() == (axis == 0)


def test_voxels_of_any_shape_become_isotropic(tmp_path: Path):
    along = [(np.arange(count) + 0.5) / count * 2 - 1 for count in (48, 24, 12)]
    place = np.stack(np.meshgrid(*along, indexing="ij"))
    ball = np.where(np.square(place).sum(axis=0) < 1, 10 + place[0], 0).astype(np.float32)
    for number in range(10):
        values = ball + (ball != 0) * RNG.normal(0, 0.01, ball.shape)
        save(tmp_path / f"{number:02}_t1.nii.gz", values.astype(np.float32), np.diag([1, 2, 4, 1.0]))
    extent = [(read(tmp_path, size=12).x[:, 0] != 0).sum(axis=axis).max() for axis in (1, 2, 3)]
    assert max(extent) - min(extent) <= 1


def test_one_subject_of_the_right_size_is_framed_like_the_others(tmp_path: Path):
    along = [(np.arange(16) + 0.5) / 16 * 2 - 1] * 3
    place = np.stack(np.meshgrid(*along, indexing="ij"))
    for number in range(12):
        ball = np.where(np.square(place).sum(axis=0) < 0.5, RNG.uniform(100, 200, 3 * (16,)), 0)
        step = 2 if number == 5 else 1
        save(tmp_path / f"{number:02}_t1.nii.gz", ball[::step, ::step, ::step].astype(np.float32))
    shares = (read(tmp_path).x[:, 0] != 0).mean(axis=(1, 2, 3))
    assert shares.max() - shares.min() < 0.1
    assert read(tmp_path).notes[0] == "12 of 12 subjects are cut to the brain and resampled to 8 × 8 × 8"


SCALED = {"as stored": (1.0, 0.0), "standardised": (0.01, -1.3), "Hounsfield units": (2.0, -1024.0)}


@pytest.mark.parametrize("scaling", SCALED)
@pytest.mark.parametrize("background", ["integers", "NaN", "noise"])
@pytest.mark.parametrize("size", [8, 6])
def test_samples_do_not_depend_on_the_units_or_the_background(
    tmp_path: Path, stored: dict[str, np.ndarray], scaling: str, background: str, size: int
):
    expected = read(tmp_path, size=size).x
    slope, intercept = SCALED[scaling]
    for name, values in stored.items():
        path = tmp_path / name[:6] / f"{name}.nii.gz"
        if background == "integers":
            integers = np.rint(100 * values).astype(np.int16)
            image = nibabel.Nifti1Image(integers, SPACING)
            image.header.set_slope_inter(slope / 100, intercept)
            image.to_filename(path)
            with gzip.open(path) as file:
                content = bytearray(file.read())
            content[112:120] = np.array([slope / 100, intercept], np.float32).tobytes()
            content[352:] = integers.tobytes(order="F")
            path.write_bytes(gzip.compress(content))
            continue
        changed = slope * values + intercept
        outside = np.nan if background == "NaN" else intercept + RNG.normal(0, 1e-7 * slope, values.shape)
        save(path, np.where(values == 0, outside, changed))
    samples = read(tmp_path, size=size)
    np.testing.assert_allclose(samples.x, expected, atol=0.01)


def without_orientation(path: Path) -> None:
    image = nibabel.load(path)
    stored = nibabel.Nifti1Image(np.asarray(image.dataobj), None)
    stored.set_sform(None, 0)
    stored.set_qform(None, 0)
    nibabel.save(stored, path)


def test_a_volume_that_does_not_say_where_right_is_is_left_out(tmp_path: Path, stored: dict[str, np.ndarray]):
    for modality in ("t1", "t2"):
        without_orientation(tmp_path / "sub-04" / f"sub-04_{modality}.nii.gz")
    samples = read(tmp_path)
    assert "sub-04" not in samples.ids
    assert samples.notes == (
        "1 of 12 are left out: sub-04: its header does not say where right, anterior and superior are (sform_code "
        "and qform_code are 0), those of 11 others do; set it, with nibabel: image.set_sform(affine, 1)",
    )


def test_where_none_says_where_right_is_it_is_told(tmp_path: Path, stored: dict[str, np.ndarray]):
    for path in tmp_path.rglob("*.nii.gz"):
        without_orientation(path)
    samples = read(tmp_path)
    assert len(samples.x) == 12
    assert samples.notes == (f"12 of 12 subjects {UNORIENTED}",)


def test_one_file_for_all_modalities_of_a_subject(tmp_path: Path, stored: dict[str, np.ndarray]):
    """The layout of the Medical Segmentation Decathlon."""
    expected = read(tmp_path).x
    for number in range(12):
        name = f"sub-{number:02}"
        both = np.stack([stored[f"{name}_t1"], stored[f"{name}_t2"]], axis=3)
        shutil.rmtree(tmp_path / name)
        save(tmp_path / "imagesTr" / f"BRAIN_{number:03}.nii.gz", both)
        save(tmp_path / "labelsTr" / f"BRAIN_{number:03}.nii.gz", np.ones((8, 8, 8), np.uint8))
    problems = refused(tmp_path)
    assert problems[1].endswith(
        'expected one volume, of 3 axes: split it, or name the volumes in dataset.json {"modality": {"0": "T1w", '
        '"1": "T2w"}}'
    )
    (tmp_path / "dataset.json").write_text(json.dumps({"modality": {"0": "T1w", "1": "T2w"}}))
    samples = read(tmp_path)
    np.testing.assert_array_equal(samples.x, expected)
    assert samples.modalities == ("t1", "t2")
    assert samples.notes == ("12 segmentations, masks or derivatives are not read",)
    np.testing.assert_array_equal(read(tmp_path, modalities="t2").x, expected[:, 1:])


def test_what_is_unusual_is_noted(tmp_path: Path, stored: dict[str, np.ndarray]):
    save(tmp_path / "sub-05" / "sub-05_t1.nii.gz", RNG.uniform(1, 2, (8, 8, 8)))
    (tmp_path / "sub-05" / "sub-05_seg.nii.gz").touch()
    assert read(tmp_path).notes == (
        "1 segmentations, masks or derivatives are not read",
        "1 of 12 subjects have no background of zeros: all of the volume counts as brain",
    )
    assert read(tmp_path, size=16).notes[1:] == (
        "12 of 12 subjects are cut to the brain and resampled to 16 × 16 × 16",
        "12 of 12 subjects are smaller than that: they are enlarged",
        "1 of 12 subjects have no background of zeros: all of the volume counts as brain",
    )


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_nan(path: Path) -> None:
    values = brain()
    values[4, 4, 4] = np.nan
    save(path, values)


def moved(path: Path) -> None:
    affine = SPACING.copy()
    affine[1, 3] = 3.0
    save(path, brain(), affine)


FAULTS = {
    "cut short": (cut_short, "sub-04_t2.nii.gz cannot be read (EOFError: Compressed file ended before"),
    "empty": (lambda path: path.write_bytes(b""), "sub-04_t2.nii.gz is empty (0 bytes)"),
    "no NIfTI": (lambda path: path.write_text("text"), "sub-04_t2.nii.gz cannot be read ("),
    "NaN": (with_nan, "sub-04_t2.nii.gz holds values that are NaN or infinite"),
    "zero": (lambda path: save(path, 0 * brain()), "sub-04_t2.nii.gz is 0 everywhere"),
    "one value": (lambda path: save(path, np.sign(brain())), "sub-04_t2.nii.gz holds a single value"),
    "several volumes": (
        lambda path: save(path, np.ones((8, 8, 8, 3))),
        "sub-04_t2.nii.gz holds 8 × 8 × 8 × 3 values; expected one volume",
    ),
    "another shape": (
        lambda path: save(path, brain((8, 8, 9))),
        "t2 holds 8 × 8 × 9 voxels, t1 8 × 8 × 8; expected modalities registered and on one grid",
    ),
    "another place": (moved, "by their affine matrices t2 and t1 lie 1.5 voxels apart; expected"),
    "absent": (Path.unlink, "has no t2"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("size", [8, 6])
def test_damaged_and_incomplete_subjects_are_left_out_and_named(
    tmp_path: Path, stored: dict[str, np.ndarray], fault: str, size: int
):
    sound = np.delete(read(tmp_path, size=size).x, 4, axis=0)
    damage, problem = FAULTS[fault]
    damage(tmp_path / "sub-04" / "sub-04_t2.nii.gz")
    samples = read(tmp_path, size=size)
    assert samples.ids == [f"sub-{number:02}" for number in range(12) if number != 4]
    assert samples.notes[0].startswith(f"1 of 12 are left out: sub-04: {problem}")
    np.testing.assert_array_equal(samples.x, sound)


def test_strict_refuses_them_together(tmp_path: Path, stored: dict[str, np.ndarray]):
    for modality in ("t1", "t2"):
        save(tmp_path / "sub-12" / f"sub-12_{modality}.nii.gz", brain())
    save(tmp_path / "sub-01" / "sub-01_t1.nii.gz", 0 * brain())
    with_nan(tmp_path / "sub-01" / "sub-01_t2.nii.gz")
    (tmp_path / "sub-07" / "sub-07_t2.nii.gz").unlink()
    save(tmp_path / "sub-09" / "sub-09_t2.nii.gz", np.sign(brain()))
    assert refused(tmp_path, strict=True) == [
        "sub-01: sub-01_t1.nii.gz is 0 everywhere; "
        "sub-01_t2.nii.gz holds values that are NaN or infinite; expected finite numbers",
        "sub-07: has no t2",
        "sub-09: sub-09_t2.nii.gz holds a single value where it is not 0; expected an image",
    ]


def test_too_few_are_left(tmp_path: Path, stored: dict[str, np.ndarray]):
    for number in range(3):
        (tmp_path / f"sub-{number:02}" / f"sub-{number:02}_t2.nii.gz").unlink()
    problems = refused(tmp_path)
    assert problems[0].startswith("9 samples; at least 10 are needed")
    assert problems[1:] == [f"sub-{number:02}: has no t2" for number in range(3)]


def test_identical_volumes_are_refused(tmp_path: Path):
    values = brain()
    for number in range(10):
        save(tmp_path / f"{number:02}_t1.nii", values)
    assert refused(tmp_path)[0].startswith("all 10 ")


def test_a_subset_is_chosen_before_reading(tmp_path: Path, stored: dict[str, np.ndarray]):
    rows = [f"sub-{number:02}\t{'ab'[number % 2]}" for number in range(12)]
    (tmp_path / "participants.tsv").write_text("\n".join(["participant_id\tlabel", *rows]))
    chosen = subset(12, None, 10)
    for number in set(range(12)) - set(chosen):
        (tmp_path / f"sub-{number:02}" / f"sub-{number:02}_t1.nii.gz").write_text("damaged, but not read")
    samples = read(tmp_path, subset=10)
    assert samples.ids == [f"sub-{number:02}" for number in chosen]
    assert samples.labels == ["ab"[number % 2] for number in chosen]
    assert samples.notes == ()


def test_labels_stay_with_their_subjects(tmp_path: Path, stored: dict[str, np.ndarray]):
    rows = [f"sub-{number:02}\t{number}" for number in range(12)]
    (tmp_path / "participants.tsv").write_text("\n".join(["participant_id\tlabel", *rows]))
    cut_short(tmp_path / "sub-00" / "sub-00_t1.nii.gz")
    samples = read(tmp_path)
    assert samples.labels == [str(number) for number in range(1, 12)]


def test_large_sets_are_mapped(tmp_path: Path, stored: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch):
    in_memory = read(tmp_path).x
    monkeypatch.setattr(blocks, "IN_MEMORY", 10)
    mapped = read(tmp_path).x
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, in_memory)


def test_nibabel_does_not_report_headers_that_it_repairs(tmp_path: Path, stored: dict[str, np.ndarray]):
    path = tmp_path / "sub-04" / "sub-04_t1.nii"
    save(path, stored["sub-04_t1"])
    (tmp_path / "sub-04" / "sub-04_t1.nii.gz").unlink()
    content = bytearray(path.read_bytes())
    content[80:84] = np.float32(-2).tobytes()  # pixdim[1], a length
    path.write_bytes(content)
    handler = logging.StreamHandler(io.StringIO())
    nibabel.imageglobals.logger.addHandler(handler)
    try:
        nibabel.load(path)
        reported = handler.stream.getvalue()
        samples = read(tmp_path)
    finally:
        nibabel.imageglobals.logger.removeHandler(handler)
    assert "pixdim" in reported
    assert handler.stream.getvalue() == reported
    np.testing.assert_allclose(samples.x[4, 0], standardised(stored["sub-04_t1"]), atol=1e-5)


def test_statistics_are_of_the_training_samples(tmp_path: Path, stored: dict[str, np.ndarray]):
    samples, index = read(tmp_path), np.array([5, 0, 7])
    statistics = VolumeReader.statistics(samples, index)
    assert statistics["modalities"].tolist() == ["t1", "t2"]
    assert statistics["train_count"] == len(index)


def test_the_cache_takes_what_the_reader_gives(
    tmp_path: Path, stored: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
):
    cache = tmp_path_factory.mktemp("cache")
    dataset = prepare(VolumeReader, str(tmp_path), cache, settings())
    assert dataset.shape == (2, 8, 8, 8)
    assert dataset.statistics["modalities"].tolist() == ["t1", "t2"]
    embedded = prepare(VolumeReader, None, cache, settings(subset=20, modalities="flair,t1"))
    assert embedded.embedded
    assert (len(embedded), embedded.shape) == (20, (2, 8, 8, 8))
    assert embedded.statistics["modalities"].tolist() == ["flair", "t1"]
    with pytest.raises(DataError, match="no modality pet; there are t1, t1ce, t2, flair"):
        prepare(VolumeReader, None, cache, settings(modalities="t1,pet"))


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_volumes():
    samples = read(REAL, size=32, strict=True)
    assert samples.x.shape == (28, 4, 32, 32, 32)
    assert samples.modalities == ("t1", "t1ce", "t2", "flair")
    assert samples.notes == ("28 segmentations, masks or derivatives are not read",)
    image = nibabel.load(REAL / samples.ids[3] / f"{samples.ids[3]}_t2.nii.gz")
    np.testing.assert_allclose(samples.x[3, 2], standardised(image.get_fdata()), atol=1e-5)


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL} is absent")
def test_real_volumes_in_another_size():
    smaller = read(REAL, size=24).x
    assert np.abs([smaller[smaller != 0].mean(), smaller[smaller != 0].std() - 1]).max() < 0.01
    brains = (smaller != 0).any(axis=(0, 1))
    extent = [np.ptp(np.flatnonzero(brains.any(axis=axes))) + 1 for axes in ((1, 2), (0, 2), (0, 1))]
    assert max(extent) == 24
