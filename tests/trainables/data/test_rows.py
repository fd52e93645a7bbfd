"""Rows that are never whole in memory give what the whole would have given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from trainables.data import blocks
from trainables.data.rows import LazyRows, converted, dense, moments, release, scratch

X = np.random.default_rng(0).standard_normal((50, 2, 3)) * 100


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", 40)


def test_what_is_right_already_stays_and_all_else_is_converted_where_it_is_read():
    right = X.astype(np.float32)
    assert converted(right, np.float32) is right
    rows = converted(X, np.float32)
    assert isinstance(rows, LazyRows)
    assert (rows.shape, rows.dtype, len(rows)) == ((50, 2, 3), np.float32, 50)
    for index in (slice(3, 9), np.array([7, 0, 7])):
        np.testing.assert_array_equal(rows[index], right[index])
    np.testing.assert_array_equal(rows, right)
    assert np.isinf(converted(np.full((2, 2), 1e300), np.float32)[:]).all()


@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_mapped_file_gives_its_values_however_often_it_is_let_go_of(mode: str, tmp_path: Path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
    if mode == "c":
        mapped[3] = 7  # in memory alone: letting go would lose it
    expected = np.array(mapped)
    rows = converted(mapped[10:], np.float64) if mode == "r" else converted(mapped, np.float64)
    for _ in range(2):
        np.testing.assert_array_equal(rows[2:5], expected[10:][2:5] if mode == "r" else expected[2:5])


def test_what_is_written_to_a_temporary_file_is_kept_when_it_is_let_go_of():
    array = scratch((100, 4096), np.float32)
    array[:] = np.arange(100, dtype=np.float32)[:, None]
    release(array)
    np.testing.assert_array_equal(array[:, 17], np.arange(100))


def test_sparse_rows_are_made_dense():
    counts = np.random.default_rng(1).poisson(0.2, (50, 7))
    for matrix in (sparse.csr_array(counts), sparse.csc_matrix(counts), sparse.coo_array(counts)):
        rows = dense(matrix)
        assert rows[:2].dtype == np.float32
        np.testing.assert_array_equal(rows[5:9], counts[5:9])
        np.testing.assert_array_equal(rows[np.array([4, 1])], counts[[4, 1]])
        np.testing.assert_array_equal(rows.chosen(np.array([9, 3, 8]))[1:], counts[[3, 8]])


def test_moments_are_those_of_the_whole():
    index = np.random.default_rng(2).permutation(50)[:31]
    for x in (X, X.astype(np.float32), (X * 10).astype(np.int64).astype(np.uint8)):
        mean, std = moments(converted(x, x.dtype), index)
        np.testing.assert_allclose(mean, x[index].mean(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(std, x[index].std(axis=0, dtype=np.float64), rtol=1e-12)


def test_moments_keep_their_digits_far_from_zero():
    x = 1e6 + np.random.default_rng(3).standard_normal((50, 1))
    np.testing.assert_allclose(moments(x, np.arange(50))[1], x.std(axis=0), rtol=1e-9)
