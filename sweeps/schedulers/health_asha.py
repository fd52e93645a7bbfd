"""The health verdict in front of another scheduler, and the default: in front of ASHA."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sweeps.schedulers.asha_stopping import AshaSettings, AshaStopping
from sweeps.schedulers.base import GO_ON, Decision, Row, Scheduler, Task, stop
from sweeps.schedulers.settings import FROM_ONE, SHARE, Settings, setting
from trainables.health import HealthConfig

S = TypeVar("S", bound=Settings)


class HealthFirst(Scheduler[S]):
    """A condemned trial stops at once, and the scheduler `behind` forgets it; a control among them runs to its end,
    unheard by the scheduler behind."""

    def __init__(self, task: Task, settings: S | None, behind: Scheduler[Any]) -> None:
        super().__init__(task, settings)
        self.behind = behind
        self._controls: set[int] = set()
        self._condemned_controls: set[int] = set()

    def start(self, trial: int, control: bool = False) -> None:
        """Note whether it is a control."""
        super().start(trial, control)
        if control:
            self._controls.add(trial)
        self.behind.start(trial, control)

    def decide(self, trial: int, row: Row) -> Decision:
        """The verdict, then what stands behind it."""
        if row.verdict.condemned:
            self.behind.forget(trial)
            if trial not in self._controls:
                return stop(row.verdict, row.verdict_detail)
            self._condemned_controls.add(trial)
        return GO_ON if trial in self._condemned_controls else self.behind.on_epoch(trial, row)

    def end(self, trial: int, row: Row) -> Decision:
        """A trial condemned in its very last epoch is stopped in name; what it left at the rungs stays."""
        if row.verdict.condemned:
            return GO_ON if trial in self._controls else stop(row.verdict, row.verdict_detail)
        return GO_ON if trial in self._condemned_controls else self.behind.end(trial, row)

    def forget(self, trial: int) -> None:
        """As the scheduler behind does."""
        self.behind.forget(trial)

    def resume(self, unstarted: int) -> int | None:
        """Who may go on behind."""
        return self.behind.resume(unstarted)

    def given_up(self) -> list[tuple[int, Decision]]:
        """Whom the scheduler behind gives up."""
        dropped = self.behind.given_up()
        for trial, _ in dropped:
            self.leave(trial)
        return dropped

    def settle(self) -> list[tuple[int, Decision]]:
        """With the words of the scheduler behind."""
        self.paused.clear()
        return self.behind.settle()

    def leave(self, trial: int) -> None:
        """It waits no more behind either."""
        super().leave(trial)
        self.behind.leave(trial)

    def next_pause(self, trial: int) -> int:
        """As behind."""
        return self.behind.next_pause(trial)


@dataclass(frozen=True)
class HealthAshaSettings(AshaSettings):
    """The rungs and the verdict. What is not given is as in the sweep's health thresholds."""

    patience: int | None = setting(FROM_ONE, None)
    """Sick evaluations in a row before the verdict condemns."""
    control: float | None = setting(SHARE, None)
    """The share of the condemned that keep running."""

    def health(self, thresholds: HealthConfig) -> HealthConfig:
        """With the grace, the patience and the share of controls that are given."""
        return replace(
            thresholds,
            grace_share=thresholds.grace_share if self.grace is None else self.grace,
            consecutive=self.patience or thresholds.consecutive,
            control_share=thresholds.control_share if self.control is None else self.control,
        )


class HealthAsha(HealthFirst[HealthAshaSettings]):
    """The health verdict, and the stopping form of ASHA behind it."""

    name = "health-asha"
    settings_type = HealthAshaSettings

    def __init__(self, task: Task, settings: HealthAshaSettings | None = None) -> None:
        settings = settings or HealthAshaSettings()
        super().__init__(task, settings, AshaStopping(task, AshaSettings(settings.eta, settings.grace)))
