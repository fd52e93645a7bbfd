from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trainables.data import parquet_columns
from trainables.data.arrays import CHANNELS_FIRST
from trainables.data.errors import DataError
from trainables.data.grids import read_grids

Write = Callable[..., str]


def refused(source: str) -> str:
    with pytest.raises(DataError) as error:
        read_grids(source)
    assert error.value.source == source
    (problem,) = error.value.problems
    return problem


@pytest.fixture
def flat(x_NRCD: np.ndarray) -> pa.Table:
    return pa.table({"emb": x_NRCD.reshape(12, -1).tolist(), "label": list("abc" * 4)})


def test_nested_lists_give_the_shape(x_NRCD: np.ndarray, parquet: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet_columns, "ROWS_PER_BATCH", 5)
    samples = read_grids(
        parquet(pa.table({"id": range(12), "x": x_NRCD.tolist(), "label": [None, *"bc", *"abc" * 3]}))
    )
    np.testing.assert_array_equal(samples.x, x_NRCD)
    assert samples.labels == ["", "b", "c", *"abc" * 3]


def test_nested_lists_of_positions(x_NRCD: np.ndarray, parquet: Write):
    square = x_NRCD[:, :, :2]
    samples = read_grids(parquet(pa.table({"x": square.reshape(12, 4, 4).tolist()})))
    np.testing.assert_array_equal(samples.x, square)
    assert samples.labels is None
    assert refused(parquet(pa.table({"x": x_NRCD.reshape(12, 6, 4).tolist()}))).startswith(
        "shape (12, 6, 4): 6 positions are not a square grid"
    )


def test_flat_lists_of_the_documented_length(parquet: Write):
    x = np.random.default_rng(0).standard_normal((10, 6, 6, 512), np.float32)
    table = pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 18432)})
    np.testing.assert_array_equal(read_grids(parquet(table)).x, x)


@pytest.mark.parametrize("text", ["2,3,4", "[2, 3, 4]"])
def test_flat_lists_with_the_shape_in_the_metadata(x_NRCD: np.ndarray, flat: pa.Table, parquet: Write, text: str):
    of_file = flat.replace_schema_metadata({"shape": text})
    np.testing.assert_array_equal(read_grids(parquet(of_file)).x, x_NRCD)
    of_column = flat.cast(
        pa.schema([flat.schema.field("emb").with_metadata({"shape": text}), flat.schema.field("label")])
    )
    np.testing.assert_array_equal(read_grids(parquet(of_column)).x, x_NRCD)


def test_flat_lists_of_unknown_shape(flat: pa.Table, parquet: Write):
    problem = refused(parquet(flat))
    assert problem.startswith(
        "column 'emb' holds flat lists of 24 values and the grid's shape is unknown; nest the lists"
    )
    assert 'table.replace_schema_metadata({"shape": "4,4,4"})' in problem


@pytest.mark.parametrize("text", ["2,3,5", "two,3,4", "", "2,3,-4"])
def test_a_shape_that_does_not_fit(flat: pa.Table, parquet: Write, text: str):
    problem = refused(parquet(flat.replace_schema_metadata({"shape": text})))
    assert problem.startswith(f"metadata 'shape' is {text!r}, column 'emb' holds lists of 24 values; expected")


def test_rows_that_differ(x_NRCD: np.ndarray, parquet: Write, monkeypatch: pytest.MonkeyPatch):
    lists = x_NRCD.tolist()
    lists[7][1][2] = lists[7][1][2][:3]
    assert refused(parquet(pa.table({"x": lists}))) == "sample 7: column 'x' holds 3 values; expected 4 values"
    lists[7] = None
    assert refused(parquet(pa.table({"x": lists}))) == "sample 7: column 'x' holds null; expected 2 values"
    monkeypatch.setattr(parquet_columns, "ROWS_PER_BATCH", 6)
    lists = [sample if index < 6 else sample[:1] for index, sample in enumerate(x_NRCD.tolist())]
    problem = "sample 6: column 'x' holds values of shape (1, 3, 4); expected (2, 3, 4) as in sample 0"
    assert refused(parquet(pa.table({"x": lists}))) == problem


def test_null_among_lists_of_a_fixed_size(flat: pa.Table, parquet: Write):
    lists = flat["emb"].to_pylist()
    lists[7] = None
    table = pa.table({"emb": pa.array(lists, pa.list_(pa.float32(), 24))})
    assert refused(parquet(table)) == "sample 7: column 'emb' holds null; expected 24 values"


def test_nested_lists_with_channels_first_are_asked_about(parquet: Write):
    x = np.random.default_rng(0).normal(size=(12, 4, 3, 3))
    assert refused(parquet(pa.table({"x": x.tolist()}))) == f"shape (12, 4, 3, 3): {CHANNELS_FIRST}"
    stated = pa.table({"x": x.reshape(12, -1).tolist()}).replace_schema_metadata({"shape": "4,3,3"})
    np.testing.assert_allclose(read_grids(parquet(stated)).x, x, rtol=1e-6)


def test_no_rows(flat: pa.Table, parquet: Write):
    assert refused(parquet(flat.slice(0, 0))) == "the file has no rows; expected one per sample"


@pytest.mark.parametrize("keep", [3, 200, -1])
def test_truncated(flat: pa.Table, parquet: Write, keep: int):
    path = Path(parquet(flat))
    path.write_bytes(path.read_bytes()[:keep])
    problem = refused(str(path))
    assert problem.startswith("cannot be read as Parquet (")
    assert problem.endswith("it may be cut short or damaged: write it again")
