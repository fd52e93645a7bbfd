"""The epoch log: every epoch of every trial, as a Parquet data set (`<sweep>/epochs/`).

One file per trial, written whole (write, fsync, rename) by the worker when the trial ends or may have to wait, and
each time its epochs have doubled. Those since then are lines of JSON beside it, appended and flushed to disk one by
one (`trial-00001.jsonl`: first trial and configuration, then an epoch a line), so that an epoch costs the same
however many there were. The functions here read both, and see complete epochs only; the death of a worker or of the
driver loses none. An epoch takes the place of an earlier one of its number and of all after it: a trial went on from
a checkpoint. Columns:

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

import json
import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
import pyarrow.parquet as pq

from trainables.files import EPOCHS, append_lines, drop_torn_line, epochs_file, replace_file
from trainables.metrics import HYPERPARAMETERS, TEST_ENVIRONMENT, is_metric, of_older_program

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
_HOLDS_OUT = HYPERPARAMETERS + TEST_ENVIRONMENT  # the column of a trial that does
_REQUIRED = ("trial", "epoch", "verdict")
BY_DIMENSION = "latent/"
LINES = ".jsonl"
FIRST_WHOLE = 16  # epochs, before a trial on its way has a file of its own
Row = Mapping[str, Any]


class LogError(ValueError):
    """The epochs of a trial that cannot be read; the message names the file."""


def finite_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """The finite metrics of a row; those of many rows share their names."""
    return {
        sys.intern(name): float(value)
        for name, value in row.items()
        if is_metric(name) and isinstance(value, int | float) and math.isfinite(value)
    }


def best_row(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The row of the epoch whose numbers are those of the trial; the last where a log does not say."""
    best = rows[-1].get("best_epoch")
    return next((row for row in rows if row["epoch"] == best), rows[-1])


class TrialLog:
    """Writes the epochs of one trial as they come.

    Args:
        sweep: the folder.
        trial: its number.
        config: its hyperparameters.
    """

    def __init__(self, sweep: Path, trial: int, config: Mapping[str, Any]) -> None:
        self._sweep, self._trial, self._config = sweep, trial, config
        self._whole = 0  # epochs in the file
        self._lines = epochs_file(sweep, trial).with_suffix(LINES)
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        drop_torn_line(self._lines)

    def append(self, rows: Sequence[Row]) -> None:
        """Keep the last of `rows`, which are all epochs of the trial so far."""
        if len(rows) >= max(FIRST_WHOLE, 2 * self._whole):
            self.settle(rows)
            return
        lines = [json.dumps(rows[-1], default=float)]
        if not self._lines.exists() or not self._lines.stat().st_size:
            lines = [json.dumps({"trial": self._trial, "config": dict(self._config)}), *lines]
        append_lines(self._lines, *lines)

    def settle(self, rows: Sequence[Row]) -> None:
        """Put all epochs of the trial into its file."""
        write(self._sweep, self._trial, self._config, rows)
        self._lines.unlink(missing_ok=True)
        self._whole = len(rows)


def write(sweep: Path, trial: int, config: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write all epochs of one trial, replacing what its file held before."""
    path = epochs_file(sweep, trial)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as file:
        pq.write_table(_table(trial, config, rows), file)


def settle(sweep: Path) -> None:
    """Put the epochs that are still lines into the files of their trials, once no worker writes any more; what cannot
    be read stays as it is."""
    for lines in (sweep / EPOCHS).glob(f"*{LINES}"):
        path = lines.with_suffix(".parquet")
        try:
            table = read_file(path)
        except LogError:
            continue  # every reader names it
        with replace_file(path) as file:
            pq.write_table(table, file)
        lines.unlink()


def _table(trial: int, config: Mapping[str, Any], rows: Sequence[Row]) -> pa.Table:
    metrics = sorted({name for row in rows for name in row if name not in _FIXED})
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in _FIXED.items()}
    columns["trial"] = pa.array([trial] * len(rows), pa.int32())
    for name, value in sorted(config.items()):
        columns[f"{HYPERPARAMETERS}{name}"] = pa.array([value] * len(rows))
    for name in metrics:
        kind = pa.list_(pa.float32()) if name.startswith(BY_DIMENSION) else pa.float64()
        columns[name] = pa.array([row.get(name) for row in rows], kind)
    return pa.table(columns)


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
    rows: list[dict[str, Any]] = read_file(epochs_file(sweep, trial)).to_pylist() if stamp(sweep, trial) else []
    return rows


def stamp(sweep: Path, trial: int) -> tuple[tuple[int, int], ...]:
    """Another one whenever there are new epochs of the trial: time (ns) and size (bytes) of its files; () if none."""
    path = epochs_file(sweep, trial)
    found: list[tuple[int, int]] = []
    for each in (path.with_suffix(LINES), path):
        with suppress(FileNotFoundError):  # the worker removes the lines once they are in the file
            status = each.stat()
            found.append((status.st_mtime_ns, status.st_size))
    return tuple(found)


def files(sweep: Path) -> list[Path]:
    """The Parquet file of every trial that has epochs, whether it is there yet or not, in order; see `read_file`."""
    found = [path for suffix in (".parquet", LINES) for path in (sweep / EPOCHS).glob(f"*{suffix}")]
    return sorted({path.with_suffix(".parquet") for path in found})


def read_file(path: Path, leave_out: tuple[str, ...] = ()) -> pa.Table:
    """The epochs of one Parquet file and of the lines beside it, without the columns whose names begin so.

    Raises:
        LogError: they cannot be read.
    """
    later = _read_lines(path.with_suffix(LINES), leave_out)  # first: what is no line any more is in the file by then
    if later is not None and not path.exists():
        return later
    table = _read_whole(path, leave_out)
    if later is None or not len(later):
        return table
    earlier = table.filter(pc.field("epoch") < later["epoch"][0])
    return pa.concat_tables([earlier, later], promote_options="permissive")


def _read_whole(path: Path, leave_out: tuple[str, ...]) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        names = [name for name in file.schema_arrow.names if not name.startswith(leave_out)]
        table = file.read(columns=names, use_threads=False)
        table = table.rename_columns(of_older_program(names, _HOLDS_OUT in file.schema_arrow.names))
    except (pa.ArrowException, OSError) as error:
        raise LogError(f"{path} cannot be read: {error}") from error
    if problems := _problems(table.schema):
        raise LogError(f"{path} cannot be read: {'; '.join(problems)}")
    return table


def _read_lines(path: Path, leave_out: tuple[str, ...]) -> pa.Table | None:
    """None where there is no such file."""
    try:
        whole = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
        if len(whole) < 2:
            return empty()
        head, *told = whole
        rows: list[Row] = []
        for row in told:
            while rows and rows[-1]["epoch"] >= row["epoch"]:
                rows.pop()
            renamed = of_older_program(row, TEST_ENVIRONMENT in head["config"])
            rows.append({renamed.get(name, name): row[name] for name in row if not name.startswith(leave_out)})
        config = {} if HYPERPARAMETERS in leave_out else head["config"]
        return _table(head["trial"], config, rows)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, OSError, pa.ArrowException) as error:
        raise LogError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


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
    paths = files(sweep)
    running = [read_file(path) for path in paths if path.with_suffix(LINES).exists()]
    whole = [path for path in paths if not path.with_suffix(LINES).exists()]
    schemas = [pq.read_schema(path) for path in whole] + [table.schema for table in running]
    schema = pa.unify_schemas(schemas or [empty().schema], promote_options="permissive")
    tables = [pa.concat_tables([schema.empty_table(), table], promote_options="permissive") for table in running]
    parts = [pyarrow.dataset.dataset([str(path) for path in whole], schema=schema, format="parquet")]
    return pyarrow.dataset.dataset([*parts, *map(pyarrow.dataset.dataset, tables)], schema=schema)
