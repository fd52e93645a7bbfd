"""Names of metrics as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from sweeps import course
from trainables.metrics import BY_NAME, ENVIRONMENT, TEST, VALIDATION

HEALTH = (
    "health/au",
    "health/kl_raw",
    "health/mi",
    "health/z_gain",
    "health/codebook_usage",
    "health/perplexity",
    "health/dead_codes",
    "health/tc",
    "health/tc_mixture",
    "health/dw_kl",
    "health/cov_mu_offdiag",
    "health/latent_correlation",
    "health/shift_sensitivity",
    "health/checkerboard",
    "health/kl_floor_frac",
    "val/sample_diversity",
)

_PLACES = {metric: place for place, metric in enumerate(BY_NAME)}
_HELD_OUT = {  # how names begin of what is described for validation data: its label and meaning
    TEST: ("test ", ", on data that no choice has seen"),
    ENVIRONMENT: ("environment ", ", in the environment that was held out"),
}


def order(metrics: Iterable[str]) -> list[str]:
    """Metrics in reading order: those described here first, each with its parts behind it, the others by name."""
    return sorted(metrics, key=lambda metric: (_PLACES.get(_family(metric)[0], len(_PLACES)), metric))


def label(metric: str) -> str:
    """A metric's short name: a column header, an axis."""
    if course.is_course(metric):
        return f"{label(course.base(metric))} {_when(metric)}"
    family, part = _family(metric)
    known = (
        BY_NAME[family].label if family in BY_NAME else family.partition("/")[2].replace("_", " ").replace("/", " ")
    )
    held_out = _held_out(metric)[0]
    return " ".join(text for text in (f"{held_out}{known or metric}", part) if text)


def meaning(metric: str) -> str:
    """What a metric says, as half a sentence; '' for one not described here."""
    if course.is_course(metric):
        described = meaning(course.base(metric))
        return described and f"{described}; {_when(metric)}"
    family, part = _family(metric)
    if family not in BY_NAME:
        return ""
    held_out = _held_out(metric)[1]
    return f"{BY_NAME[family].meaning}{f', for {part} alone' if part else ''}{held_out}"


def _when(metric: str) -> str:
    """Where in a trial's course: at 50 % of the budget."""
    places = [f"{share:.0%}" for share in course.shares(metric)]
    if len(places) == 1:
        return f"at {places[0]} of the budget"
    return f"its change from {places[0]} to {places[1]} of the budget"


def _held_out(metric: str) -> tuple[str, str]:
    return next((told for beginning, told in _HELD_OUT.items() if metric.startswith(beginning)), ("", ""))


def _family(metric: str) -> tuple[str, str]:
    """The metric that is described for `metric`, and the part of it: val/ssim and t1 of test/ssim/t1."""
    beginning = next(filter(metric.startswith, _HELD_OUT), None)
    name = VALIDATION + metric.removeprefix(beginning) if beginning else metric
    if name in BY_NAME:
        return name, ""
    family, _, part = name.rpartition("/")
    return (family, part) if family in BY_NAME else (name, "")
