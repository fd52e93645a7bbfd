"""The schedulers that can be replayed: none, asha and health-asha as `sweeps/` runs them, median and hyperband.

A variant is written `NAME:key=value,…`, as in `health-asha:eta=4,grace=0.1,patience=3,control=0`:

    grace      share of the budget in which the verdict condemns nobody and no rung lies
    eta        of the trials at a rung, one in eta goes on
    patience   sick evaluations in a row before the verdict condemns
    control    share of the condemned that keep running

What is not given is as recorded (grace, patience, control) or as in `sweeps/` (eta).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.replay.curves import Curves, Row
from analysis.replay.hyperband import Hyperband
from analysis.replay.median import MedianRule
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.schedulers.stopping import GO_ON, REDUCTION_FACTOR, RUNG, Decision, StoppingPolicy
from trainables.health import HealthConfig, is_control

PAUSE = Decision(True, RUNG, "waits at a rung")  # frees its worker, and may be taken up again


class Scheduler:
    """What the simulation asks. Trials are positions in the curves, epochs their rows."""

    def start(self, trial: int, last: bool) -> None:
        """A new trial starts; `last`: no other will."""

    def on_epoch(self, trial: int, at: int) -> Decision:
        """The decision after an epoch that is not the trial's last."""
        return GO_ON

    def end(self, trial: int, at: int) -> Decision:
        """Hear of the trial's last epoch; a stop is one in name."""
        return GO_ON

    def resume(self) -> int | None:
        """A paused trial that may go on, None if there is none."""
        return None


class Live(Scheduler):
    """The stopping policy of `sweeps/`, asked as `sweeps.run_state` asks it.

    Args:
        spec: which policy.
        curves: what it sees.
        verdicts: health by row.
        seed: chooses the controls.
    """

    def __init__(self, spec: Spec, curves: Curves, verdicts: JudgedVerdicts, seed: int) -> None:
        self._curves, self._verdicts, self._seed = curves, verdicts, seed
        self._health = spec.health(curves.health)
        self._policy = StoppingPolicy(
            spec.name,
            curves.epochs,
            curves.metric,
            curves.mode,
            self._health.grace_share,
            spec.settings.get("eta", REDUCTION_FACTOR),
        )
        self._control: list[bool] = [False] * len(curves)

    def start(self, trial: int, last: bool) -> None:
        """Choose whether it is a control."""
        self._control[trial] = is_control(self._seed, self._curves.numbers[trial], self._health)

    def on_epoch(self, trial: int, at: int) -> Decision:
        """As in the sweep."""
        row = Row(self._curves.columns, self._verdicts, at)
        return self._policy.on_epoch(self._curves.numbers[trial], row, self._control[trial])

    def end(self, trial: int, at: int) -> Decision:
        """Ray does not ask after the last epoch; a trial condemned there is stopped in name."""
        health = self._verdicts[at]
        if self._policy.policy == "health-asha" and health.verdict.condemned and not self._control[trial]:
            return Decision(True, health.verdict.value, health.detail)
        return GO_ON


class Median(Scheduler):
    """Vizier's median rule, with the grace of the others."""

    def __init__(self, spec: Spec, curves: Curves, verdicts: JudgedVerdicts, seed: int) -> None:
        grace = math.ceil(spec.health(curves.health).grace_share * curves.epochs)
        self._scores, self._rule = curves.scores.tolist(), MedianRule(grace)

    def on_epoch(self, trial: int, at: int) -> Decision:
        """Against the trials completed so far."""
        return Decision(True, RUNG, "below the median") if self._rule.stops(trial, self._scores[at]) else GO_ON

    def end(self, trial: int, at: int) -> Decision:
        """One more completed trial, unless its last value is not finite."""
        if not self._rule.stops(trial, self._scores[at]):
            self._rule.completed(trial)
        return GO_ON


class Brackets(Scheduler):
    """Hyperband."""

    def __init__(self, spec: Spec, curves: Curves, verdicts: JudgedVerdicts, seed: int) -> None:
        self._scores, self._epochs = curves.scores.tolist(), curves.columns["epoch"]
        self._hyperband = Hyperband(curves.epochs, spec.settings.get("eta", REDUCTION_FACTOR))

    def start(self, trial: int, last: bool) -> None:
        """Into the bracket being filled."""
        self._hyperband.start(trial, last)

    def on_epoch(self, trial: int, at: int) -> Decision:
        """Pause at a rung until the bracket is there."""
        return PAUSE if self._hyperband.pauses(trial, self._epochs[at], self._scores[at]) else GO_ON

    def end(self, trial: int, at: int) -> Decision:
        """Nobody waits for it any more."""
        self._hyperband.ended(trial)
        return GO_ON

    def resume(self) -> int | None:
        """The first of those that may go on."""
        return self._hyperband.resumable.popleft() if self._hyperband.resumable else None


@dataclass(frozen=True)
class Setting:
    """A number of a variant: its type and its range."""

    read: Callable[[str], Any]
    valid: Callable[[Any], bool]
    expected: str


SETTINGS = {
    "grace": Setting(float, lambda value: 0 <= value < 1, "a share of the budget, from 0 to below 1"),
    "eta": Setting(int, lambda value: value >= 2, "a whole number from 2"),
    "patience": Setting(int, lambda value: value >= 1, "a whole number from 1"),
    "control": Setting(float, lambda value: 0 <= value <= 1, "a share from 0 to 1"),
}
SCHEDULERS: dict[str, tuple[type[Scheduler], tuple[str, ...]]] = {
    "none": (Live, ()),
    "asha": (Live, ("grace", "eta")),
    "median": (Median, ("grace",)),
    "hyperband": (Brackets, ("eta",)),
    "health-asha": (Live, ("grace", "eta", "patience", "control")),
}


@dataclass(frozen=True)
class Spec:
    """A scheduler and its settings, as written on the command line."""

    text: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    def health(self, recorded: HealthConfig) -> HealthConfig:
        """The thresholds it judges by."""
        fields = {"grace": "grace_share", "patience": "consecutive", "control": "control_share"}
        return replace(recorded, **{fields[key]: value for key, value in self.settings.items() if key in fields})

    def factory(self, curves: Curves) -> Callable[[int], Scheduler]:
        """Makes fresh schedulers for `curves`, each with its own seed of the controls."""
        verdicts = JudgedVerdicts(curves, self.health(curves.health))
        kind = SCHEDULERS[self.name][0]
        return lambda seed: kind(self, curves, verdicts, seed)


def parse(text: str) -> Spec:
    """`NAME` or `NAME:key=value,…`.

    Raises:
        ValueError: naming everything that is wrong with it.
    """
    name, _, rest = text.partition(":")
    if name not in SCHEDULERS:
        raise ValueError(f"--scheduler {text}: unknown scheduler '{name}'; expected one of {', '.join(SCHEDULERS)}")
    settings, problems = {}, []
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        try:
            settings[key] = _setting(name, key, value)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError(f"--scheduler {text}: {'; '.join(problems)}")
    return Spec(text, name, settings)


def _setting(name: str, key: str, text: str) -> Any:
    known = SCHEDULERS[name][1]
    if key not in known:
        raise ValueError(
            f"{name} has no setting '{key}', only {', '.join(known)}" if known else f"{name} has no settings"
        )
    setting = SETTINGS[key]
    with suppress(ValueError):
        value = setting.read(text)
        if setting.valid(value):
            return value
    raise ValueError(f"{key}={text}: expected {setting.expected}")
