"""Ablation studies and documented claims as data: named differences from a reference configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

from search_spaces.space import SearchSpace, Value, show

DOCUMENTED = "(documented)"  # in a step: the documented value of the space, which is another on embedded data
Changes = Mapping[str, Value]
Form = Literal["ladder", "leave-one-out", "one-at-a-time", "pairwise"]
FORMS = ("ladder", "leave-one-out", "one-at-a-time", "pairwise")
Base = Literal["documented", "baseline"]
Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Comparison:
    """Two configurations that differ in what a study or a claim is about, in the order before → after."""

    name: str
    before: dict[str, Value]
    after: dict[str, Value]


@dataclass(frozen=True)
class Study:
    """Steps away from a reference, each a few hyperparameters.

    `ladder`: each step is added to the ones before it and compared with them. `one-at-a-time`: each alone against
    the reference. `leave-one-out`: the reference with all steps against it without one. `pairwise`: every single
    step and every pair against the reference.
    """

    name: str
    doc: str
    source: str
    form: Form
    steps: Mapping[str, Changes]
    base: Base = "baseline"
    changes: Changes = field(default_factory=dict)  # to the base, before any step

    def comparisons(self, space: SearchSpace) -> list[Comparison]:
        """What is compared, in `space`."""
        start = reference(space, self.base, self.changes)
        steps = {name: _resolved(space, changes) for name, changes in self.steps.items()}
        return list(_FORMS[self.form](replace(self, steps=steps), start))

    def problems(self, space: SearchSpace) -> list[str]:
        """What is wrong with the study: names and values that the space does not know."""
        steps = {"changes": self.changes, **self.steps} if self.changes else self.steps
        return [f"{self.name}, {step}: {problem}" for step in steps for problem in _problems(space, steps[step])]


@dataclass(frozen=True)
class Claim:
    """A piece of documented advice: going from `before` to `after` moves `metric` in `direction`.

    A claim about the course of training compares two metrics of the same configuration: `metric_before`, if given,
    is what `before` is measured by. `health/kl_raw@0.5` is a metric at half of the budget, `health/kl_raw@0..0.5` how
    far it moves over the first half.
    """

    text: str
    source: str
    before: Changes
    after: Changes
    metric: str
    direction: Direction
    base: Base = "documented"  # what `before` and `after` are changes of
    metric_before: str | None = None

    def comparison(self, space: SearchSpace) -> Comparison:
        """The two configurations, in `space`."""
        return Comparison(
            self.text, reference(space, self.base, self.before), reference(space, self.base, self.after)
        )

    def problems(self, space: SearchSpace) -> list[str]:
        """What is wrong with the claim: names and values that the space does not know."""
        return [
            f"claim '{self.text}': {problem}"
            for part in (self.before, self.after)
            for problem in _problems(space, part)
        ]


def reference(space: SearchSpace, base: Base, changes: Changes) -> dict[str, Value]:
    """The documented or the "before" configuration with `changes`."""
    config = space.documented() if base == "documented" else space.baseline()
    return config | _resolved(space, changes)


def varied(space: SearchSpace, texts: Sequence[str]) -> tuple[list[Study], list[str]]:
    """A one-at-a-time study for each `name=a,b,c`, around the documented configuration, and every problem."""
    studies, problems = [], []
    for text in texts:
        name, _, values = text.partition("=")
        known = {parameter.name: parameter for parameter in space.parameters}
        if name not in known or not values:
            problems.append(f"--vary {text}: expected name=a,b,c with one of {', '.join(known)}")
            continue
        try:
            chosen = [known[name].parse(value.strip()) for value in values.split(",")]
        except ValueError as error:
            problems.append(f"--vary {error}")
            continue
        steps = {f"{name}={show(value)}": {name: value} for value in chosen if value != known[name].default}
        doc = f"{name} around its documented value {show(known[name].default)}"
        studies.append(Study(f"vary {name}", doc, "command line", "one-at-a-time", steps, "documented"))
    return studies, problems


def _ladder(study: Study, start: dict[str, Value]) -> Iterator[Comparison]:
    before = start
    for name, changes in study.steps.items():
        after = before | dict(changes)
        yield Comparison(f"+ {name}", before, after)
        before = after


def _one_at_a_time(study: Study, start: dict[str, Value]) -> Iterator[Comparison]:
    for name, changes in study.steps.items():
        yield Comparison(name, start, start | dict(changes))


def _leave_one_out(study: Study, start: dict[str, Value]) -> Iterator[Comparison]:
    def with_steps(names: Sequence[str]) -> dict[str, Value]:
        return start | {key: value for name in names for key, value in study.steps[name].items()}

    full = with_steps(list(study.steps))
    for left_out in study.steps:
        yield Comparison(f"− {left_out}", full, with_steps([name for name in study.steps if name != left_out]))


def _pairwise(study: Study, start: dict[str, Value]) -> Iterator[Comparison]:
    yield from _one_at_a_time(study, start)
    for first, second in combinations(study.steps, 2):
        yield Comparison(f"{first} & {second}", start, start | dict(study.steps[first]) | dict(study.steps[second]))


_FORMS = {
    "ladder": _ladder,
    "one-at-a-time": _one_at_a_time,
    "leave-one-out": _leave_one_out,
    "pairwise": _pairwise,
}


def _resolved(space: SearchSpace, changes: Changes) -> dict[str, Value]:
    documented = space.documented()
    return {name: documented[name] if value == DOCUMENTED else value for name, value in changes.items()}


def _problems(space: SearchSpace, changes: Changes) -> list[str]:
    known = {parameter.name: parameter for parameter in space.parameters}
    problems = [f"{space.model} has no hyperparameter '{name}'" for name in changes if name not in known]
    return problems + [
        problem
        for name, value in changes.items()
        if name in known and value != DOCUMENTED and (problem := known[name].problem(value))
    ]
