"""The best epoch of a trial: the one whose weights are exported and whose numbers are the trial's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trainables.health import Verdict

if TYPE_CHECKING:
    from trainables.loop import Trainer


class BestEpoch:
    """Keeps the weights of the best healthy epoch.

    Args:
        metric: what epochs are compared by, the one that the sweep ranks trials by.
        mode: max or min.
    """

    def __init__(self, metric: str, mode: str) -> None:
        self._metric, self._sign = metric, 1.0 if mode == "max" else -1.0
        self._kept: dict[str, Any] | None = None
        self.epoch = 0

    def consider(self, row: Mapping[str, Any], trainer: Trainer | None) -> int:
        """Hear of the epoch just judged; the epoch whose numbers are the trial's: the best healthy one so far, or
        this one where it looks sick. Without a trainer there are no weights to keep."""
        healthy = row["verdict"] == Verdict.HEALTHY
        value = self._sign * float(row.get(self._metric, math.nan))
        if healthy and value > (self._kept["value"] if self._kept else -math.inf):
            self._kept = {"epoch": row["epoch"], "value": value}
            if trainer is not None:
                self._kept |= {"share": trainer.epoch / trainer.epochs, "model": _weights(trainer)}
        self.epoch = self._kept["epoch"] if healthy and self._kept else row["epoch"]
        return self.epoch

    @contextmanager
    def weights(self, trainer: Trainer) -> Iterator[None]:
        """The trainer as it was after the trial's epoch, and as it is now afterwards."""
        if self._kept is None or "model" not in self._kept or self.epoch == trainer.epoch:
            yield
            return
        now, epoch = _weights(trainer), trainer.epoch
        try:
            trainer.model.load_state_dict(self._kept["model"])
            trainer.epoch = self._kept["epoch"]
            yield
        finally:
            trainer.model.load_state_dict(now)
            trainer.epoch = epoch

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the trial's epoch, and of the best healthy one epoch, share of the budget, value
        and weights; None while none was healthy."""
        return {"best_epoch": self.epoch, "best": self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.epoch, self._kept = state.get("best_epoch", state["epoch"]), state.get("best")  # older ones keep none


def _weights(trainer: Trainer) -> dict[str, Tensor]:
    """A copy on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in trainer.model.state_dict().items()}
