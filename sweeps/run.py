"""Sweep the hyperparameters of a documented VAE, or of your own.

    python sweeps/run.py imc_vae                         embedded data, minutes on a laptop
    python sweeps/run.py imc_vae --data grids.parquet    your data, the documented ranges
    ray job submit --working-dir . -- python sweeps/run.py imc_vae
    python sweeps/run.py imc_vae --plan                  what would run; runs nothing
    python sweeps/run.py --new my_vae.py                 a start for a VAE of your own
    python sweeps/run.py my_vae.py --data x.npz          your own VAE
    python sweeps/run.py --resume NAME                   go on after a crash, a signal or a spent time budget
    python sweeps/run.py --trial NAME:7                  the numbers of trial 7 once more

Exit status: 0 finished, 1 failed, 2 refused before anything ran, 3 no healthy trial, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from search_spaces import ModelError
from sweeps.config import ConfigError, Options
from sweeps.exit_codes import ExitCode

Integer = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Number = Annotated[float | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")]
String = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(help_behavior_hint="")]


def options(
    model: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help_behavior_hint="")] = None,
    /,
    trials: Integer = None,
    epochs: Integer = None,
    steps: Integer = None,
    time_budget: String = None,
    seed: Integer = None,
    search: String = None,
    scheduler: String = None,
    metric: String = None,
    mode: String = None,
    set: Repeated = (),
    space: Repeated = (),
    gpus_per_trial: Number = None,
    cpus_per_trial: Number = None,
    max_concurrent: Integer = None,
    data: String = None,
    subset: Integer = None,
    strict: Flag = False,
    name: String = None,
    storage: String = None,
    resume: String = None,
    trial: String = None,
    tracking_uri: String = None,
    plan: Flag = False,
    new: String = None,
) -> Options:
    """Sweep the hyperparameters of a documented VAE.

    Args:
        model: The model: a name as in imc_vae, a file as in my_vae.py, or package.module.
        trials: Number of trials; the documented configuration and the documented "before", if any, come first.
        epochs: Budget of a trial, in epochs.
        steps: Budget of a trial in training steps instead, of the documented batch size.
        time_budget: Stop after this long, as in 90s, 30m or 1.5h; the trials stay resumable.
        seed: Of weights, data order, noise and search (default: 0).
        search: grid, random or tpe (default: tpe).
        scheduler: Which trials stop, wait and go on: NAME or NAME:key=value,…, as in asha:eta=4,grace=0.2. One of
            health-asha (stops collapsed and outranked trials), asha, median, hyperband, pasha, none (default:
            health-asha).
        metric: Held-out metric to rank by; several, separated by commas, make a multi-objective search
            (default: val/elbo_gain).
        mode: max or min, one per metric (default: max).
        set: Fix a hyperparameter: name=value. May be repeated.
        space: Change a range: name=low..high or name=a,b,c. May be repeated.
        gpus_per_trial: GPUs of a trial; fractions share one (default: 0).
        cpus_per_trial: CPUs of a trial (default: 1).
        max_concurrent: Most trials at once (default: as many as fit).
        data: A file, a folder, or a named data set such as digits (default: the model's embedded data).
        subset: Use this many samples of each environment, of all data where there is but one: a cheap first look.
        strict: Refuse damaged or incomplete files instead of naming them and going on without.
        name: Name of the sweep, its folder in the storage (default: MODEL-DATE-TIME).
        storage: Folder of the sweeps; on a cluster, one that every node sees (default: results).
        resume: Go on with the sweep of this name.
        trial: Run one recorded trial again, alone: NAME:k.
        tracking_uri: MLflow server or database (default: MLFLOW_TRACKING_URI, else SQLite in the storage).
        plan: Print configurations, collapse forecasts, time and disk; run nothing.
        new: Write a start for a model of your own to this file; run nothing.
    """
    return Options(**{key: value for key, value in locals().items() if key in Options.__dataclass_fields__})


def run(options: Callable[..., Options], program: str) -> int:
    """Run the command line that `options` describes; returns the exit status."""
    chosen = tyro.cli(options, prog=program, config=(tyro.conf.AvoidSubcommands,))
    try:
        from sweeps import driver

        return driver.run(chosen)
    except (ConfigError, ModelError) as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return ExitCode.REFUSED


if __name__ == "__main__":
    sys.exit(run(options, "sweeps/run.py"))
