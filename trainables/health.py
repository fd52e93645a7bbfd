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

Row = Mapping[str, float]
Symptom = Callable[[Row, "HealthConfig"], str]  # what is wrong with an epoch, '' if nothing is

ACTIVE_VARIANCE = 0.01  # of mu over the data; Burda, Grosse, Salakhutdinov 2016, section 5.2


class Verdict(StrEnum):
    """The state of a trial after an epoch."""

    HEALTHY = "HEALTHY"
    GRACE = "GRACE"  # looks sick, but it is too early to say, or not yet confirmed
    NUMERIC = "NUMERIC"
    COLLAPSED = "COLLAPSED"
    CODEBOOK_COLLAPSED = "CODEBOOK_COLLAPSED"
    DIVERGED = "DIVERGED"

    @property
    def condemned(self) -> bool:
        """True if the trial should be stopped."""
        return self not in (Verdict.HEALTHY, Verdict.GRACE)


@dataclass(frozen=True)
class HealthConfig:
    """Thresholds. KL and MI in nats."""

    au_frac_floor: float = 0.0  # sick when no unit is active, or a smaller share than this
    kl_floor: float = 0.05  # sick below this raw KL …
    kl_floor_per_dim: bool = False  # … in total, or per latent dimension
    mi_floor: float = 0.05
    codebook_usage_floor: float = 0.02  # share of codes
    kl_ceiling: float = 1e6  # beyond any sense: NUMERIC
    divergence_ratio: float = 2.0  # held-out error against that of the mean predictor, and the trial's own best
    consecutive: int = 2  # evaluations in a row
    grace_share: float = 0.05  # of the epoch budget
    control_share: float = 0.05  # of the condemned keep running


@dataclass(frozen=True)
class Health:
    """A verdict, and a sentence with the numbers behind it ('' when healthy)."""

    verdict: Verdict
    detail: str = ""


def judge(rows: Sequence[Row], epochs: int, config: HealthConfig | None = None) -> Health:
    """The verdict after the last of `rows`.

    Args:
        rows: one metrics mapping per evaluated epoch, oldest first; each has `epoch` (from 1) and the metrics of
            the epoch log. Metrics a model does not have are simply not judged.
        epochs: the trial's budget.
    """
    config = config or HealthConfig()
    now = rows[-1]
    if broken := _not_finite(now, config):
        return Health(Verdict.NUMERIC, f"{broken} at epoch {now['epoch']:.0f}")
    after_grace = [row for row in rows if row["epoch"] > grace_end(rows, epochs, config)]
    findings = [
        _finding(
            Verdict.COLLAPSED, _collapse_symptom, [row for row in after_grace if _collapse_shows(row)], now, config
        ),
        _finding(
            Verdict.CODEBOOK_COLLAPSED,
            _codebook_symptom,
            [row for row in rows if row.get("schedule/codebook_ready")],
            now,
            config,
        ),
        _finding(Verdict.DIVERGED, _divergence_symptom(rows), after_grace, now, config),
    ]
    return max(findings, key=lambda health: (health.verdict.condemned, health.verdict is Verdict.GRACE))


def _finding(verdict: Verdict, symptom: Symptom, judged: Sequence[Row], now: Row, config: HealthConfig) -> Health:
    """`verdict` if the last of the `judged` epochs, this one among them, all show the symptom; else GRACE."""
    found = symptom(now, config)
    if not found:
        return Health(Verdict.HEALTHY)
    recent = judged[-config.consecutive :]
    confirmed = (
        len(recent) == config.consecutive and recent[-1] is now and all(symptom(row, config) for row in recent)
    )
    if not confirmed:
        return Health(Verdict.GRACE, f"{found} at epoch {now['epoch']:.0f}; not yet judged or confirmed")
    first, last = recent[0]["epoch"], recent[-1]["epoch"]
    return Health(verdict, f"{found} at epoch {last:.0f}, the same since epoch {first:.0f}")


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


def _not_finite(row: Row, config: HealthConfig) -> str:
    bad = sorted(name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value))
    if bad:
        return ", ".join(f"{name} is {row[name]}" for name in bad[:3]) + (
            f" and {len(bad) - 3} more" if bad[3:] else ""
        )
    for name in ("health/kl_raw", "train/kl_peak"):
        if row.get(name, 0.0) > config.kl_ceiling:
            return f"{name} {row[name]:.3g} nats, beyond {config.kl_ceiling:.0e},"
    return ""


def _collapse_shows(row: Row) -> bool:
    """True where collapse may be judged: with KL on, and of a cycle only at its end."""
    return row.get("schedule/kl_weight", 1.0) > 0 and row.get("schedule/cycle_end", 1.0) > 0


def _collapse_symptom(row: Row, config: HealthConfig) -> str:
    if "health/au" not in row:
        return ""
    au, kl, mi = row["health/au"], row["health/kl_raw"], row["health/mi"]
    floor = config.kl_floor * (row["health/dims"] if config.kl_floor_per_dim else 1.0)
    inactive = au == 0 or row["health/au_frac"] < config.au_frac_floor
    if not (inactive and kl < floor and mi < config.mi_floor):
        return ""
    return (
        f"{au:.0f} of {row['health/dims']:.0f} units active, raw KL {kl:.2g} nats (< {floor:g}) "
        f"and mutual information {mi:.2g} nats (< {config.mi_floor:g})"
    )


def _codebook_symptom(row: Row, config: HealthConfig) -> str:
    usage = row.get("health/codebook_usage")
    if usage is None or usage >= config.codebook_usage_floor:
        return ""
    return f"{usage:.1%} of the codes in use (< {config.codebook_usage_floor:.1%})"


def _divergence_symptom(rows: Sequence[Row]) -> Symptom:
    def symptom(row: Row, config: HealthConfig) -> str:
        error, mean_error = row.get("val/mse"), row.get("val/mse_mean")
        if error is None or mean_error is None:
            return ""
        best = min(earlier["val/mse"] for earlier in rows if earlier["epoch"] <= row["epoch"])
        if error <= config.divergence_ratio * max(mean_error, best):
            return ""
        return (
            f"error {error:.3g}, against {mean_error:.3g} of the mean predictor and {best:.3g} of its own best epoch,"
        )

    return symptom


def _kl_weight_reached_half(row: Row) -> bool:
    return row.get("schedule/kl_weight", 1.0) >= 0.5 * row.get("schedule/kl_weight_final", 1.0)
