import pickle
from pathlib import Path

import numpy as np
import pytest

from trainables.data.arrays import CHANNELS_FIRST
from trainables.data.errors import DataError
from trainables.data.grids import read_grids


def refused(source: Path) -> str:
    with pytest.raises(DataError) as error:
        read_grids(str(source))
    assert error.value.source == str(source)
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(x_NRCD: np.ndarray, tmp_path: Path, dtype: str, order: str):
    np.save(tmp_path / "grids.npy", np.asarray(x_NRCD, dtype=dtype, order=order))
    samples = read_grids(str(tmp_path / "grids.npy"))
    np.testing.assert_array_equal(samples.x, x_NRCD.astype(dtype).astype(np.float32))
    assert samples.x.dtype.type is np.float32
    assert (samples.labels, samples.source) == (None, str(tmp_path / "grids.npy"))


def test_integers(tmp_path: Path):
    x = np.random.default_rng(0).integers(0, 256, (10, 2, 2, 3)).astype(np.uint8)
    np.save(tmp_path / "grids.npy", x)
    np.testing.assert_array_equal(read_grids(str(tmp_path / "grids.npy")).x, x)


def test_positions_of_a_square_grid(x_NRCD: np.ndarray, tmp_path: Path):
    np.save(tmp_path / "grids.npy", x_NRCD[:, :, :2].reshape(12, 4, 4))
    np.testing.assert_array_equal(read_grids(str(tmp_path / "grids.npy")).x, x_NRCD[:, :, :2])


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (
            (12, 6, 4),
            r"shape (12, 6, 4): 6 positions are not a square grid; expected (samples, rows, cols, channels)",
        ),
        ((12, 24), r"shape (12, 24); expected (samples, rows, cols, channels), or (samples, positions, channels)"),
        ((2, 6, 2, 3, 4), r"shape (2, 6, 2, 3, 4); expected (samples, rows"),
    ],
)
def test_other_shapes_are_refused(x_NRCD: np.ndarray, tmp_path: Path, shape: tuple[int, ...], problem: str):
    np.save(tmp_path / "grids.npy", x_NRCD.reshape(shape))
    assert refused(tmp_path / "grids.npy").startswith(problem)


@pytest.mark.parametrize("shape", [(12, 8, 3, 3), (12, 512, 6, 7), (12, 4, 6, 6)])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_channels_that_may_come_first_are_asked_about_and_the_cure_cures(
    tmp_path: Path, shape: tuple[int, ...], suffix: str
):
    path, x = tmp_path / f"grids.{suffix}", np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def save(values: np.ndarray) -> None:
        np.save(path, values) if suffix == "npy" else np.savez(path, x=values)

    save(x)
    assert refused(path) == f"shape {shape}: {CHANNELS_FIRST}"
    save(np.moveaxis(x, 1, -1))
    np.testing.assert_array_equal(read_grids(str(path)).x, np.moveaxis(x, 1, -1))


@pytest.mark.parametrize("shape", [(12, 6, 6, 512), (12, 6, 6, 6), (12, 2, 3, 4), (12, 20, 30, 8), (12, 3, 3, 2)])
def test_shapes_that_are_plain(tmp_path: Path, shape: tuple[int, ...]):
    np.save(tmp_path / "grids.npy", np.random.default_rng(0).normal(size=shape).astype(np.float32))
    assert read_grids(str(tmp_path / "grids.npy")).x.shape == shape


def test_beyond_float32(x_NRCD: np.ndarray, tmp_path: Path):
    x = x_NRCD.astype(np.float64)
    x[2, 1, 1, 0] = 1e39
    np.save(tmp_path / "grids.npy", x)
    problem = refused(tmp_path / "grids.npy")
    assert problem.startswith("0 values are NaN or null and 1 are infinite or beyond float32")
    assert "sample 2, row 1, col 1, channel 0" in problem


@pytest.mark.parametrize("values", [np.array(["a"] * 10), np.ones(10, complex), np.ones(10, bool)])
def test_other_types_are_refused(tmp_path: Path, values: np.ndarray):
    np.save(tmp_path / "grids.npy", values)
    assert refused(tmp_path / "grids.npy") == f"values of type {values.dtype}; expected real numbers"


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_nothing_is_unpickled(x_NRCD: np.ndarray, tmp_path: Path):
    sprung = tmp_path / "sprung"
    trap = np.array([Trap(sprung)], dtype=object)
    np.save(tmp_path / "trap.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "trap.npz", x=x_NRCD, y=trap)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Trap(sprung)))
    for name in ("trap.npy", "trap.npz"):
        assert refused(tmp_path / name).startswith("holds Python objects, which are not unpickled")
    assert refused(tmp_path / "pickle.npy").startswith("cannot be read as .npy (")
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["grids.npy", "grids.npz"])
@pytest.mark.parametrize("keep", [5, 300, -1])
def test_truncated(x_NRCD: np.ndarray, tmp_path: Path, name: str, keep: int):
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, x_NRCD)
    else:
        np.savez_compressed(path, x=x_NRCD)
    path.write_bytes(path.read_bytes()[:keep])
    assert refused(path).startswith(f"cannot be read as {path.suffix} (")


def test_damaged_archive(x_NRCD: np.ndarray, tmp_path: Path):
    path = tmp_path / "grids.npz"
    np.savez_compressed(path, x=x_NRCD)
    content = bytearray(path.read_bytes())
    content[300:500] = bytes(200)
    path.write_bytes(content)
    assert refused(path).startswith("cannot be read as .npz (")


@pytest.mark.parametrize("name", ["grids.npy", "grids.npz"])
def test_any_damage_to_the_header_is_refused_or_harmless(x_NRCD: np.ndarray, tmp_path: Path, name: str):
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, x_NRCD)
    else:
        np.savez(path, x=x_NRCD)
    whole = path.read_bytes()
    outcomes = set()
    for place in [*range(130), *range(len(whole) - 130, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        try:
            read_grids(str(path))
            outcomes.add("read")
        except DataError:
            outcomes.add("refused")
    assert "refused" in outcomes


@pytest.mark.parametrize("key", ["x", "embeddings", "anything"])
@pytest.mark.parametrize("label", ["y", "label", "labels"])
def test_npz(x_NRCD: np.ndarray, tmp_path: Path, key: str, label: str):
    np.savez(tmp_path / "grids.npz", **{key: x_NRCD, label: np.arange(12) % 3})
    samples = read_grids(str(tmp_path / "grids.npz"))
    np.testing.assert_array_equal(samples.x, x_NRCD)
    assert samples.labels == ["0", "1", "2"] * 4


def test_npz_with_several_arrays(x_NRCD: np.ndarray, tmp_path: Path):
    np.savez(tmp_path / "grids.npz", x=x_NRCD, weights=np.ones(3))
    np.testing.assert_array_equal(read_grids(str(tmp_path / "grids.npz")).x, x_NRCD)
    np.savez(tmp_path / "grids.npz", a=x_NRCD, b=x_NRCD)
    expected = "holds a float32[12, 2, 3, 4], b float32[12, 2, 3, 4]; expected one array of floats, or the samples"
    assert refused(tmp_path / "grids.npz").startswith(expected)
    np.savez(tmp_path / "grids.npz", y=np.arange(3))
    assert refused(tmp_path / "grids.npz").startswith("holds y int64[3]; expected one array of floats")


def test_labels_of_another_length_are_refused(x_NRCD: np.ndarray, tmp_path: Path):
    np.savez(tmp_path / "grids.npz", x=x_NRCD, y=np.arange(11))
    assert refused(tmp_path / "grids.npz") == "labels of shape (11,); expected (12,), one a sample"


def test_the_suffix_must_fit_the_content(x_NRCD: np.ndarray, tmp_path: Path):
    np.save(tmp_path / "single.npy", x_NRCD)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    assert refused(tmp_path / "single.npz").startswith("cannot be read as .npz (File is not a zip file)")
    np.savez(tmp_path / "archive.npz", x=x_NRCD)
    (tmp_path / "archive.npz").rename(tmp_path / "archive.npy")
    assert refused(tmp_path / "archive.npy").startswith("cannot be read as .npy (the magic string is not correct")
