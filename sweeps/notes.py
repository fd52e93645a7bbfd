"""What the user should know of a sweep's data and model that does not stop it; told at its plan, start and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from sweeps.config import SweepConfig
from trainables.data.unprepared import Unprepared

if TYPE_CHECKING:
    from trainables.data.store import Dataset

BLOCK = 32  # samples read at once
SHOWN = 20  # channels
OWN_LOOP = (
    "it trains by its own loop: a trial that waits, or whose worker dies, goes on from what the loop last handed to "
    "monitor.save(state), and begins again where it handed over nothing"
)
Notes = dict[str, list[str]]  # by what they are about: data, model


def gather(config: SweepConfig, dataset: Dataset | Unprepared) -> Notes:
    """The notes of the data, among them the channels that the score leaves out, and those of the model as the
    documented configuration builds it."""
    import torch

    if isinstance(dataset, Unprepared):
        return {"data": [], "model": [OWN_LOOP]}
    from trainables import definition
    from trainables.diagnostics import left_out_channels
    from trainables.loader import Loader
    from trainables.loop import parts

    documented = config.search_space().documented()
    model = definition.load(config.reference).build(documented, dataset.shape, dataset.statistics)
    index = parts(dataset, documented, config.seed).evaluation
    blocks = (index[start : start + BLOCK] for start in range(0, len(index), BLOCK))
    loader = Loader(dataset, torch.device("cpu"))
    dull = left_out_channels(model.eval(), map(loader.batch, blocks))
    return {"data": [*dataset.notes, *_dull(dull)], "model": list(model.notes)}


def _dull(channels: list[str]) -> list[str]:
    if not channels:
        return []
    more = f" and {len(channels) - SHOWN} more" if channels[SHOWN:] else ""
    listed = f"{', '.join(channels[:SHOWN])}{more}"
    return [f"{len(channels)} channels hardly vary over the validation samples; the score leaves them out: {listed}"]


def show(console: Console, notes: Notes) -> None:
    """Print them, a line each, so that none is overlooked."""
    for about, lines in notes.items():
        for line in lines:
            console.print(f"Note on the {about}: {line}.", style="bold yellow", highlight=False, soft_wrap=True)
