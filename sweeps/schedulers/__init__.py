"""When a trial stops, waits and goes on: one class a file behind `base.Scheduler`.

Pure: the same objects decide in a running sweep, in its resume and in its replay. A scheduler is written
`NAME:key=value,…`, as in `asha:eta=4,grace=0.2`. A new one is a file in this folder with a subclass of `Scheduler`
that has a name; nothing else names it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from sweeps.schedulers.base import Scheduler, Task
from sweeps.schedulers.settings import Settings
from trainables.discovery import subclasses_in

DEFAULT = "health-asha"


@cache
def known() -> dict[str, type[Scheduler[Any]]]:
    """Every scheduler in this folder, by name."""
    found = subclasses_in(__name__, Scheduler, "name")
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.name)}


@dataclass(frozen=True)
class Spec:
    """A scheduler and its settings, as written on the command line."""

    text: str
    kind: type[Scheduler[Any]]
    settings: Settings

    def make(self, task: Task) -> Scheduler[Any]:
        """A fresh scheduler for a sweep."""
        return self.kind(task, self.settings)


def parse(text: str) -> Spec:
    """`NAME` or `NAME:key=value,…`.

    Raises:
        ValueError: naming everything that is wrong with it.
    """
    name, _, rest = text.partition(":")
    if name not in known():
        raise ValueError(f"--scheduler {text}: unknown scheduler '{name}'; expected one of {', '.join(known())}")
    kind = known()[name]
    values: dict[str, float] = {}
    problems = []
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key in values:
            problems.append(f"{key} is given twice")
        try:
            values[key] = _value(kind, key, value)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError(f"--scheduler {text}: {'; '.join(problems)}")
    return Spec(text, kind, kind.settings_type(**values))


def _value(kind: type[Scheduler[Any]], key: str, text: str) -> float:
    rules = kind.settings_type.rules()
    if key not in rules:
        has = f"no setting '{key}', only {', '.join(rules)}" if rules else "no settings"
        raise ValueError(f"{kind.name} has {has}")
    with suppress(ValueError):
        value = rules[key].read(text)
        if rules[key].valid(value):
            return value
    raise ValueError(f"{key}={text}: expected {rules[key].expected}")
