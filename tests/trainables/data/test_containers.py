"""Files made by h5py, zarr and anndata are read; what is in them that cannot be x is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.data import containers
from trainables.data.cache import prepare
from trainables.data.errors import DataError
from trainables.data.store import Dataset
from trainables.data.user import UserReader

READER = UserReader("mine", None, "")
RNG = np.random.default_rng(0)
X = RNG.random((30, 4, 5))
Y = [f"kind {place % 3}" for place in range(30)]


def hdf5(path: Path, **arrays: Any) -> Path:
    h5py = pytest.importorskip("h5py", reason="pip install 'vae-sweeps[hdf5]'")
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name.replace("_in_", "/"), data=values)
    return path


def zarr_store(path: Path, **arrays: Any) -> Path:
    zarr = pytest.importorskip("zarr", reason="pip install 'vae-sweeps[zarr]'")
    group = zarr.create_group(path)
    for name, values in arrays.items():
        group.create_array(name.replace("_in_", "/"), data=np.asarray(values), chunks="auto")
    return path


def prepared(path: Path, **settings: Any) -> Dataset:
    return prepare(READER, str(path), path.parent / "cache", settings)


@pytest.mark.parametrize(("make", "name"), [(hdf5, "a.h5"), (hdf5, "a.hdf5"), (zarr_store, "a.zarr")])
def test_x_and_its_labels(make, name: str, tmp_path: Path) -> None:
    labels = np.arange(30) % 3
    dataset = prepared(make(tmp_path / name, x=X, y=labels, other=np.zeros(3)))
    np.testing.assert_array_equal(dataset.read(np.arange(30)), X.astype(np.float32))
    assert dataset.labels == [str(label) for label in labels]
    index = np.array([7, 3, 7, 29])
    rows = containers.read(tmp_path / name, None).x
    np.testing.assert_array_equal(rows[index], X[index].astype(np.float32))


@pytest.mark.parametrize(("make", "name"), [(hdf5, "a.h5"), (zarr_store, "a.zarr")])
def test_the_only_array_whatever_its_name_and_bytes_as_pixels(make, name: str, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (20, 8, 8), np.uint8)
    dataset = prepared(make(tmp_path / name, scans_in_images=pixels))
    np.testing.assert_allclose(dataset.read(np.arange(20)), pixels / np.float32(255))


@pytest.mark.parametrize(("make", "name"), [(hdf5, "a.h5"), (zarr_store, "a.zarr")])
def test_several_arrays_without_x_are_listed(make, name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds left, right; expected x, and y for labels, or one array alone"):
        prepared(make(tmp_path / name, left=X, right=X))
    with pytest.raises(DataError, match=r"x has values of type .* and shape \(30,\); expected numbers"):
        prepared(make(tmp_path / f"b{name}", x=np.zeros(30)))


@pytest.mark.parametrize("name", ["a.h5", "a.zarr", "a.h5ad"])
def test_what_is_no_such_file_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read: ") as refused:
        prepared(tmp_path / name)
    assert len(refused.value.problems) == 1


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(path: Path) -> dict[str, Any]:
        raise ImportError("No module named 'h5py'", name="h5py")

    monkeypatch.setattr(containers, "ARRAYS", {".h5": absent})
    (tmp_path / "a.h5").touch()
    with pytest.raises(DataError, match=r"h5py is needed to read it: pip install 'vae-sweeps\[hdf5\]'"):
        prepared(tmp_path / "a.h5")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("sparse", [True, False])
def test_counts_of_anndata_with_their_obs_as_fields(sparse: bool, tmp_path: Path) -> None:
    anndata = pytest.importorskip("anndata", reason="pip install 'vae-sweeps[h5ad]'")
    from scipy.sparse import csr_matrix

    counts = RNG.poisson(1.0, (40, 100)).astype(np.float32)
    data = anndata.AnnData(csr_matrix(counts) if sparse else counts)
    data.obs["batch"] = ["lab a", "lab b"] * 20
    data.obs["size"] = counts.sum(axis=1)
    data.obs["cell_type"] = [f"type {place % 4}" for place in range(40)]
    data.obs["patient"] = [f"p{place // 5}" for place in range(40)]
    data.obs["n genes"] = 3
    data.obs["gaps"] = [np.nan, *range(39)]
    data.write_h5ad(tmp_path / "cells.h5ad")
    dataset = prepared(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(dataset.read(np.arange(40)), counts)
    assert dataset.labels == data.obs["cell_type"].tolist()
    assert set(dataset.fields) == {"batch", "size", "cell_type", "patient"}
    assert dataset.statistics["batch"].tolist() == ["lab a", "lab b"]
    np.testing.assert_allclose(dataset.fields["size"][np.arange(40)], counts.sum(axis=1))
    assert dataset.grouping == "Split by 8 groups, from the column patient."
    assert any("are left out: n genes, gaps" in note for note in dataset.notes)
    assert prepared(tmp_path / "cells.h5ad", group="cell_type").grouping.endswith("from the column cell_type.")
