"""When a trial stops: the health verdict in front, successive halving behind it.

Pure: Ray's scheduler (`sweeps.cluster.tune_shell`) is a thin shell over this, and a replay of recorded sweeps runs
the same object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeps.records.outcomes import Reason
from sweeps.schedulers.rungs import Rungs
from trainables.health import Verdict, in_kl_grace

RUNG = Reason.RUNG
REDUCTION_FACTOR = 3
POLICIES = ("health-asha", "asha", "none")


@dataclass(frozen=True)
class Decision:
    """What to do with a trial after an epoch; reason and detail are those of the journal."""

    stop: bool
    reason: str = ""
    detail: str = ""


GO_ON = Decision(False)


class StoppingPolicy:
    """Decides after every epoch of every trial.

    `health-asha`: a condemned trial stops at once and its values leave the rungs; a control among them runs to its
    end, outside the rungs. `asha`: the rungs alone. `none`: every trial runs to its end.

    Raises:
        ValueError: an unknown policy.
    """

    def __init__(
        self,
        policy: str,
        epochs: int,
        metric: str,
        mode: str,
        grace_share: float = 0.05,
        reduction_factor: int = REDUCTION_FACTOR,
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"scheduler '{policy}': expected one of {', '.join(POLICIES)}")
        self.policy, self.metric = policy, metric
        self.sign = 1.0 if mode == "max" else -1.0
        self.rungs = Rungs(epochs, reduction_factor, first=max(1, math.ceil(grace_share * epochs)))
        self._last_epoch: dict[int, int] = {}
        self._condemned_controls: set[int] = set()

    def on_epoch(self, trial: int, row: Mapping[str, Any], control: bool = False) -> Decision:
        """The decision after an epoch; `row` is a row of the epoch log. An epoch seen before changes nothing."""
        epoch = int(row["epoch"])
        if self.policy == "none" or epoch <= self._last_epoch.get(trial, 0):
            return GO_ON
        self._last_epoch[trial] = epoch
        verdict = Verdict(row["verdict"])
        if self.policy == "health-asha" and verdict.condemned:
            self.rungs.forget(trial)
            if not control:
                return Decision(True, verdict.value, row["verdict_detail"])
            self._condemned_controls.add(trial)
        if trial in self._condemned_controls:
            return GO_ON
        value = row.get(self.metric)
        value = math.nan if value is None else self.sign * value
        cohort = "rising KL" if in_kl_grace(row) else ""
        rung = self.rungs.judge(trial, epoch, value, cohort)
        if rung.go_on:
            return GO_ON
        return Decision(True, RUNG, self._rung_detail(epoch, value, rung.cutoff, rung.seen, cohort))

    def on_failure(self, trial: int) -> None:
        """A trial that failed sets no cutoff."""
        self.rungs.forget(trial)

    def restore(self, trial: int, control: bool, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rebuild the rungs from the recorded epochs of a trial. The order of the trials does not matter."""
        for row in rows:
            self.on_epoch(trial, row, control)

    def _rung_detail(self, epoch: int, value: float, cutoff: float, seen: int, cohort: str) -> str:
        among = f" with {cohort}" if cohort else ""
        value, cutoff = self.sign * value, self.sign * cutoff
        side = "below" if self.sign > 0 else "above"
        return f"{self.metric} {value:.4g} {side} the cutoff {cutoff:.4g} of {seen} trials{among} at epoch {epoch}"
