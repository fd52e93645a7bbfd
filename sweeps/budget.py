"""A budget given in steps, as some sources count it, in the epochs that schedules and rungs are made of."""

from __future__ import annotations

import math
from dataclasses import replace

from search_spaces.space import number
from sweeps.config import SweepConfig
from trainables.data.store import Dataset


def in_epochs(config: SweepConfig, dataset: Dataset) -> tuple[SweepConfig, str]:
    """`config` with the epochs that hold its `steps`, and the sentence that says so.

    A step is one of the documented batch size on the samples that are trained on; the epoch that the last step lies
    in is trained whole. Trials of another batch size make other numbers of steps in the same epochs.

    Raises:
        ValueError: the budget is not given in steps.
    """
    from trainables.loop import parts

    if config.steps is None:
        raise ValueError("steps=None: expected a budget in steps")
    documented = config.search_space().documented()
    batch, samples = number(documented["batch_size"]), len(parts(dataset, documented, config.seed).train)
    an_epoch = math.ceil(samples / batch)
    epochs = math.ceil(config.steps / an_epoch)
    said = (
        f"{config.steps} steps are {epochs} epochs of {an_epoch} ({samples} training samples, {batch} a step as "
        "documented; trials of another batch_size make other numbers of steps)"
    )
    return replace(config, epochs=epochs), said
