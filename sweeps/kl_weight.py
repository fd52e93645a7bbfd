"""Which KL weight for my data? Asked of the forecast, around the documented configuration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.space import Parameter, SearchSpace, number
from sweeps.forecasting import AnyForecaster, NoForecast
from trainables.forecast import Forecast

PRECISION = 1.01  # ratio of the two weights between which an answer lies
STEP = 8.0  # ratio of the weights tried until an answer lies between two of them
FURTHEST = 16  # such steps
COUNTS = (8, 32, 128)  # of active units
SPAN = 100.0  # ratio of the ends of a range that is proposed


@dataclass(frozen=True)
class KlWeight:
    """What the forecast says of the KL weight at the documented configuration.

    `critical`: above it theory keeps no unit active; None if that is so for any weight, infinity if for none.
    `units`: for some numbers of units, the largest weight that keeps as many active. `even`: the weight from which
    on collapse is the likelier end of training: 0 if it always is, infinity if never; None without a probability.
    `low`, `high`: the range that is searched.
    """

    name: str
    documented: float
    low: float
    high: float
    critical: float | None
    units: dict[int, float]
    even: float | None

    @property
    def beyond(self) -> bool:
        """True if every weight of the range lies beyond the critical one."""
        return self.critical is None or self.low > self.critical


def find(space: SearchSpace, forecaster: AnyForecaster) -> KlWeight | None:
    """The answer for the data of `forecaster`; None where the space names no KL weight, or nothing is forecast."""
    documented = space.documented()
    if space.kl_weight is None or isinstance(forecaster, NoForecast):
        return None
    if (forecast := forecaster.forecast(documented)) is None:
        return None
    parameter = space[space.kl_weight]

    def up_to(holds: Callable[[Forecast], bool]) -> float | None:
        def holds_at(weight: float) -> bool:
            forecast = forecaster.forecast(documented | {parameter.name: weight})
            return forecast is not None and holds(forecast)

        return _largest(holds_at, start)

    def keeping(count: int) -> float | None:
        return up_to(lambda forecast: forecast.au >= count)

    def survives(forecast: Forecast) -> bool:
        return forecast.collapse_probability is not None and forecast.collapse_probability < 0.5

    low, high = _range(parameter)
    start = float(number(parameter.default)) or high or 1.0
    units = forecaster.units(documented)
    found = {count: keeping(count) for count in (1, *COUNTS) if count == 1 or count <= units}
    even = None if forecast.collapse_probability is None else up_to(survives) or 0.0
    return KlWeight(
        name=parameter.name,
        documented=float(number(parameter.default)),
        low=low,
        high=high,
        critical=found[1],
        units={count: weight for count, weight in found.items() if weight is not None and math.isfinite(weight)},
        even=even,
    )


def warning(answer: KlWeight | None) -> str:
    """What has to be said before a sweep whose every KL weight lies beyond the critical one; '' if none has to."""
    if answer is None or not answer.beyond:
        return ""
    weights = f"{answer.low:.3g}" if answer.low == answer.high else f"{answer.low:.3g} to {answer.high:.3g}"
    if answer.critical is None:
        return (
            f"{answer.name}: at no KL weight do these data keep a unit active; the penalties on the posterior, or a "
            "lack of variance, forbid it."
        )
    proposed = f"{answer.critical / SPAN:.2g}..{answer.critical:.2g}"
    return (
        f"{answer.name} ({weights}) lies wholly beyond the critical weight {answer.critical:.3g} of these data: "
        f"theory forecasts that no unit stays active. Search below it: --space {answer.name}={proposed}"
    )


def sentences(answer: KlWeight | None) -> list[str]:
    """The answer in words, a line each."""
    if answer is None:
        return []
    if answer.critical is None:
        return [warning(answer)]
    if math.isinf(answer.critical):
        return [f"No KL weight ({answer.name}) is critical for these data."]
    kept = ", ".join(f"{count} up to {answer.units[count]:.2g}" for count in answer.units if count > 1)
    lines = [
        f"KL weight for these data, at the documented configuration: {answer.name} above {answer.critical:.3g} "
        f"collapses (σ² = λ₁; documented: {answer.documented:.3g})."
    ]
    lines += [f"Active units, at least: {kept}."] if kept else []
    return [*lines, *_learnt(answer.even, answer.critical), *filter(None, [warning(answer)])]


def _learnt(even: float | None, critical: float) -> list[str]:
    """What earlier trials say of the weight."""
    if even is None:
        return []
    if math.isinf(even):
        return ["By earlier trials no weight makes collapse the likelier end of training at this budget."]
    if even == 0.0:
        return ["By earlier trials collapse is the likelier end of training at this budget, whatever the weight."]
    told = f"By earlier trials collapse becomes the likelier end of training at this budget from {even:.2g} on"
    missed = ": between the two, training tends to miss the optimum" if even < critical else ""
    return [f"{told}{missed}."]


def _range(parameter: Parameter) -> tuple[float, float]:
    """The smallest and the largest weight that is searched; the documented one where none is."""
    if parameter.kind == "choice":
        values = [float(number(value)) for value in parameter.choices]
        return min(values), max(values)
    if parameter.searched:
        low, high = parameter.bounds
        return float(low), float(high)
    return float(number(parameter.default)), float(number(parameter.default))


def _largest(holds: Callable[[float], bool], start: float) -> float | None:
    """The largest weight for which `holds` is true, if it is true below some weight and false above.

    Returns:
        None if it is false however small the weight, infinity if true however large.
    """
    low = high = start
    for _ in range(FURTHEST):
        if holds(low):
            break
        low, high = low / STEP, low
    else:
        return None
    if low == high:
        for _ in range(FURTHEST):
            high *= STEP
            if not holds(high):
                break
            low = high
        else:
            return math.inf
    while high / low > PRECISION:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
