import numpy as np
import pytest

from trainables.data.checks import checked_grids
from trainables.data.errors import DataError
from trainables.data.samples import Samples


def refused(x_NRCD: np.ndarray, **fields: object) -> list[str]:
    with pytest.raises(DataError) as error:
        checked_grids(Samples(x_NRCD, "grids.npy", **fields))
    assert error.value.source == "grids.npy"
    return error.value.problems


def test_good_samples_pass_as_they_are(x_NRCD: np.ndarray):
    samples = checked_grids(Samples(x_NRCD, "grids.npy"))
    assert samples.x is x_NRCD
    assert samples.notes == ()


def test_not_finite(x_NRCD: np.ndarray):
    x_NRCD[7, 1, 2, 3] = np.nan
    x_NRCD[5, 1, 0, 2] = -np.inf
    x_NRCD[9, 0, 0, 0] = np.nan
    (problem,) = refused(x_NRCD, ids=range(100, 112))
    assert problem.startswith("2 values are NaN or null and 1 are infinite or beyond float32 (±3.4e38), of 288;")
    assert "the first is -inf at sample 105, row 1, col 0, channel 2 (counted from 0)" in problem


def test_all_problems_at_once(x_NRCD: np.ndarray):
    x_NRCD[3, 0, 0, 0] = np.inf
    few, not_finite = refused(x_NRCD[:9])
    assert few == "9 samples; at least 10 are needed, to train, to validate and to test"
    assert not_finite.startswith("0 values are NaN or null and 1 are infinite")
    few, shape = refused(x_NRCD[:4, :1])
    assert few.startswith("4 samples")
    assert shape == "samples of shape 1 × 3 × 4; expected a grid of at least 2 × 2 × 1"


def test_no_samples_and_no_channels(x_NRCD: np.ndarray):
    assert refused(x_NRCD[:0]) == ["0 samples; at least 10 are needed, to train, to validate and to test"]
    assert refused(x_NRCD[..., :0]) == ["samples of shape 2 × 3 × 0; expected a grid of at least 2 × 2 × 1"]


def test_nothing_varies(x_NRCD: np.ndarray):
    (problem,) = refused(np.full_like(x_NRCD, 2.5))
    assert problem == "all values of each channel are the same, 2.5 in the first; expected data that vary"


def test_identical_samples(x_NRCD: np.ndarray):
    (problem,) = refused(np.repeat(x_NRCD[:1], 12, axis=0))
    assert problem == "all 12 samples are identical; expected samples that differ"


def test_samples_without_spatial_variation(x_NRCD: np.ndarray):
    (problem,) = refused(np.broadcast_to(x_NRCD[:, :1, :1], x_NRCD.shape).copy())
    assert "one and the same embedding at all positions" in problem


def test_values_whose_squares_overflow(x_NRCD: np.ndarray):
    x_NRCD[0, 0, 0, 0] = -1e20
    (problem,) = refused(x_NRCD)
    assert problem.startswith("values as large as 1e+20; expected at most 1e+18")


def test_constant_channels_are_noted(x_NRCD: np.ndarray):
    x_NRCD[..., 1] = 5
    x_NRCD[..., 3] = 0
    samples = checked_grids(Samples(x_NRCD, "grids.npy", notes=("earlier",)))
    assert samples.notes == ("earlier", "2 of 4 channels are constant; they become 0")
