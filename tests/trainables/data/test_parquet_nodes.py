from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from trainables.data import parquet_columns
from trainables.data.errors import DataError
from trainables.data.grids import read_grids

Write = Callable[..., str]


def refused(source: str) -> list[str]:
    with pytest.raises(DataError) as error:
        read_grids(source)
    assert error.value.source == source
    return error.value.problems


def rows(table: pa.Table, sample: int, row: int, col: int) -> np.ndarray:
    """True where the table holds that node."""
    places = zip(*(table[name].to_pylist() for name in ("sample", "row", "col")), strict=True)
    return np.array([place == (sample, row, col) for place in places])


def replaced(table: pa.Table, name: str, column: object) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


def test_rows_in_any_order(x_NRCD: np.ndarray, node_table: pa.Table, parquet: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet_columns, "ROWS_PER_BATCH", 7)
    samples = read_grids(parquet(node_table))
    np.testing.assert_array_equal(samples.x, x_NRCD)
    assert samples.labels == ["class 0", "class 1", "class 2"] * 4
    assert samples.name(2) == "sample 106"
    sorted_file = parquet(node_table.sort_by([("col", "descending"), ("row", "ascending")]), "sorted.parquet")
    np.testing.assert_array_equal(read_grids(sorted_file).x, x_NRCD)


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float16())])
def test_kinds_of_lists(x_NRCD: np.ndarray, node_table: pa.Table, parquet: Write, kind: pa.DataType):
    lists = pa.array(
        [[kind.value_type.to_pandas_dtype()(v) for v in row] for row in node_table["emb"].to_pylist()], kind
    )
    expected = x_NRCD.astype(kind.value_type.to_pandas_dtype()).astype(np.float32)
    np.testing.assert_array_equal(read_grids(parquet(replaced(node_table, "emb", lists))).x, expected)


def test_samples_by_name_rows_from_one_no_label(x_NRCD: np.ndarray, node_table: pa.Table, parquet: Write):
    table = node_table.drop_columns(["label", "source"])
    table = replaced(table, "sample", pa.array([f"slide-{value}" for value in table["sample"].to_pylist()]))
    table = replaced(table, "row", pa.array(np.asarray(table["row"], np.uint8) + np.uint8(1)))
    samples = read_grids(parquet(table))
    np.testing.assert_array_equal(samples.x, x_NRCD)
    assert samples.labels is None
    assert samples.name(0) == "sample slide-100"


def test_missing_duplicate_and_outside_nodes_are_all_named(node_table: pa.Table, parquet: Write):
    table = node_table.filter(~rows(node_table, 103, 1, 2) & ~rows(node_table, 112, 0, 1))
    double = table.filter(rows(table, 106, 0, 2))
    outside = replaced(double, "row", pa.array([7]))
    missing, duplicate, beyond = refused(parquet(pa.concat_tables([table, double, outside])))
    grid = "expected 2 × 3 nodes in each sample, as most samples have"
    assert missing == f"2 nodes are missing: sample 103, row 1, col 2; sample 112, row 0, col 1; {grid}"
    assert duplicate == "1 nodes are duplicate: sample 106, row 0, col 2; keep one row of each"
    assert beyond == f"1 nodes lie outside the grid: sample 106, row 7, col 2; {grid}"


def test_long_lists_of_nodes_are_cut(node_table: pa.Table, parquet: Write):
    table = node_table.filter(np.asarray(node_table["row"]) + 2 * (np.asarray(node_table["sample"]) > 105) != 1)
    (missing,) = refused(parquet(table))
    assert missing.startswith("6 nodes are missing: sample 100, row 1, col 0; ")
    assert "sample 103, row 1, col 1; …; expected 2 × 3 nodes" in missing


def test_coordinates_in_pixels_are_refused(node_table: pa.Table, parquet: Write):
    table = replaced(node_table, "row", pa.array(np.asarray(node_table["row"]) * 224))
    (problem,) = refused(parquet(table))
    assert problem.startswith("rows run from 0 to 224 and cols from 0 to 2, but a sample has 6 nodes; expected")


def test_embeddings_of_different_length(node_table: pa.Table, parquet: Write):
    lists = node_table["emb"].to_pylist()
    lists[50] = lists[50][:3]
    node = ", ".join(f"{name} {node_table[name][50]}" for name in ("sample", "row", "col"))
    source = parquet(replaced(node_table, "emb", pa.array(lists)))
    assert refused(source) == [f"{node}: column 'emb' holds 3 values; expected 4 values"]
    lists[50] = None
    source = parquet(replaced(node_table, "emb", pa.array(lists)))
    assert refused(source) == [f"{node}: column 'emb' holds null; expected 4 values"]


@pytest.mark.parametrize("row", [0, 50, 71])
def test_null_among_lists_of_a_fixed_size(node_table: pa.Table, parquet: Write, row: int):
    lists = node_table["emb"].to_pylist()
    lists[row] = None
    node = ", ".join(f"{name} {node_table[name][row]}" for name in ("sample", "row", "col"))
    source = parquet(replaced(node_table, "emb", pa.array(lists, pa.list_(pa.float32(), 4))))
    assert refused(source) == [f"{node}: column 'emb' holds null; expected 4 values"]


def test_length_that_changes_with_the_batch(node_table: pa.Table, parquet: Write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parquet_columns, "ROWS_PER_BATCH", 20)
    lists = [row if index < 20 else row[:3] for index, row in enumerate(node_table["emb"].to_pylist())]
    names = [", ".join(f"{name} {node_table[name][row]}" for name in ("sample", "row", "col")) for row in (0, 20)]
    (problem,) = refused(parquet(replaced(node_table, "emb", pa.array(lists))))
    assert problem == f"{names[1]}: column 'emb' holds 3 values; expected 4 as in {names[0]}"


def test_null_and_nan_values_are_named(x_NRCD: np.ndarray, node_table: pa.Table, parquet: Write):
    lists = node_table["emb"].to_pylist()
    row = int(rows(node_table, 109, 1, 0).argmax())
    lists[row][2] = None
    (problem,) = refused(parquet(replaced(node_table, "emb", pa.array(lists, pa.list_(pa.float32())))))
    assert problem.startswith("1 values are NaN or null")
    assert "the first is nan at sample 109, row 1, col 0, channel 2" in problem


def test_columns_missing_or_of_another_type(node_table: pa.Table, parquet: Write):
    table = replaced(node_table.drop_columns(["sample"]), "row", pa.array(["a"] * len(node_table)))
    missing, kind = refused(parquet(table))
    assert missing == "column 'sample' is missing, found source, row, col, label, emb; rename or add it"
    assert kind == "column 'row' is of type string; expected integers"
    nested = replaced(node_table, "sample", pa.array([[1]] * len(node_table)))
    assert refused(parquet(nested)) == ["column 'sample' is of type list<element: int64>; expected integers or text"]
    lists = replaced(node_table, "emb", pa.array([[row] for row in node_table["emb"].to_pylist()]))
    assert refused(parquet(lists)) == ["column 'emb' holds nested lists; expected one list of floats per node"]


def test_nulls_in_a_place(node_table: pa.Table, parquet: Write):
    col = pa.array([None, None, *node_table["col"].to_pylist()[2:]])
    problems = refused(parquet(replaced(node_table, "col", col)))
    assert problems == ["column 'col' is null in 2 rows; expected a value"]


def test_which_column_holds_the_embeddings(node_table: pa.Table, parquet: Write):
    (several,) = refused(parquet(node_table.append_column("umap", node_table["emb"])))
    assert several == "the columns emb, umap all hold lists of floats; keep one of them"
    (none,) = refused(parquet(node_table.drop_columns(["emb"])))
    assert none.startswith(
        "the columns are sample (int64), source (string), row (int64), col (int64), label (string);"
    )
    assert "expected one that holds lists of floats" in none


def test_no_rows(node_table: pa.Table, parquet: Write):
    assert refused(parquet(node_table.slice(0, 0))) == ["the file has no rows; expected one per node"]


def test_labels_that_differ_within_a_sample_are_left_out(node_table: pa.Table, parquet: Write):
    labels = node_table["label"].to_pylist()
    labels[int(rows(node_table, 109, 1, 1).argmax())] = "another"
    samples = read_grids(parquet(replaced(node_table, "label", pa.array(labels))))
    assert samples.labels is None
    assert samples.notes == ("labels are left out: they differ within a sample (first in sample 109)",)
