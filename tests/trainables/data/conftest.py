"""Small grids and the files that hold them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def x_NRCD() -> np.ndarray:
    """12 samples of 2 × 3 × 4."""
    return np.random.default_rng(0).normal(2.0, 3.0, (12, 2, 3, 4)).astype(np.float32)


@pytest.fixture
def node_table(x_NRCD: np.ndarray) -> pa.Table:
    """A row per node; samples are called 100, 103, 106, …, in shuffled order."""
    count, rows, cols, channels = x_NRCD.shape
    sample, row, col = (index.ravel() for index in np.indices((count, rows, cols)))
    table = pa.table(
        {
            "sample": 100 + 3 * sample,
            "source": ["scanner"] * len(sample),
            "row": row,
            "col": col,
            "label": [f"class {index % 3}" for index in sample],
            "emb": pa.FixedSizeListArray.from_arrays(pa.array(x_NRCD.ravel()), channels),
        }
    )
    return table.take(np.random.default_rng(1).permutation(len(sample)))


@pytest.fixture
def parquet(tmp_path: Path):
    """Write a table, get the path."""

    def write(table: pa.Table, name: str = "grids.parquet") -> str:
        pq.write_table(table, tmp_path / name, row_group_size=20)
        return str(tmp_path / name)

    return write
