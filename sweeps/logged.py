"""Whether a sweep's model logs what the sweep requires. Of a loop of the user's own nobody knows before it runs."""

from __future__ import annotations

from collections.abc import Iterable

from sweeps.config import SweepConfig

TIMES = ("time/train_seconds", "time/eval_seconds", "time/epoch_seconds", "time/samples_per_second")
RESIDENT, ON_DEVICE = "memory/rss_mib", "memory/device_peak_mib"


def problems(config: SweepConfig, evaluated: Iterable[str]) -> list[str]:
    """Requirements on what no epoch has, a line each; `evaluated`: what an evaluation of the model gives."""
    if not config.require or config.own_loop:
        return []
    logged = {*evaluated, *config.search_space().metrics, *TIMES, RESIDENT}
    found = []
    for requirement in config.requirements:
        if requirement.metric == ON_DEVICE:
            if not config.gpus_per_trial:
                found.append(f"--require {requirement}: logged on a GPU alone: --gpus-per-trial")
        elif requirement.metric not in logged:
            family = requirement.metric.partition("/")[0]
            has = ", ".join(sorted(name for name in logged if name.startswith(f"{family}/"))) or "none of its kind"
            found.append(f"--require {requirement}: {config.model} does not log {requirement.metric}; it has {has}")
    return found
