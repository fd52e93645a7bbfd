"""Workers that die: what Ray says of it in one sentence, and a gap in Ray Tune closed."""

from __future__ import annotations

import re

from ray._private import serialization
from ray.exceptions import OutOfMemoryError, RayActorError

from sweeps.records.outcomes import Reason

_MONITOR = re.compile(r"node running low on memory.* was (\S+) used / (\S+) limit")
_CAUSE = re.compile(r"actor is dead because its (.+?) has died\.")
_FEWER = "run fewer trials at once (--max-concurrent) or smaller configurations"


def explain(error: str) -> tuple[Reason, str]:
    """Reason and detail for the journal, from what Ray says of a worker's death."""
    if monitor := _MONITOR.search(error):
        used, limit = monitor.groups()
        return (
            Reason.OUT_OF_MEMORY,
            f"Ray ended it because its node ran out of memory ({used} of {limit} used); {_FEWER}",
        )
    cause = _CAUSE.search(error)
    if cause and cause[1] == "worker process":
        return (
            Reason.WORKER_LOST,
            f"its process was killed, perhaps by the kernel for want of memory (see dmesg): {_FEWER}",
        )
    if cause:
        return Reason.WORKER_LOST, f"its {cause[1]} died"
    return Reason.WORKER_LOST, next(iter(error.strip().splitlines()[-1:]), "no cause given")


class WorkerOutOfMemory(OutOfMemoryError, RayActorError):
    """What Ray's memory monitor leaves of a worker it has ended, as what it is: the death of an actor."""

    def __init__(self, message: str) -> None:
        RayActorError.__init__(self, error_msg=message)
        OutOfMemoryError.__init__(self, message)


def survive_memory_monitor() -> None:
    """Make Ray Tune take a worker ended by the memory monitor for a dead one.

    Up to Ray 2.60 Tune knows `RayActorError` alone and breaks off the whole run at the monitor's `OutOfMemoryError`,
    with "Caught unexpected exception".
    """
    setattr(serialization, "OutOfMemoryError", WorkerOutOfMemory)  # noqa: B010  a type checker rightly objects
