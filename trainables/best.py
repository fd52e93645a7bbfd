"""The best epoch of a trial: the one whose weights are exported and whose numbers are the trial's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor

from trainables.health import Verdict
from trainables.requirements import Requirement, unmet

if TYPE_CHECKING:
    from trainables.loop import Trainer


class BestEpoch:
    """Keeps the weights of the best healthy epoch: of those that meet all requirements, or of all while none does.

    Args:
        metric: what epochs are compared by, the one that the sweep ranks trials by.
        mode: max or min.
        requirements: of the sweep.
    """

    def __init__(self, metric: str, mode: str, requirements: Sequence[Requirement] = ()) -> None:
        self._metric, self._sign, self._requirements = metric, 1.0 if mode == "max" else -1.0, requirements
        self._kept: dict[str, Any] | None = None
        self.epoch = 0

    def consider(self, row: Mapping[str, Any], trainer: Trainer | None) -> int:
        """Hear of the epoch just judged; the epoch whose numbers are the trial's: the best healthy one so far, or
        this one where it looks sick. Without a trainer there are no weights to keep."""
        healthy = row["verdict"] == Verdict.HEALTHY
        value = self._sign * float(row.get(self._metric, math.nan))
        met = not unmet(self._requirements, row)
        best = (self._kept.get("met", True), self._kept["value"]) if self._kept else (False, -math.inf)
        if healthy and value > -math.inf and (met, value) > best:
            self._kept = {"epoch": row["epoch"], "value": value, "met": met}
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
