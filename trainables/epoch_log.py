"""The epoch log: every epoch of every trial, as a Parquet data set (`<sweep>/epochs/`).

One file per trial, rewritten whole (write, fsync, rename) by the worker after each epoch, so a reader sees
complete epochs only and the death of a worker or of the driver loses none of them. Columns:

    trial, epoch                 int32; epochs count from 1
    seed                         int32; of weights, data order and noise
    seconds                      float64; training and evaluation time of the trial so far
    verdict, verdict_detail      string; see `trainables.health`
    control                      bool; True for a condemned trial kept running to measure false stops
    config/<name>                the hyperparameter, in its own type
    best_epoch                   int32; the epoch whose numbers are the trial's: the best healthy one so far, by the
                                 metric that trials are ranked by, or this one where it looks sick
    train/… val/… health/… schedule/… time/… memory/…    float64
    latent/kl, latent/mu_var     list<float>; raw KL (nats) and variance of the mean of every latent dimension
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from trainables.files import EPOCHS, epochs_file, replace_file
from trainables.metrics import HYPERPARAMETERS, is_metric

_FIXED = {
    "trial": pa.int32(),
    "epoch": pa.int32(),
    "seed": pa.int32(),
    "seconds": pa.float64(),
    "verdict": pa.string(),
    "verdict_detail": pa.string(),
    "control": pa.bool_(),
    "best_epoch": pa.int32(),
}
_REQUIRED = ("trial", "epoch", "verdict")
BY_DIMENSION = "latent/"


class LogError(ValueError):
    """The epochs of a trial that cannot be read; the message names the file."""


def finite_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite metrics of a row."""
    return {
        name: float(value)
        for name, value in row.items()
        if is_metric(name) and isinstance(value, int | float) and math.isfinite(value)
    }


def best_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch whose numbers are those of the trial; the last where a log does not say."""
    best = rows[-1].get("best_epoch")
    return next((row for row in rows if row["epoch"] == best), rows[-1])


def write(sweep: Path, trial: int, config: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write all epochs of one trial, replacing what its file held before."""
    metrics = sorted({name for row in rows for name in row if name not in _FIXED})
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in _FIXED.items()}
    columns["trial"] = pa.array([trial] * len(rows), pa.int32())
    for name, value in sorted(config.items()):
        columns[f"{HYPERPARAMETERS}{name}"] = pa.array([value] * len(rows))
    for name in metrics:
        kind = pa.list_(pa.float32()) if name.startswith(BY_DIMENSION) else pa.float64()
        columns[name] = pa.array([row.get(name) for row in rows], kind)
    path = epochs_file(sweep, trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        pq.write_table(pa.table(columns), file)


def copy(source: Path, number: int, sweep: Path, trial: int) -> None:
    """Give `trial` of `sweep` the epochs of trial `number` of the sweep in folder `source`.

    Raises:
        LogError: they cannot be read.
    """
    log = read_file(epochs_file(source, number))
    place = log.column_names.index("trial")
    path = epochs_file(sweep, trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        pq.write_table(log.set_column(place, "trial", pa.array([trial] * len(log), pa.int32())), file)


def read_trial(sweep: Path, trial: int) -> list[dict[str, Any]]:
    """The epochs of one trial as rows, [] if it has none.

    Raises:
        LogError: they cannot be read.
    """
    path = epochs_file(sweep, trial)
    rows: list[dict[str, Any]] = read_file(path).to_pylist() if path.exists() else []
    return rows


def read_file(path: Path, leave_out: tuple[str, ...] = ()) -> pa.Table:
    """The epochs of one file, without the columns whose names begin so.

    Raises:
        LogError: they cannot be read.
    """
    try:
        file = pq.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if not name.startswith(leave_out)]
        table = file.read(columns=names, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise LogError(f"{path} cannot be read: {error}") from error
    if problems := _problems(table.schema):
        raise LogError(f"{path} cannot be read: {'; '.join(problems)}")
    return table


def _problems(schema: pa.Schema) -> list[str]:
    """What makes it no schema of a log; columns that are not known here are none of that."""
    missing = [name for name in _REQUIRED if name not in schema.names]
    expected = {field.name: pa.float64() for field in schema if is_metric(field.name)} | _FIXED
    wrong = [
        f"column {field.name} holds {field.type}, expected {expected[field.name]}"
        for field in schema
        if field.name in expected and not _fits(field.type, expected[field.name])
    ]
    return [f"no column {', '.join(missing)}"] * bool(missing) + wrong


def _fits(found: pa.DataType, expected: pa.DataType) -> bool:
    def is_number(kind: pa.DataType) -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    return bool(found == expected or pa.types.is_null(found)) or (is_number(found) and is_number(expected))


def empty() -> pa.Table:
    """The log of a sweep that has no epoch yet."""
    return pa.schema(list(_FIXED.items())).empty_table()


def dataset(sweep: Path) -> pyarrow.dataset.Dataset:
    """The whole log; files may lack columns that others have, so the schemas are unified."""
    files = sorted((sweep / EPOCHS).glob("*.parquet"))
    schemas = [pq.read_schema(file) for file in files]
    schema = pa.unify_schemas(schemas, promote_options="permissive") if schemas else pa.schema(list(_FIXED.items()))
    return pyarrow.dataset.dataset([str(file) for file in files], schema=schema, format="parquet")
