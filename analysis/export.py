"""The best model of a sweep for others to use: weights, configuration and a model card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis import names, tables
from analysis.sweep import Sweep, SweepError, Trial, load
from search_spaces.space import show
from sweeps.records.folder import SweepFolder
from trainables.metrics import ENVIRONMENT, TEST, VALIDATION

if TYPE_CHECKING:
    from torch import nn

FOLDER = "export"


def write(folder: Path, out: Path | None = None, number: int | None = None) -> Path:
    """Export trial `number` (None: the best) of the sweep in `folder` to `out`, or to `export` in the folder.

    Raises:
        analysis.sweep.SweepError: there is no such trial, no healthy one, it has no checkpoint, or another script ran
            the search.
    """
    from trainables.export import export

    sweep = _ours(folder)
    trial = _chosen(sweep, number)
    out = out or folder / FOLDER
    with _absent_refused():
        export(SweepFolder(folder).trial(trial.number), out, card(sweep, trial))
    return out


def model(folder: Path, number: int | None = None) -> nn.Module:
    """The model of trial `number` (None: the best) of the sweep in `folder`, in evaluation mode, on the CPU.

    Raises:
        analysis.sweep.SweepError: there is no such trial, no healthy one, it has no checkpoint, or another script ran
            the search.
    """
    from trainables.checkpoint import load_model

    trial = _chosen(_ours(folder), number)
    with _absent_refused():
        return load_model(SweepFolder(folder).trial(trial.number))


def card(sweep: Sweep, trial: Trial) -> str:
    """The model card: what was trained on what, how well and how healthily, with which versions, how to load it."""
    environment = Environment(
        loader=PackageLoader("analysis"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    families = (VALIDATION, "health/", TEST, ENVIRONMENT)
    measured = [name for name in names.order(trial.metrics) if name.startswith(families)]
    return environment.get_template("model_card.md.j2").render(
        sweep=sweep,
        trial=trial,
        score=sweep.objectives[0].metric,
        hyperparameters={name: show(value) for name, value in trial.record.config.items()},
        metrics=[(name, names.label(name), f"{trial.metrics[name]:.5g}") for name in measured],
        data=sweep.record.data,
        code=sweep.record.code,
        packages=sweep.record.packages,
    )


def _ours(folder: Path) -> Sweep:
    """The sweep, of which there are checkpoints."""
    sweep = load(folder)
    if sweep.record.outside:
        raise SweepError(sweep.record.not_ours(folder))
    return sweep


@contextmanager
def _absent_refused() -> Iterator[None]:
    """A checkpoint that is not there is a fault of the sweep."""
    try:
        yield
    except FileNotFoundError as error:
        raise SweepError(str(error)) from error


def _chosen(sweep: Sweep, number: int | None) -> Trial:
    if number is None:
        if (best := tables.best_trial(sweep)) is None:
            required = f" that meets {' and '.join(required)}" if (required := sweep.record.config.require) else ""
            raise SweepError(f"{sweep.name} has no healthy finished trial{required}; name one with --trial")
        return best
    for trial in sweep.trials:
        if trial.number == number:
            return trial
    raise SweepError(f"{sweep.name} has no trial {number}; it has 1 to {len(sweep.trials)}")
