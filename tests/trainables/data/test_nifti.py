from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis

from trainables.data.errors import DataError
from trainables.data.nifti import Grid, open_volume

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
    np.testing.assert_array_equal(volume.values(), values)
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
    np.testing.assert_array_equal(open_volume(write(tmp_path / "x.nii", values, affine)).values(), values[::-1])


def test_scaled_integers(tmp_path: Path):
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "x.nii")
    values = open_volume(tmp_path / "x.nii").values()
    expected = nibabel.load(tmp_path / "x.nii").get_fdata()
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected)


def test_one_volume_in_four_axes_is_squeezed(tmp_path: Path):
    values = RNG.uniform(1, 2, (3, 4, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(open_volume(write(tmp_path / "x.nii", values)).values(), values[..., 0])


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (3, 4), (3, 4, 1), (3, 4, 5, 1, 3)])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]):
    path = write(tmp_path / "x.nii", np.ones(shape, np.float32))
    assert refused(path) == f"holds {' × '.join(map(str, shape))} values; expected one volume, of 3 axes"


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
