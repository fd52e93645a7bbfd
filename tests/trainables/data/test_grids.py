from pathlib import Path

import numpy as np
import pytest

from trainables.data.errors import DataError
from trainables.data.grids import ACCEPTED, GridReader, read_grids

IMC = Path(__file__).parents[3].parent / "shared" / "data" / "imc" / "embeddings.parquet"


def refused(source: str) -> str:
    with pytest.raises(DataError) as error:
        read_grids(source)
    (problem,) = error.value.problems
    return problem


def test_an_unknown_name_lists_what_is_known(tmp_path: Path):
    assert refused("digitz") == f"no such file, and no data set of that name; {ACCEPTED}"
    assert refused(str(tmp_path)) == f"a folder, expected a file; {ACCEPTED}"
    (tmp_path / "grids.csv").write_text("1,2")
    assert refused(str(tmp_path / "grids.csv")) == f"files ending in '.csv' are not read; {ACCEPTED}"
    for part in ("digits", ".parquet", ".npy", ".npz", "sample, row, col", "idx3-ubyte"):
        assert part in ACCEPTED


@pytest.mark.parametrize("name", ["grids.npy", "grids.npz", "grids.parquet"])
def test_an_empty_file(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    assert refused(str(tmp_path / name)) == "the file is empty (0 bytes); write it again"


def test_the_reader_knows_its_data():
    samples = GridReader.read("digits", {})
    statistics = GridReader.statistics(samples, np.arange(100))
    assert statistics["channel_mean"].shape == samples.x.shape[-1:]
    assert GridReader.embedded({}).x.shape[1:] == (6, 6, 512)
    assert GridReader.named == ("digits",)


@pytest.mark.skipif(not IMC.exists(), reason=f"{IMC} is absent")
def test_real_embeddings():
    samples = read_grids(str(IMC))
    assert samples.x.shape == (72, 6, 6, 512)
    assert len(set(samples.labels)) == 6
    assert samples.notes == ("4 of 512 channels are constant; they become 0",)
    statistics = GridReader.statistics(samples, np.arange(58))
    assert 1e-5 < statistics["std_floor"] < 1e-2
