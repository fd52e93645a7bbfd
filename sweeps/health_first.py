"""The health verdict in front of a scheduler of Ray Tune, in a script of the user's own; see `HealthFirst`.

    from sweeps.health_first import HealthFirst

    scheduler = HealthFirst(ASHAScheduler(max_t=8), folder="results/mine", epochs=8)
    tune.TuneConfig(metric="val/nelbo", mode="min", scheduler=scheduler)

and in the trainable, where no scheduler sees the posterior: `tune.report(monitor.epoch(mu, logvar, nelbo=loss))`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sweeps.cluster.health_first import HealthFirst

__all__ = ["HealthFirst"]


def __getattr__(name: str) -> Any:
    """`HealthFirst`, once it is asked for: only then is Ray imported."""
    if name == "HealthFirst":
        from sweeps.cluster.health_first import HealthFirst

        return HealthFirst
    raise AttributeError(f"module {__name__} has no attribute {name}")
