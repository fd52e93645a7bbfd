"""No scheduler: every trial trains to its end."""

from __future__ import annotations

from sweeps.schedulers.base import GO_ON, Decision, Row, Scheduler
from sweeps.schedulers.settings import Settings


class NoStopping(Scheduler[Settings]):
    """Stops nobody, not even the condemned: what a replay needs."""

    name = "none"

    def decide(self, trial: int, row: Row) -> Decision:
        """Go on."""
        return GO_ON
