import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis

from trainables.data.background import OFFSET
from trainables.data.errors import DataError
from trainables.data.nifti import EXAMPLE, NAMES, Grid, open_volume

RNG = np.random.default_rng(0)


def write(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        open_volume(path).values()
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LIA", "PSR", "ASL"])
def test_any_orientation_becomes_ras_without_interpolation(tmp_path: Path, codes: str):
    values = RNG.integers(-9, 99, (3, 4, 5)).astype(np.int16)
    affine = np.array([[2.0, 0, 0, -7], [0, 3, 0, 5], [0, 0, 4, 1], [0, 0, 0, 1]])
    original = nibabel.Nifti1Image(values, affine)
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(tuple(codes))
    )
    nibabel.save(original.as_reoriented(turn), tmp_path / "x.nii.gz")
    volume = open_volume(tmp_path / "x.nii.gz")
    np.testing.assert_array_equal(volume.values()[0], values)
    assert volume.grid.shape == (3, 4, 5)
    np.testing.assert_allclose(volume.grid.affine, affine)
    np.testing.assert_allclose(volume.grid.spacing, [2, 3, 4])


def test_values_on_a_surface_are_no_volume(tmp_path: Path):
    vertices = BrainModelAxis.from_surface(np.arange(4), 4, "CortexLeft")
    nibabel.save(Cifti2Image(np.ones((1, 4), np.float32), (ScalarAxis(["a"]), vertices)), tmp_path / "x.dscalar.nii")
    assert refused(tmp_path / "x.dscalar.nii") == "holds a Cifti2Image; expected one volume, of 3 axes"


def test_an_oblique_volume_is_not_interpolated(tmp_path: Path):
    values = RNG.uniform(1, 2, (3, 4, 5)).astype(np.float32)
    angle = np.radians(20)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    np.testing.assert_array_equal(open_volume(write(tmp_path / "x.nii", values, affine)).values()[0], values[::-1])


def test_scaled_integers(tmp_path: Path):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "x.nii")
    values, fact = open_volume(tmp_path / "x.nii").values()
    assert fact is None
    expected = nibabel.load(tmp_path / "x.nii").get_fdata()
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected)


def test_one_volume_in_four_axes_is_squeezed(tmp_path: Path):
    values = RNG.uniform(1, 2, (3, 4, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(open_volume(write(tmp_path / "x.nii", values)).values()[0], values[..., 0])


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 4), (3, 4, 1), (3, 4, 5, 1, 3)])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]):
    path = write(tmp_path / "x.nii", np.ones(shape, np.float32))
    cure = f": split it, or name the volumes in {NAMES} {EXAMPLE}" if len(shape) == 4 else ""
    assert refused(path) == f"holds {' × '.join(map(str, shape))} values; expected one volume, of 3 axes{cure}"


def test_one_of_several_volumes(tmp_path: Path):
    values = RNG.uniform(1, 2, (3, 4, 5, 2)).astype(np.float32)
    path = write(tmp_path / "x.nii.gz", values)
    for number in range(2):
        np.testing.assert_array_equal(open_volume(path, number).values()[0], values[..., number])
    with pytest.raises(DataError, match="holds 3 × 4 × 5 × 2 values; expected at least 3 along a fourth axis"):
        open_volume(path, 2)
    with pytest.raises(DataError, match="holds 3 × 4 × 5 values; expected at least 1 along a fourth axis"):
        open_volume(write(tmp_path / "y.nii", values[..., 0]), 0)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("packed", [True, False])
def test_packed_files_are_told_by_content(tmp_path: Path, kind: type, packed: bool):
    values = RNG.uniform(1, 2, (3, 4, 5)).astype(np.float32)
    content = kind(values, np.diag([2.0, 2, 2, 1])).to_bytes()
    for name in ("x.nii", "x.nii.gz", "X.NII.GZ"):
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
        volume = open_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.values()[0], values)
        np.testing.assert_array_equal(volume.grid.spacing, [2, 2, 2])


def test_whether_the_orientation_is_stated(tmp_path: Path):
    image = nibabel.Nifti1Image(RNG.uniform(1, 2, (3, 4, 5)), np.eye(4))
    for name, sform, qform in (("both", 1, 1), ("sform", 2, 0), ("qform", 0, 1), ("neither", 0, 0)):
        image.set_sform(np.eye(4), sform)
        image.set_qform(np.eye(4), qform)
        nibabel.save(image, tmp_path / f"{name}.nii")
        assert open_volume(tmp_path / f"{name}.nii").stated == (name != "neither")


def test_the_step_of_scaled_integers_is_known(tmp_path: Path):
    values = np.pad(RNG.uniform(100, 200, (6, 6, 6)).astype(np.float32), 2, constant_values=-0.01)
    values[0, ::2] = 0.3  # rounded to neighbouring integers
    image = nibabel.Nifti1Image(values, np.eye(4))
    image.header.set_data_dtype(np.int16)
    image.header.set_slope_inter(0.5, 7)
    nibabel.save(image, tmp_path / "x.nii")
    cleared, fact = open_volume(tmp_path / "x.nii").values()
    assert fact == OFFSET
    np.testing.assert_array_equal(cleared != 0, values > 50)


def test_other_types_are_refused(tmp_path: Path):
    assert refused(write(tmp_path / "x.nii", np.ones((3, 3, 3), np.complex64))).startswith(
        "holds values of type comp"
    )
    colour = np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert refused(write(tmp_path / "y.nii", colour)).startswith("holds values of type ")


def test_useless_values_are_refused(tmp_path: Path):
    values = np.ones((3, 3, 3), np.float32)
    assert refused(write(tmp_path / "zero.nii.gz", 0 * values)) == "is 0 everywhere"
    for name, value in (("nan", np.nan), ("infinite", np.inf)):
        values[1, 1, 1] = value
        assert refused(write(tmp_path / f"{name}.nii.gz", values)).startswith("holds values that are NaN or infinite")


def test_an_affine_without_inverse_is_refused(tmp_path: Path):
    image = nibabel.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
    for name, entry in (("zero", 0.0), ("nan", np.nan)):
        image.header["srow_x"][0] = entry
        image.header["sform_code"], image.header["qform_code"] = 1, 0
        content = bytearray(image.header.binaryblock + b"\0" * 4 + np.ones(27, np.float32).tobytes())
        content[108:112], content[344:348] = np.float32(352).tobytes(), b"n+1\0"
        (tmp_path / f"{name}.nii").write_bytes(content)
        assert refused(tmp_path / f"{name}.nii").startswith("its affine matrix has no inverse")


def test_distance_between_the_corners_of_grids():
    affine = np.diag([2.0, 2, 2, 1])
    moved, scaled = affine.copy(), affine.copy()
    moved[0, 3] = 1
    scaled[2, 2] = 2.2
    grid = Grid((11, 11, 11), affine)
    assert grid.distance(grid) == 0
    assert grid.distance(Grid(grid.shape, moved)) == pytest.approx(0.5)
    assert grid.distance(Grid(grid.shape, scaled)) == pytest.approx(1.0)
