"""The settings of a scheduler: frozen numbers with a range each, read from text in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from trainables.health import HealthConfig


@dataclass(frozen=True)
class Rule:
    """How one setting is read from text, and which values it may have."""

    read: Callable[[str], float]
    valid: Callable[[Any], bool]
    expected: str


SHARE_OF_BUDGET = Rule(float, lambda value: 0 <= value < 1, "a share of the budget, from 0 to below 1")
SHARE = Rule(float, lambda value: 0 <= value <= 1, "a share from 0 to 1")
FROM_TWO = Rule(int, lambda value: value >= 2, "a whole number from 2")
FROM_ONE = Rule(int, lambda value: value >= 1, "a whole number from 1")


def setting(rule: Rule, default: Any) -> Any:
    """A field of a settings dataclass. A default of None leaves the number to the sweep's health thresholds."""
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class Settings:
    """The settings of a scheduler that has none; base of all others.

    Raises:
        ValueError: naming every value out of its range.
    """

    def __post_init__(self) -> None:
        problems = [
            f"{one.name}={value}: expected {rule.expected}"
            for one in fields(self)
            if (rule := one.metadata["rule"]) and (value := getattr(self, one.name)) is not None
            and not rule.valid(value)
        ]  # fmt: skip
        if problems:
            raise ValueError("; ".join(problems))

    def health(self, thresholds: HealthConfig) -> HealthConfig:
        """The thresholds that trials are judged by under these settings."""
        return thresholds

    @classmethod
    def rules(cls) -> dict[str, Rule]:
        """The settings by name."""
        return {one.name: one.metadata["rule"] for one in fields(cls)}
