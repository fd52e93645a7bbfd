"""A loop of the user's own, `train(config, monitor)`, trained epoch by epoch under a sweep.

It runs in a thread of its own that waits in `monitor.epoch` until the sweep wants the next epoch. To stop it, that
call raises `StopTrial`, so what the loop does in `finally` is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import Any

import torch

from trainables.monitor import Monitor, Row

PATIENCE = 60.0  # seconds for a stopped loop to clean up

Train = Callable[[Mapping[str, Any], Monitor], None]


class StopTrial(BaseException):
    """Ends a loop from outside. Not an Exception: no `except Exception` of the user's takes it for a fault."""


class OwnLoop:
    """Runs `train(config, monitor)` an epoch per call.

    Args:
        train: the user's function; it calls `monitor.epoch` after every epoch, and returns when it is done.
        config: the trial's hyperparameters.
        monitor: of this trial; what it hears is handed over here.
    """

    def __init__(self, train: Train, config: Mapping[str, Any], monitor: Monitor) -> None:
        self._train, self._config, self._monitor = train, config, monitor
        self._heard: SimpleQueue[Row | BaseException | None] = SimpleQueue()
        self._wanted = threading.Semaphore(0)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="own-loop", daemon=True)
        monitor.handover = self._hand_over

    def run_epoch(self) -> Row | None:
        """The row of the next epoch; None if the loop has returned without another.

        Raises:
            Exception: what the loop raised.
        """
        if self._thread.ident is None:
            self._thread.start()
        elif not self._thread.is_alive() and self._heard.empty():
            return None
        else:
            self._wanted.release()
        heard = self._heard.get()
        if isinstance(heard, BaseException):
            raise heard
        return heard

    def close(self) -> None:
        """Stop the loop where it waits, and wait until it has cleaned up.

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
        torch.manual_seed(self._monitor.seed)
        try:
            self._train(self._config, self._monitor)
        except StopTrial:
            self._heard.put(None)
        except BaseException as error:
            self._heard.put(error)
        else:
            self._heard.put(None)

    def _hand_over(self, row: Row) -> None:
        self._heard.put(row)
        self._wanted.acquire()
        if self._stopping:
            raise StopTrial
