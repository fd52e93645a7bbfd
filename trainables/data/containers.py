"""Files of arrays other than NumPy's, for models of the user's: HDF5, Zarr, and AnnData's H5AD.

Of HDF5 and Zarr: the array `x`, with `y` for labels, or the only array there is; samples are read a few at a time. Of
H5AD: X, with the columns of `obs` as fields that a model may read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.errors import DataError, first_line
from trainables.data.fields import is_field
from trainables.data.parquet_columns import group_column
from trainables.data.rows import Index, LazyRows, converted, dense
from trainables.data.samples import Samples

LABELS = ("label", "cell_type")  # columns of obs, the first that is there


def _hdf5(path: Path) -> dict[str, Any]:
    import h5py

    found: dict[str, Any] = {}
    file = h5py.File(path)  # open as long as its arrays are
    file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def _zarr(path: Path) -> dict[str, Any]:
    import zarr

    there = zarr.open(path, mode="r")
    if isinstance(there, zarr.Array):
        return {path.stem: there}
    return {name: item for name, item in there.members(max_depth=None) if isinstance(item, zarr.Array)}


ARRAYS: Mapping[str, Callable[[Path], dict[str, Any]]] = {".h5": _hdf5, ".hdf5": _hdf5, ".zarr": _zarr}
TABLE = ".h5ad"
SUFFIXES = (*ARRAYS, TABLE)
_EXTRAS = {".h5": "hdf5", ".hdf5": "hdf5", ".zarr": "zarr", TABLE: "h5ad"}


def read(path: Path, group: str | None) -> Samples:
    """The samples of a file whose suffix is one of `SUFFIXES`; `group` may name a column of `obs`.

    Raises:
        DataError: it cannot be read, holds no array that could be x, or its library is missing.
    """
    try:
        return _table(path, group) if path.suffix == TABLE else _arrays(path, ARRAYS[path.suffix](path))
    except ImportError as error:
        cure = f"pip install 'vae-sweeps[{_EXTRAS[path.suffix]}]'"
        raise DataError(str(path), [f"{error.name} is needed to read it: {cure}"]) from error
    except DataError:
        raise
    except Exception as error:  # each library has errors of its own
        problem = f"cannot be read: {type(error).__name__}: {first_line(error)}"
        raise DataError(str(path), [problem]) from error


def _arrays(path: Path, arrays: Mapping[str, Any]) -> Samples:
    name = "x" if "x" in arrays else next(iter(arrays), "") if len(arrays) == 1 else ""
    if not name:
        held = ", ".join(sorted(arrays)) or "no array"
        raise DataError(str(path), [f"holds {held}; expected x, and y for labels, or one array alone"])
    x, labels = arrays[name], np.asarray(arrays["y"][:]).tolist() if "y" in arrays else None
    if x.ndim < 2 or x.dtype.kind not in "fiub":
        problem = f"{name} has values of type {x.dtype} and shape {x.shape}; expected numbers, (samples, …)"
        raise DataError(str(path), [problem])

    def rows(index: Index) -> np.ndarray:
        if isinstance(index, slice):
            return np.asarray(x[index])
        places, back = np.unique(index, return_inverse=True)  # what these libraries take
        return np.asarray(x[places] if hasattr(x, "id") else x.oindex[places])[back]

    dtype = np.dtype(np.uint8 if x.dtype == np.uint8 else np.float32)
    return Samples(converted(LazyRows(rows, x.shape, x.dtype), dtype), str(path), labels)


def _table(path: Path, group: str | None) -> Samples:
    import anndata
    from scipy.sparse import issparse

    data = anndata.read_h5ad(path)
    if data.X is None:
        raise DataError(str(path), ["X is empty; expected samples × variables"])
    obs = data.obs
    by = group_column(obs.columns, group)
    label = next((name for name in LABELS if name in obs), None)
    usable = [name for name in obs if is_field(name) and not obs[name].isna().any()]
    left = [str(name) for name in obs if name not in usable and name != label]
    gaps = "columns of obs with gaps, or names that no parameter may have, are left out"
    return Samples(
        dense(data.X) if issparse(data.X) else np.asarray(data.X, np.float32),
        str(path),
        labels=None if label is None else obs[label].astype(str).tolist(),
        ids=obs.index.astype(str).tolist(),
        notes=(f"{gaps}: {', '.join(left)}",) if left else (),
        fields={name: _values(obs[name]) for name in usable},
        groups=None if by is None else obs[by].astype(str).tolist(),
        grouped_by="" if by is None else f"the column {by}",
    )


def _values(column: Any) -> np.ndarray:
    numeric = column.dtype.kind in "fiub" if isinstance(column.dtype, np.dtype) else False
    return np.asarray(column) if numeric else np.asarray(column.astype(str), np.str_)
