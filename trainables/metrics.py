"""What a metric is, and what each one means: the one definition, pure, without torch.

A metric is a number of an epoch whose name starts with one of `GROUPS`, as in "val/ssim/t1"; hyperparameters
(`config/…`), the verdict and the numbers of single dimensions (`latent/…`) stand beside it in the epoch log and are
none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GROUPS = ("train/", "val/", "test/", "health/", "schedule/", "time/", "memory/")
MEASURED = ("train/", "val/", "test/", "health/")  # the same for every machine that trains the same


def is_metric(name: str) -> bool:
    """True for the name of a metric."""
    return name.startswith(GROUPS)


def is_measured(name: str) -> bool:
    """True for a metric that a repetition of the trial must reproduce: not a schedule, a time or memory."""
    return name.startswith(MEASURED)


def as_trained(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the epoch log as its worker reported it: without the trial, the hyperparameters and what is null."""
    return {
        name: value
        for name, value in row.items()
        if name != "trial" and not name.startswith("config/") and value is not None
    }
