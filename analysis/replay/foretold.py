"""What the other recorded sweeps of a model foretell of each sweep's trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.replay.logs import complete
from analysis.sweep import load
from sweeps.memory import Memory
from sweeps.remembering import earlier_trials


def by_other_sweeps(folders: Sequence[Path]) -> tuple[float, ...] | None:
    """The place of every complete trial, in the order of the sweeps, as all sweeps but its own foretell it; None of a
    single sweep."""
    if len(folders) < 2:
        return None
    sweeps = [load(folder) for folder in folders]
    earlier = [earlier_trials(sweep.record.config, sweep.folder) for sweep in sweeps]
    found: list[float] = []
    for at, sweep in enumerate(sweeps):
        parameters = tuple(each for each in sweep.record.space if each.kind != "fixed")
        others = tuple(trial for other, trials in enumerate(earlier) if other != at for trial in trials)
        found += Memory(parameters, others, sweep.epochs).foretold([trial.record.config for trial in complete(sweep)])
    return tuple(found)
