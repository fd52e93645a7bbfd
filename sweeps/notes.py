"""What the user should know of a sweep's data and model that does not stop it; told at its plan, start and report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from trainables.data.store import Dataset
    from trainables.loop import Trainer

BLOCK = 32  # samples read at once
SHOWN = 20  # channels
OWN_LOOP = (
    "it trains by its own loop: a trial that waits, or whose worker dies, goes on from what the loop last handed to "
    "monitor.save(state), and begins again where it handed over nothing"
)
Notes = dict[str, list[str]]  # by what they are about: data, model


def gather(dataset: Dataset, trainer: Trainer) -> Notes:
    """The notes of the data, among them the channels that the score leaves out, and those of the model as the
    documented configuration builds it.

    Args:
        trainer: of the documented configuration.
    """
    from trainables.diagnostics import left_out_channels

    batches = trainer.loader.batches(trainer.evaluation_index, BLOCK)
    dull = left_out_channels(trainer.model.eval(), batches)
    return {"data": [*dataset.notes, *_dull(dull)], "model": list(trainer.model.notes)}


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
