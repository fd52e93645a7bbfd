"""What a trial as large as the documented one costs, from a few measured steps."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainables.loop import Trainer

STEPS = 3


@dataclass(frozen=True)
class Cost:
    """Of a trial. `epoch_seconds`: None where nothing can be measured, as of a loop of the user's own, which is not
    run; `checkpoint_bytes`: while it trains."""

    epoch_seconds: float | None = None
    checkpoint_bytes: float = 0.0


def measure(trainer: Trainer) -> tuple[Cost, dict[str, float]]:
    """That of a trial, with torch's threads as they are set, and what an evaluation after those steps gives."""
    import torch

    trainer.train_steps(1)
    started = time.perf_counter()
    trainer.train_steps(STEPS)
    step = (time.perf_counter() - started) / STEPS
    started = time.perf_counter()
    metrics, _ = trainer.evaluate()
    evaluation = time.perf_counter() - started
    buffer = io.BytesIO()
    torch.save(trainer.state_dict() | {"best": trainer.model.state_dict()}, buffer)
    return Cost(step * trainer.batches + evaluation, float(buffer.tell())), metrics
