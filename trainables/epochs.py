"""What trains a trial, an epoch per call: our loop, or one of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from trainables.loop import Trainer
from trainables.monitor import Monitor, Row


class Epochs(Protocol):
    """The training of one trial, whose monitor hears every epoch."""

    monitor: Monitor

    @property
    def converged(self) -> bool:
        """True if it has ended before its budget was spent."""

    @property
    def trainer(self) -> Trainer | None:
        """What holds the model as it is after this epoch, for pictures and export; None without one."""

    def run_epoch(self) -> Row | None:
        """Train the next epoch: its row with the verdict; None where the loop has ended without another."""

    def state_dict(self) -> dict[str, Any] | None:
        """What a checkpoint after this epoch holds; None if the training could not go on from it."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint; the monitor has its rows already."""

    def close(self) -> None:
        """Nothing more will be trained.

        Raises:
            TimeoutError: it does not end.
        """


class OurLoop:
    """Our `Trainer` and a monitor that hears its rows."""

    def __init__(self, trainer: Trainer, monitor: Monitor) -> None:
        self.trainer, self.monitor = trainer, monitor

    @property
    def converged(self) -> bool:
        """True once the trainer has converged."""
        return self.trainer.converged

    def run_epoch(self) -> Row:
        """Train, evaluate and judge."""
        return self.monitor.hear(self.trainer.run_epoch())

    def state_dict(self) -> dict[str, Any]:
        """The trainer's."""
        return self.trainer.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Into the trainer."""
        self.trainer.load_state_dict(state)

    def close(self) -> None:
        """Nothing is left running."""
