"""What the user should know of a sweep's data and model that does not stop it; told at its plan, start and report."""

from __future__ import annotations

from rich.console import Console

from sweeps.config import SweepConfig
from trainables import models
from trainables.data.store import Dataset

Notes = dict[str, list[str]]  # by what they are about: data, model


def gather(config: SweepConfig, dataset: Dataset) -> Notes:
    """The notes of the data, and those of the model as the documented configuration builds it."""
    model = models.load(config.model).Model(config.search_space().documented(), dataset.shape, dataset.statistics)
    return {"data": list(dataset.notes), "model": list(model.notes)}


def show(console: Console, notes: Notes) -> None:
    """Print them, a line each, so that none is overlooked."""
    for about, lines in notes.items():
        for line in lines:
            console.print(f"Note on the {about}: {line}.", style="bold yellow", highlight=False, soft_wrap=True)
