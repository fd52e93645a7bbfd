"""Is a trial sick? One verdict from its metrics so far, with the reason and the numbers.

Pure: the training worker, the scheduler, the replay and the report all read the same verdict. Never judged on:
the constrained KL (free bits hold it up), DIP penalties (least at full collapse), TC estimates (can look healthy
on a collapsed encoder).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]
Metric = Callable[[str], Any]  # by name: a number of one epoch, or an array (R,) of many; NaN where there is none

ACTIVE_VARIANCE = 0.01  # of mu over the data; Burda, Grosse, Salakhutdinov 2016, section 5.2
UNSEEN_PATIENCE = 3  # times as many evaluations where the decoder is not seen
JUDGED = ("train/loss", "val/loss", "val/elbo_gain", "health/kl_raw", "train/kl_peak")  # must be finite


class Verdict(StrEnum):
    """The state of a trial after an epoch."""

    HEALTHY = "HEALTHY"
    GRACE = "GRACE"  # looks sick, but it is too early to say, or not yet confirmed
    NUMERIC = "NUMERIC"
    COLLAPSED = "COLLAPSED"
    CODEBOOK_COLLAPSED = "CODEBOOK_COLLAPSED"
    DIVERGED = "DIVERGED"
    IGNORES_Z = "IGNORES_Z"  # reported, never ranked or exported as the best, not stopped
    OTHER = "OTHER"  # a word of a newer program in a log

    @classmethod
    def _missing_(cls, value: object) -> Verdict | None:
        return cls.OTHER if isinstance(value, str) else None

    @property
    def condemned(self) -> bool:
        """True if the trial should be stopped."""
        return self in SICKNESSES and SICKNESSES[self].stops


@dataclass(frozen=True)
class HealthConfig:
    """Thresholds. KL in nats per sample."""

    au_frac_floor: float = 0.0  # collapsed when no unit is active, or a smaller share than this, and …
    kl_floor: float = 0.1  # … raw KL is below this …
    z_gain_floor: float = (
        0.01  # … or the decoder gains less than this from z; below it z is ignored, whatever AU says
    )
    codebook_usage_floor: float = 0.02  # share of codes
    kl_ceiling: float = 1e6  # beyond any sense: NUMERIC
    divergence_ratio: float = 2.0  # held-out error against that of the best constant, and the trial's own best
    few_units: float = 0.1  # this share of active units, or one, counts as hardly any in the evaluations before
    consecutive: int = 2  # evaluations in a row …
    collapse_share: float = 0.1  # … and for a collapse those of this share of the epoch budget: many wake up late
    grace_share: float = 0.05  # of the epoch budget
    control_share: float = 0.05  # of the condemned keep running

    @classmethod
    def from_record(cls, recorded: Mapping[str, Any]) -> HealthConfig:
        """The thresholds of a sweep's record; those that this version does not know are left out."""
        return cls(**{name: value for name, value in recorded.items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Health:
    """A verdict, and a sentence with the numbers behind it ('' when there is nothing to say)."""

    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True)
class Symptom:
    """What makes an epoch look sick.

    Args:
        verdict: if it shows now, and `before` has for `HealthConfig.consecutive` evaluations in a row.
        shows: True where it shows; of one epoch or, with arrays, of many.
        explain: half a sentence with the numbers.
        counts: the epochs in which it may be judged.
        before: what has to show in the evaluations before; None for the same.
        since: that, in words.
        lasts: True if it has to show for `HealthConfig.collapse_share` of the budget as well.
        patience: times `HealthConfig.consecutive` evaluations are needed.
    """

    verdict: Verdict
    shows: Callable[[Metric, HealthConfig], Any]
    explain: Callable[[Row, HealthConfig], str]
    counts: Callable[[Row], bool]
    before: Callable[[Metric, HealthConfig], Any] | None = None
    since: str = "the same"
    lasts: bool = False
    patience: int = 1


def judge(rows: Sequence[Row], epochs: int, config: HealthConfig | None = None) -> Health:
    """The verdict after the last of `rows`.

    Args:
        rows: one metrics mapping per evaluated epoch, oldest first; each has `epoch` (from 1) and the metrics of
            the epoch log. Metrics a model does not have are simply not judged.
        epochs: the trial's budget.
    """
    config = config or HealthConfig()
    now = rows[-1]
    if broken := _broken(now, config):
        return Health(Verdict.NUMERIC, f"{broken} at epoch {now['epoch']:.0f}")
    findings = [_finding(symptom, rows, epochs, config) for symptom in SYMPTOMS]
    worst = max(findings, key=lambda health: (health.verdict.condemned, _SEVERITY.get(health.verdict, 0)))
    return worst if worst.detail else Health(worst.verdict, _not_finite(now))


def looks_sick(metric: Metric, config: HealthConfig) -> Any:
    """False where the verdict can only be HEALTHY; of one epoch or, with arrays, of many."""
    found = metric("health/kl_raw") > config.kl_ceiling
    found = found | (metric("train/kl_peak") > config.kl_ceiling)
    for symptom in SYMPTOMS:
        found = found | symptom.shows(metric, config)
    return found


def _finding(symptom: Symptom, rows: Sequence[Row], epochs: int, config: HealthConfig) -> Health:
    """Its verdict if it shows, and showed as often and as long as it has to; GRACE if that is not so yet."""
    now = rows[-1]

    def shows(row: Row) -> bool:
        told = symptom.shows if row is now or symptom.before is None else symptom.before
        if not told(_metric_of(row), config):
            return False
        return symptom.verdict is not Verdict.DIVERGED or _above_own_best(row, rows, config)

    if not shows(now):
        return Health(Verdict.HEALTHY)
    told = symptom.explain(now, config)
    recent = _judged_by(symptom, rows, epochs, config)
    if not recent or recent[-1] is not now or not all(shows(row) for row in recent):
        return Health(Verdict.GRACE, f"{told} at epoch {now['epoch']:.0f}; not yet judged or confirmed")
    first, last = recent[0]["epoch"], recent[-1]["epoch"]
    return Health(symptom.verdict, f"{told} at epoch {last:.0f}, {symptom.since} since epoch {first:.0f}")


def _judged_by(symptom: Symptom, rows: Sequence[Row], epochs: int, config: HealthConfig) -> Sequence[Row]:
    """The evaluations that all have to show the symptom, the last of them at the end; [] if it is too early."""
    grace = 0 if symptom.verdict is Verdict.CODEBOOK_COLLAPSED else grace_end(rows, epochs, config)
    counted = [row for row in rows if row["epoch"] > grace and symptom.counts(row)]
    times = symptom.patience * config.consecutive
    lasting = math.ceil(config.collapse_share * epochs) if symptom.lasts else 0
    if len(counted) < times or rows[-1]["epoch"] - grace < lasting:
        return []
    within = sum(row["epoch"] > rows[-1]["epoch"] - lasting for row in counted)
    return counted[-max(times, within) :]


def _metric_of(row: Row) -> Metric:
    def metric(name: str) -> float:
        value = row.get(name)
        return math.nan if value is None else value

    return metric


def grace_end(rows: Sequence[Row], epochs: int, config: HealthConfig) -> float:
    """The last epoch of the grace: the later of its share of the budget and the first epoch whose KL weight
    reached half its final value; infinity while it has not."""
    share = math.ceil(config.grace_share * epochs)
    reached = next((row["epoch"] for row in rows if _kl_weight_reached_half(row)), math.inf)
    return max(share, reached)


def in_kl_grace(row: Row) -> bool:
    """True while the KL weight is below half its final value."""
    return not _kl_weight_reached_half(row)


def is_control(sweep_seed: int, trial: int, config: HealthConfig | None = None) -> bool:
    """True if `trial`, once condemned, keeps running so that false stops are measured. Fixed by seed and index."""
    digest = hashlib.sha256(f"control:{sweep_seed}:{trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < (config or HealthConfig()).control_share * 2**64


def _broken(row: Row, config: HealthConfig) -> str:
    """What of loss, score and KL is not a number, or beyond sense; '' if all are fine."""
    bad = [name for name in JUDGED if (value := row.get(name)) is not None and not math.isfinite(value)]
    if bad:
        return ", ".join(f"{name} is {row[name]}" for name in bad)
    for name in ("health/kl_raw", "train/kl_peak"):
        if (row.get(name) or 0.0) > config.kl_ceiling:
            return f"{name} {row[name]:.3g} nats, beyond {config.kl_ceiling:.0e},"
    return ""


def _not_finite(row: Row) -> str:
    """Measures beside loss, score and KL that are no number: reported, no disease; '' if there are none."""
    bad = sorted(name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value))
    more = f" and {len(bad) - 3} more" if bad[3:] else ""
    listed = ", ".join(f"{name} is {row[name]}" for name in bad[:3])
    return f"{listed}{more} at epoch {row['epoch']:.0f}; not judged" if bad else ""


def _collapsed(metric: Metric, config: HealthConfig) -> Any:
    inactive = (metric("health/au") == 0) | (metric("health/au_frac") < config.au_frac_floor)
    return inactive & _nothing_in_z(metric, config)


def _inactive_unseen(metric: Metric, config: HealthConfig) -> Any:
    z_gain = metric("health/z_gain")
    return (metric("health/au") == 0) & (z_gain != z_gain)


def _nothing_in_z(metric: Metric, config: HealthConfig) -> Any:
    return (metric("health/kl_raw") < config.kl_floor) | _ignores_z(metric, config)


def _hardly_collapsed(metric: Metric, config: HealthConfig) -> Any:
    few = (metric("health/au") <= 1) | (metric("health/au_frac") <= max(config.few_units, config.au_frac_floor))
    return few & _nothing_in_z(metric, config)


def _ignores_z(metric: Metric, config: HealthConfig) -> Any:
    return metric("health/z_gain") < config.z_gain_floor


def _codebook_collapsed(metric: Metric, config: HealthConfig) -> Any:
    return metric("health/codebook_usage") < config.codebook_usage_floor


def _diverged(metric: Metric, config: HealthConfig) -> Any:
    return metric("val/mse") > config.divergence_ratio * metric("val/mse_constant")


def _above_own_best(row: Row, rows: Sequence[Row], config: HealthConfig) -> bool:
    return row["val/mse"] > config.divergence_ratio * _own_best(row, rows)


def _own_best(row: Row, rows: Sequence[Row]) -> float:
    return min(earlier["val/mse"] for earlier in rows if earlier["epoch"] <= row["epoch"])


def _explain_collapse(row: Row, config: HealthConfig) -> str:
    metric = _metric_of(row)
    return (
        f"{row['health/au']:.0f} of {row['health/dims']:.0f} units active, raw KL {row['health/kl_raw']:.2g} nats"
        f"{_below(metric('health/kl_raw'), config.kl_floor)}, z gain {metric('health/z_gain'):.2g}"
        f"{_below(metric('health/z_gain'), config.z_gain_floor)}, mutual information {metric('health/mi'):.2g} nats"
    )


def _explain_unseen(row: Row, config: HealthConfig) -> str:
    return (
        f"{row['health/au']:.0f} of {row['health/dims']:.0f} units active, raw KL {row['health/kl_raw']:.2g} nats; "
        "whether the decoder uses z was never measured,"
    )


def _below(value: float, floor: float) -> str:
    return f" (< {floor:g})" if value < floor else ""


def _explain_ignored(row: Row, config: HealthConfig) -> str:
    return f"the decoder ignores z: z gain {row['health/z_gain']:.2g} (< {config.z_gain_floor:g})"


def _explain_codebook(row: Row, config: HealthConfig) -> str:
    return f"{row['health/codebook_usage']:.1%} of the codes in use (< {config.codebook_usage_floor:.1%})"


def _explain_divergence(row: Row, config: HealthConfig) -> str:
    return (
        f"held-out error {row['val/mse']:.3g}, over {config.divergence_ratio:g} times that of the best constant "
        f"({row['val/mse_constant']:.3g}) and that of its own best epoch,"
    )


def _kl_shows(row: Row) -> bool:
    """True where collapse may be judged: with KL on, and of a cycle only at its end."""
    return row.get("schedule/kl_weight", 1.0) > 0 and _at_cycle_end(row)


def _at_cycle_end(row: Row) -> bool:
    return row.get("schedule/cycle_end", 1.0) > 0


def _codebook_ready(row: Row) -> bool:
    return bool(row.get("schedule/codebook_ready"))


def _always(row: Row) -> bool:
    return True


SYMPTOMS = (
    # Not "no unit active" throughout: under free bits single units come and go at the threshold.
    Symptom(
        Verdict.COLLAPSED,
        _collapsed,
        _explain_collapse,
        _kl_shows,
        _hardly_collapsed,
        "hardly any unit and no use of z",
        lasts=True,
    ),
    # A loop that never shows its decoder: no unit active is all there is to go by, so it has to last longer.
    Symptom(Verdict.COLLAPSED, _inactive_unseen, _explain_unseen, _kl_shows, lasts=True, patience=UNSEEN_PATIENCE),
    Symptom(Verdict.CODEBOOK_COLLAPSED, _codebook_collapsed, _explain_codebook, _codebook_ready),
    Symptom(Verdict.DIVERGED, _diverged, _explain_divergence, _always),
    Symptom(Verdict.IGNORES_Z, _ignores_z, _explain_ignored, _at_cycle_end),
)


@dataclass(frozen=True)
class Sickness:
    """What is told of a verdict that is neither HEALTHY nor GRACE.

    Args:
        outcome: what became of a trial that ended so, in a word or two of the report (`analysis.sweep.Outcome`).
        rule: what makes an epoch sick, with the thresholds; goes on "A trial is sick when …".
        cure: what to try.
        light, dark, marker: how the trial is drawn, on light and on dark ground; `marker` is matplotlib's.
        stops: True if the trial is condemned, False if it is only told and never ranked.
    """

    outcome: str
    rule: Callable[[HealthConfig], str]
    cure: str
    light: str
    dark: str
    marker: str
    stops: bool = True


COLLAPSE = "collapsed"  # the outcome of trials that have nothing left in z, or in the codes
_USE_Z = "Lower the KL weight (--plan names the critical one), warm it up longer or raise the free bits"
_STEADY = "Lower the learning rate or clip the gradients (grad_clip_norm)"


def _collapse_rule(config: HealthConfig) -> str:
    few = f"less than {config.au_frac_floor:.0%} of the units are" if config.au_frac_floor else "no unit is"
    kl, z_gain = f"raw KL is below {config.kl_floor:g} nats", f"z gain below {config.z_gain_floor:g}"
    lasting = f"throughout the last {config.collapse_share:.0%} of the budget hardly any was and z of no use"
    return f"{few} active and its {kl} or its {z_gain}, whatever the KL: free bits may hold it up; and {lasting}"


# Of every verdict that a symptom may have. Judge, schedulers, replay, report, forecast and advice read these two.
SICKNESSES = {
    Verdict.COLLAPSED: Sickness(COLLAPSE, _collapse_rule, _USE_Z, "#d55e00", "#f0813a", "X"),
    Verdict.CODEBOOK_COLLAPSED: Sickness(
        COLLAPSE,
        lambda config: f"less than {config.codebook_usage_floor:.0%} of the codes are in use",
        "Use moving averages and reset dead codes, or fewer codes",
        "#d55e00", "#f0813a", "X",
    ),
    Verdict.NUMERIC: Sickness(
        "numeric",
        lambda config: f"loss, score or KL is no finite number, or the KL exceeds {config.kl_ceiling:.0e} nats",
        _STEADY, "#b2558d", "#d98dbb", "P",
    ),
    Verdict.DIVERGED: Sickness(
        "diverged",
        lambda config: f"its held-out error is over {config.divergence_ratio:g} times that of the best constant, and "
        "that of its own best epoch",
        _STEADY, "#c98a00", "#e8b34a", "^",
    ),
    Verdict.IGNORES_Z: Sickness(
        "ignores z",
        lambda config: f"its z gain is below {config.z_gain_floor:g} though units are active",
        f"Give the decoder less beside z, or: {_USE_Z[0].lower()}{_USE_Z[1:]}",
        "#8a5a2b", "#c39160", "p",
        stops=False,
    ),
}  # fmt: skip
_SEVERITY = {Verdict.GRACE: 1} | {verdict: 2 for verdict, sickness in SICKNESSES.items() if not sickness.stops}


def is_collapse(verdict: str | None) -> bool:
    """True for the verdicts, and the reasons of stops, that say that nothing is left in z, or in the codes."""
    return any(verdict == sick and sickness.outcome == COLLAPSE for sick, sickness in SICKNESSES.items())


def _kl_weight_reached_half(row: Row) -> bool:
    return row.get("schedule/kl_weight", 1.0) >= 0.5 * row.get("schedule/kl_weight_final", 1.0)
