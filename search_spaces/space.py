"""Search spaces as typed data: one definition serves Optuna, the plan, the docs and the validation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeGuard

import numpy as np

from search_spaces.target import Target

Value = float | int | bool | str | None
SCORE = ("val/elbo_gain",)
DEFAULT: Any = object()  # of a baseline: None is a value
Kind = Literal["float", "log", "int", "choice", "fixed"]


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter: its documented values, the range to search, and where they come from.

    `kind` says how it is searched: `float`, `log` (log-uniform) and `int` over [low, high], `choice` over
    `choices`, `fixed` not at all. Values outside the range are legal when set by hand as long as they lie in
    [minimum, maximum], or, for names, among `choices` and `unsearched`.

    Raises:
        ValueError: the definition contradicts itself (empty range, a log range that touches zero, …).
    """

    name: str
    kind: Kind
    default: Value  # the documented fix
    baseline: Value = DEFAULT  # the documented "before"; the default where nothing else is said
    doc: str = ""
    source: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()
    unsearched: tuple[Value, ...] = ()
    minimum: float = 0.0
    maximum: float = math.inf
    when: tuple[str, Value] | None = None  # searched only while that other parameter has that value
    demo: Value = None  # on the embedded data, where the documented value is too large for a laptop
    data: bool = False  # says how the data is prepared: the same in all trials of a sweep
    memory: bool = False  # the larger, the more memory a trial needs

    def __post_init__(self) -> None:
        if self.baseline is DEFAULT:
            object.__setattr__(self, "baseline", self.default)
        if self.kind in ("float", "log", "int"):
            if self.low is None or self.high is None or not self.low < self.high:
                raise ValueError(f"{self.name}: the range {self.low}..{self.high} is empty; expected low < high")
            if self.kind == "log" and self.low <= 0:
                raise ValueError(f"{self.name}: a log range must start above 0, found {self.low:g}")
            if not (self.minimum <= self.low and self.high <= self.maximum):
                legal = f"{self.minimum:g}..{self.maximum:g}"
                raise ValueError(f"{self.name}: {self.low:g}..{self.high:g} leaves the legal {legal}")
        elif self.kind == "choice" and len(self.choices) < 2:
            raise ValueError(f"{self.name}: a choice needs at least two values, found {list(self.choices)}")
        if self.data and self.searched:
            raise ValueError(f"{self.name}: data is prepared once for all trials; expected kind fixed")

    @property
    def searched(self) -> bool:
        """False for a value that is the same in every trial."""
        return self.kind != "fixed"

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of the range.

        Raises:
            TypeError: there is none, for the parameter is fixed or a choice.
        """
        return number(self.low), number(self.high)

    @property
    def range_text(self) -> str:
        """The range as the docs and the plan print it."""
        if self.kind == "fixed":
            return show(self.default)
        if self.kind == "choice":
            return "{" + ", ".join(show(value) for value in self.choices) + "}"
        return f"[{self.low:g}, {self.high:g}]" + (" log" if self.kind == "log" else "")

    def contains(self, value: Value) -> bool:
        """True if the search could draw `value`."""
        if self.kind == "fixed":
            return value == self.default
        if self.kind == "choice":
            return any(value == choice and type(value) is type(choice) for choice in self.choices)
        low, high = self.bounds
        return _is_number(value) and low <= value <= high

    def problem(self, value: Value) -> str | None:
        """Why `value` is not legal, None if it is."""
        named = [other for other in self._known_values() if not _is_number(other)]
        if any(value is other or (isinstance(value, str) and value == other) for other in named):
            return None
        if not self._numeric:
            return f"{self.name}={show(value)}: expected one of {', '.join(map(show, self._known_values()))}"
        if not _is_number(value) or not math.isfinite(value):
            extra = "".join(f" or {show(other)}" for other in named)
            return f"{self.name}={show(value)}: expected a number{extra}"
        if self._integral and value != int(value):
            return f"{self.name}={show(value)}: expected a whole number"
        if not self.minimum <= value <= self.maximum:
            legal = (
                f"at least {self.minimum:g}" if math.isinf(self.maximum) else f"{self.minimum:g} to {self.maximum:g}"
            )
            return f"{self.name}={show(value)}: expected {legal} {self.unit}".rstrip()
        return None

    def parse(self, text: str) -> Value:
        """The value that `text` means for this parameter.

        Raises:
            ValueError: `text` is not a legal value; the message names parameter, value and what was expected.
        """
        value = _parse(text, self._known_values(), integral=self._integral)
        if problem := self.problem(value):
            raise ValueError(problem)
        return value

    def fixed_at(self, text: str) -> Parameter:
        """This parameter with the value of `text` in every trial."""
        value = self.parse(text)
        return replace(self, kind="fixed", default=value, baseline=value, when=None)

    def searched_over(self, text: str) -> Parameter:
        """This parameter searched over `low..high` or over the values `a,b,c`.

        Raises:
            ValueError: the text is neither, or leaves what is legal.
        """
        if self.data:
            raise ValueError(f"{self.name}={text}: data is prepared once for all trials; fix it with --set instead")
        low, dots, high = text.partition("..")
        if not dots:
            values = tuple(dict.fromkeys(self.parse(part.strip()) for part in text.split(",")))
            return replace(self, kind="choice", choices=values, low=None, high=None)
        if not self._numeric:
            raise ValueError(f"{self.name}={text}: expected values separated by commas, as in {self.range_text}")
        least, most = self.parse(low), self.parse(high)
        if not (_is_number(least) and _is_number(most)):
            raise ValueError(f"{self.name}={text}: expected two numbers, as in 0.1..0.5")
        kind = self.kind if self.kind in ("float", "log", "int") else "int" if self._integral else "float"
        return replace(self, kind=kind, choices=(), low=least, high=most)

    def draw(self, rng: np.random.Generator) -> Value:
        """One random value of the range."""
        if self.kind == "fixed":
            return self.default
        if self.kind == "choice":
            return self.choices[int(rng.integers(len(self.choices)))]
        low, high = self.bounds
        if self.kind == "int":
            return int(rng.integers(int(low), int(high) + 1))
        if self.kind == "log":
            return float(np.exp(rng.uniform(math.log(low), math.log(high))))
        return float(rng.uniform(low, high))

    def _known_values(self) -> list[Value]:
        return list(dict.fromkeys([*self.choices, *self.unsearched, self.default, self.baseline]))

    @property
    def _numeric(self) -> bool:
        return any(_is_number(value) for value in self._known_values())

    @property
    def _integral(self) -> bool:
        numbers = [value for value in self._known_values() if _is_number(value)]
        return bool(numbers) and all(isinstance(value, int) for value in numbers)


Rule = Callable[[Mapping[str, Value]], str | None]  # a configuration → what is wrong with it


@dataclass(frozen=True)
class SearchSpace:
    """The hyperparameters of a model, its budgets and the metrics its trials may be ranked by."""

    model: str
    parameters: tuple[Parameter, ...]
    metrics: tuple[str, ...] = SCORE  # that trials may be ranked by; the first is the default
    mode: Literal["max", "min"] = "max"
    epochs: int = 100  # per trial, on the user's data
    trials: int = 50
    demo_epochs: int = 12  # on the embedded data: minutes on a laptop
    demo_trials: int = 12
    rules: tuple[Rule, ...] = ()  # what configurations must obey beyond each value's own range
    thresholds: Mapping[str, float] = field(default_factory=dict)  # of the health verdict, other than the usual ones
    targets: tuple[Target, ...] = ()  # stated by the model's source; told, never ranked by
    kl_weight: str | None = None  # the parameter that the final weight of the KL is proportional to

    def __getitem__(self, name: str) -> Parameter:
        return next(parameter for parameter in self.parameters if parameter.name == name)

    @property
    def states_metrics(self) -> bool:
        """False where the space leaves the score of our own loop."""
        return self.metrics != SCORE

    @property
    def metric(self) -> str:
        """The metric trials are ranked by unless another is chosen."""
        return self.metrics[0]

    @property
    def searched(self) -> list[Parameter]:
        """The parameters that vary."""
        return [parameter for parameter in self.parameters if parameter.searched]

    def documented(self) -> dict[str, Value]:
        """The configuration with every documented fix."""
        return {parameter.name: parameter.default for parameter in self.parameters}

    def baseline(self) -> dict[str, Value]:
        """The documented configuration before the fixes."""
        return {parameter.name: parameter.baseline for parameter in self.parameters}

    @property
    def has_baseline(self) -> bool:
        """False where there is no "before": trial 2 would be the twin of trial 1."""
        return self.documented() != self.baseline()

    def on_embedded(self) -> SearchSpace:
        """This space as it is used on the model's embedded data."""
        return replace(
            self,
            parameters=tuple(
                parameter
                if parameter.demo is None
                else replace(parameter, default=parameter.demo, baseline=parameter.demo)
                for parameter in self.parameters
            ),
        )

    def data_settings(self) -> dict[str, Value]:
        """The values of the parameters that say how the data is prepared."""
        return {parameter.name: parameter.default for parameter in self.parameters if parameter.data}

    def memory_advice(self) -> str:
        """What to do about a trial that ran out of memory, as half a sentence; '' if no hyperparameter helps."""
        names = [parameter.name for parameter in self.parameters if parameter.memory]
        listed = " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
        return f"a smaller {listed} needs less (--set NAME=VALUE or --space NAME=LOW..HIGH)" if names else ""

    def problems(self, config: Mapping[str, Value]) -> list[str]:
        """What the rules have against `config`."""
        return [problem for rule in self.rules if (problem := rule(config))]

    def contains(self, config: Mapping[str, Value]) -> bool:
        """True if the search could draw `config`."""
        return all(parameter.contains(config[parameter.name]) for parameter in self.parameters)

    def draw(self, rng: np.random.Generator) -> dict[str, Value]:
        """One random configuration; a parameter whose condition does not hold keeps its documented value."""
        config = {parameter.name: parameter.draw(rng) for parameter in self.parameters}
        for parameter in self.parameters:
            if not applies(parameter, config):
                config[parameter.name] = parameter.default
        return config

    def changed(self, fix: list[str], vary: list[str]) -> tuple[SearchSpace, list[str]]:
        """This space with `name=value` fixed and `name=low..high` (or `name=a,b,c`) searched.

        Returns:
            The new space, and every problem found (the space is this one's where there was a problem).
        """
        parameters = {parameter.name: parameter for parameter in self.parameters}
        problems: list[str] = []
        for flag, texts, change in (
            ("--set", fix, Parameter.fixed_at),
            ("--space", vary, Parameter.searched_over),
        ):
            for text in texts:
                name, equals, value = text.partition("=")
                if not equals:
                    problems.append(f"{flag} {text}: expected name=value")
                elif name not in parameters:
                    problems.append(
                        f"{flag} {text}: {self.model} has no hyperparameter '{name}'; it has: "
                        + ", ".join(parameters)
                    )
                else:
                    try:
                        parameters[name] = change(parameters[name], value)
                    except ValueError as error:
                        problems.append(f"{flag} {error}")
        changed = replace(self, parameters=tuple(parameters.values()))
        if not problems:
            problems = list(
                dict.fromkeys(problem for corner in changed.corners() for problem in changed.problems(corner))
            )
        named = Counter(text.partition("=")[0] for text in [*fix, *vary])
        problems += [
            f"--set and --space name {name} {times} times: once is enough"
            for name, times in named.items()
            if times > 1
        ]
        return changed, problems

    def corners(self) -> Iterator[dict[str, Value]]:
        """The documented and the "before" configuration, and the documented one at each end of each range."""
        yield from (self.documented(), self.baseline())
        for parameter in self.searched:
            ends = parameter.choices if parameter.kind == "choice" else (parameter.low, parameter.high)
            yield from (self.documented() | {parameter.name: value} for value in ends)


def applies(parameter: Parameter, config: Mapping[str, Value]) -> bool:
    """True if `parameter` is searched in a trial that has the values of `config` so far."""
    return parameter.when is None or config.get(parameter.when[0]) == parameter.when[1]


def show(value: Value) -> str:
    """A value as the command line writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def number(value: Value) -> float:
    """`value` where only a number makes sense: an end of a range, a hyperparameter that has no names.

    Raises:
        TypeError: it is none.
    """
    if not _is_number(value):
        raise TypeError(f"{show(value)}: expected a number")
    return value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parse(text: str, known: list[Value], integral: bool) -> Any:
    spelled = {show(value): value for value in known}
    spelled |= {"true": True, "false": False} if any(isinstance(value, bool) for value in known) else {}
    if text.lower() in spelled:
        return spelled[text.lower()]
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if integral and number.is_integer() else number
