"""A loop of the user's own, `train(config, monitor)`, trained epoch by epoch under a sweep.

It runs in a thread of its own that waits in `monitor.epoch` until the sweep wants the next epoch. To stop it, that
call raises `StopTrial`, so what the loop does in `finally` is done. Before every epoch the random generators of
torch, NumPy and Python are seeded with the trial's seed and the epoch: a loop that draws from them and goes on from a
checkpoint makes the numbers it would have made.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from trainables.definition import Train
from trainables.loop import Trainer, seed_of
from trainables.monitor import Monitor, MonitorError, Row

PATIENCE = 60.0  # seconds for a stopped loop to clean up
OWN, MODEL = "own", "model"  # of a checkpoint: what the loop saved; of that: the weights of the file's Model


class StopTrial(BaseException):
    """Ends a loop from outside. Not an Exception: no `except Exception` of the user's takes it for a fault."""


class OwnLoop:
    """Runs `train(config, monitor)` an epoch per call; see `trainables.epochs.Epochs`.

    Args:
        train: the user's function; it calls `monitor.epoch` after every epoch, and returns when it is done.
        config: the trial's hyperparameters.
        monitor: of this trial; what it hears is handed over here.
        metric: what every row must have; '' for nothing in particular.
        trainer: where the file has a `Model`, what draws and exports it, with the weights that the loop saves.
    """

    def __init__(
        self,
        train: Train,
        config: Mapping[str, Any],
        monitor: Monitor,
        metric: str = "",
        trainer: Trainer | None = None,
    ) -> None:
        self.monitor, self.converged = monitor, False
        self._train, self._config, self._metric, self._drawn = train, config, metric, trainer
        self._heard: SimpleQueue[Row | BaseException | None] = SimpleQueue()
        self._wanted = threading.Semaphore(0)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="own-loop", daemon=True)
        monitor.handover = self._hand_over

    @property
    def trainer(self) -> Trainer | None:
        """With the weights of this epoch; None where the loop saved none with it."""
        saved = self.monitor.saved
        if self._drawn is None or saved is None or MODEL not in saved:
            return None
        self._drawn.model.load_state_dict(saved[MODEL])
        self._drawn.epoch = self.monitor.done
        return self._drawn

    def run_epoch(self) -> Row | None:
        """The row of the next epoch; None if the loop has returned without another.

        Raises:
            MonitorError: it has returned without any, or the row lacks the metric that trials are ranked by.
            Exception: what the loop raised.
        """
        if self.converged:
            return None
        started = time.perf_counter()
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._wanted.release()
        heard = self._heard.get()
        if isinstance(heard, BaseException):
            raise heard
        if heard is None:
            self.converged = True
            if not self.monitor.done:
                raise MonitorError("train(config, monitor) returned without a call of monitor.epoch(mu, logvar, …)")
            return None
        if self._metric and self._metric not in heard:
            has = ", ".join(name for name in heard if name.startswith("val/")) or "no val/ metric"
            raise MonitorError(
                f"trials are ranked by {self._metric}, which monitor.epoch(…) was not given; it has {has}: hand it "
                "over, or choose another with --metric"
            )
        heard["time/epoch_seconds"] = time.perf_counter() - started
        return heard

    def state_dict(self) -> dict[str, Any] | None:
        """What the loop saved with this epoch, and the model if it is among that; None if it saved nothing."""
        if self.monitor.saved is None:
            return None
        trainer = self.trainer
        described = trainer.state_dict() | {"optimizer": None} if trainer else {}
        return described | {"epoch": self.monitor.done, OWN: dict(self.monitor.saved)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The loop finds what it saved in `monitor.state`."""
        self.monitor.resume(self.monitor.rows, state[OWN])

    def close(self) -> None:
        """Stop the loop where it waits, after its last epoch let it go on to its end; wait until it has cleaned up.

        Raises:
            TimeoutError: it did not end within a minute.
        """
        self._stopping = True
        self._wanted.release()
        if self._thread.ident is not None:
            self._thread.join(PATIENCE)
            if self._thread.is_alive():
                raise TimeoutError(f"train(config, monitor) did not end within {PATIENCE:.0f} s of being stopped")

    def _run(self) -> None:
        self._seed()
        try:
            self._train(self._config, self.monitor)
        except StopTrial:
            self._heard.put(None)
        except BaseException as error:
            self._heard.put(error)
        else:
            self._heard.put(None)

    def _hand_over(self, row: Row) -> None:
        if self._stopping:
            raise StopTrial
        self._heard.put(row)
        self._wanted.acquire()
        if self._stopping and row["epoch"] < self.monitor.epochs:
            raise StopTrial
        self._seed()

    def _seed(self) -> None:
        seed = seed_of(self.monitor.seed, f"own{self.monitor.done}")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
