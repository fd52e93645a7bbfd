"""Recorded sweeps as curves.

A log is the folder of a sweep (`results/NAME`), its `epochs/` folder, one Parquet file of the same columns, or a
folder of several sweeps. Only complete trials can be replayed honestly: of a trial that was stopped nobody knows how
it would have gone on. The others are counted in the notes.

The log is close to the tabular format of Syne Tune's blackbox repository and holds the same facts, trial by trial
instead of as one array:

    hyperparameters.parquet             one row a trial: the `config/…` columns, the same in all epochs of a trial
    fidelities_values.npy               the values of `epoch`, 1 … budget
    objectives_evaluations.npy          (tasks, configurations, seeds, fidelities, objectives): the metric columns,
                                        with one task and one seed
    elapsed-time attribute              `seconds`, cumulative as there
    configspace.json                    "space" of the sweep's record, in other words

Its arrays are dense: that format has no place for a trial that ended early, for verdicts or for their reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from analysis.replay.curves import Curves
from analysis.sweep import Sweep, SweepError, Trial, load
from sweeps.records.folder import SweepFolder, sweeps_in
from sweeps.records.outcomes import Status
from sweeps.records.ranking import Objective
from sweeps.records.record import OUTSIDE
from trainables.data.errors import DataError
from trainables.files import EPOCHS
from trainables.health import HealthConfig
from trainables.metrics import HYPERPARAMETERS
from trainables.requirements import Requirement

REQUIRED = ("trial", "epoch", "seconds")
LEAST = 2  # complete trials
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Log:
    """The complete trials of one log, and why the others were left out. Defaults: where there is no record."""

    source: str
    table: pa.Table
    left_out: Counter[str]
    epochs: int
    metric: str = "val/elbo_gain"
    mode: str = "max"
    further: tuple[Objective, ...] = ()
    require: tuple[Requirement, ...] = ()
    health: HealthConfig = field(default_factory=HealthConfig)
    model: str = UNKNOWN
    data: str = UNKNOWN  # fingerprint
    search: str = UNKNOWN


def read(sources: Sequence[str], storage: Path, metric: str | None = None, mode: str | None = None) -> Curves:
    """The complete trials of all `sources`, as one set; of a single log they keep their numbers.

    Args:
        sources: paths, or names of sweeps in `storage`.
        storage: the folder of the sweeps.
        metric, mode: what trials are ranked by (default: by the first metric of the sweep).

    Raises:
        DataError: a log that is not there or cannot be read, logs that do not belong together, or too few trials.
    """
    logs = [_read(path) for source in sources for path in _find(source, storage)]
    name = ", ".join(sources)
    ranked_by = ("metric", "mode", "further") if metric is None else ()
    _require_same(name, logs, "epochs", "model", "data", "health", "require", *ranked_by)
    further = logs[0].further if metric is None else ()
    metric = metric or logs[0].metric
    mode = mode or (logs[0].mode if metric == logs[0].metric else "max")
    table = _joined(logs)
    left_out = sum((log.left_out for log in logs), Counter())
    trials = len(np.unique(table["trial"]))
    if trials < LEAST:
        raise DataError(name, [_too_few(logs, trials, left_out)])
    if problems := _problems(table, [metric, *(one.metric for one in further)]):
        raise DataError(name, problems)
    return Curves(
        table,
        logs[0].epochs,
        metric,
        mode,
        logs[0].health,
        _notes(logs, trials, left_out),
        further,
        logs[0].require,
        left_out.total(),
    )


def _find(source: str, storage: Path) -> list[Path]:
    """The logs that `source` names: folders of sweeps, or what holds Parquet."""
    for path in (storage / source, Path(source)):
        if SweepFolder(path).exists or path.is_file() or any(path.glob("*.parquet")):
            return [path.parent if path.name == EPOCHS and SweepFolder(path.parent).exists else path]
        if several := [folder.path for folder in sweeps_in(path)]:
            return several
    present = [folder.path.name for folder in sweeps_in(storage)]
    there = f"the sweeps in {storage} are {', '.join(present)}" if present else f"there are no sweeps in {storage}"
    expected = "expected the name or folder of a sweep, a folder of sweeps, or Parquet of epochs"
    raise DataError(source, [f"no such log; {expected}; {there}"])


def _read(path: Path) -> Log:
    try:
        return _of_sweep(load(path)) if SweepFolder(path).exists else _of_parquet(path)
    except (SweepError, pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise DataError(str(path), [f"{error}; expected the epoch log of a sweep"]) from None


def complete(sweep: Sweep) -> list[Trial]:
    """The trials that the journal calls finished, and those condemned only after their last epoch."""
    return [
        trial
        for trial in sweep.trials
        if trial.epochs and (trial.record.status == Status.FINISHED or trial.epochs == sweep.epochs)
    ]


def _of_sweep(sweep: Sweep) -> Log:
    numbers = [trial.number for trial in complete(sweep)]
    left_out = Counter(str(trial.outcome) for trial in sweep.trials if trial.number not in numbers)
    return Log(
        str(sweep.folder),
        _only(sweep.log, numbers),
        left_out,
        epochs=sweep.epochs,
        metric=sweep.objectives[0].metric,
        mode=sweep.objectives[0].mode,
        further=tuple(sweep.objectives[1:]),
        require=tuple(sweep.record.config.requirements),
        health=sweep.health,
        model=sweep.model,
        data=sweep.record.data.fingerprint[:12] or UNKNOWN,
        search=sweep.record.config.search or UNKNOWN,
    )


def _of_parquet(path: Path) -> Log:
    """Epochs without a journal: complete are the trials that reached the last epoch that any of them reached."""
    files = [path] if path.is_file() else sorted(path.glob("*.parquet"))
    schema = pa.unify_schemas([_metrics(pq.read_schema(file)) for file in files], promote_options="permissive")
    if missing := [name for name in REQUIRED if name not in schema.names]:
        expected = f"those of an epoch log: {', '.join(REQUIRED)} and metrics"
        raise DataError(str(path), [f"no column {', '.join(missing)}; expected {expected}"])
    table = pyarrow.dataset.dataset([str(file) for file in files], schema=schema, format="parquet").to_table()
    table = table.sort_by([("trial", "ascending"), ("epoch", "ascending")])
    trials, counts = np.unique(table["trial"], return_counts=True)
    epochs = int(counts.max(initial=0))
    left_out = Counter({f"ended before epoch {epochs}": int((counts < epochs).sum())})
    return Log(str(path), _only(table, trials[counts == epochs]), +left_out, epochs)


def _only(table: pa.Table, trials: Sequence[int] | np.ndarray) -> pa.Table:
    """The epochs of `trials`."""
    chosen = np.isin(table["trial"].to_numpy(), trials)
    return table.select(_metrics(table.schema).names).filter(pa.array(chosen))


def _metrics(schema: pa.Schema) -> pa.Schema:
    """Without the hyperparameters, whose types may differ between trials."""
    return pa.schema([field for field in schema if not field.name.startswith(HYPERPARAMETERS)])


def _joined(logs: Sequence[Log]) -> pa.Table:
    if len(logs) == 1:
        return logs[0].table
    tables, offset = [], 0
    for log in logs:
        numbers, position = np.unique(log.table["trial"], return_inverse=True)
        column = log.table.column_names.index("trial")
        tables.append(log.table.set_column(column, "trial", pa.array(position + offset + 1, pa.int32())))
        offset += len(numbers)
    return pa.concat_tables(tables, promote_options="permissive")


def _require_same(name: str, logs: Sequence[Log], *fields: str) -> None:
    problems = []
    for field_name in fields:
        values = {str(getattr(log, field_name)): log.source for log in reversed(logs)}
        if len(values) > 1:
            found = "; ".join(f"{value} in {source}" for value, source in values.items())
            problems.append(f"{field_name} differs: {found}; replay them one by one")
    if problems:
        raise DataError(name, problems)


def _problems(table: pa.Table, metrics: Sequence[str]) -> list[str]:
    problems = []
    for metric in metrics:
        if metric in table.column_names:
            continue
        present = ", ".join(sorted(other for other in table.column_names if other.startswith("val/"))) or "none"
        problems.append(f"no metric {metric}; --metric takes one of the held-out metrics in the log: {present}")
    trials, epochs = table["trial"].to_numpy(), table["epoch"].to_numpy()
    starts = np.flatnonzero(np.diff(trials, prepend=trials[0] - 1))
    expected = np.arange(len(trials)) - np.repeat(starts, np.diff(np.append(starts, len(trials)))) + 1
    if (wrong := np.flatnonzero(epochs != expected)).size:
        at = wrong[0]
        problems.append(
            f"trial {trials[at]}: epoch {epochs[at]} where {expected[at]} was expected; every epoch once, from 1"
        )
    seconds = table["seconds"].to_numpy()
    backwards = np.diff(seconds, prepend=0.0) < 0
    backwards[starts] = seconds[starts] < 0
    if (wrong := np.flatnonzero(backwards | ~np.isfinite(seconds))).size:
        at = wrong[0]
        problems.append(
            f"trial {trials[at]}, epoch {epochs[at]}: seconds {seconds[at]:g}; expected the seconds since the "
            "trial's start, never fewer than at the epoch before"
        )
    return problems


def _too_few(logs: Sequence[Log], trials: int, left_out: Counter[str]) -> str:
    found = f"complete trials: {trials}{_listed(left_out)}, expected at least {LEAST}"
    return f"{found}; record a sweep whose trials all run to their end: {_to_the_end(logs)}"


def _to_the_end(logs: Sequence[Log]) -> str:
    """How a sweep is recorded whose healthy trials all run to their end."""
    if OUTSIDE in {log.search for log in logs}:
        return "HealthFirst or HealthPruner with nothing behind"
    return "sweeps/run.py … --scheduler none"


def _notes(logs: Sequence[Log], trials: int, left_out: Counter[str]) -> list[str]:
    notes = []
    if left_out:
        notes.append(
            f"{trials} of {trials + left_out.total()} trials are complete and replayed{_listed(left_out)}. How the "
            "others would have gone on is unknown, and what is left is the choice of the scheduler that recorded "
            f"it. A sweep recorded so has no such gap: {_to_the_end(logs)}."
        )
    searched = sorted({log.search for log in logs} - {"random", "grid", UNKNOWN})
    if searched:
        notes.append(
            f"Recorded with {', '.join(each if each == OUTSIDE else f'--search {each}' for each in searched)}: "
            "in random order, so that later suggestions being better is not replayed."
        )
    return notes


def _listed(left_out: Counter[str]) -> str:
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
    return f" (left out: {reasons})" if reasons else ""
