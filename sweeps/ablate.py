"""Ablate a documented VAE: what each documented fix, and each piece of advice, does on your data.

    python sweeps/ablate.py imc_vae                            all its studies and claims, five seeds
    python sweeps/ablate.py imc_vae --study fixes --seeds 3    one study
    python sweeps/ablate.py imc_vae --study claims --seeds auto    seeds are added where a verdict is open
    python sweeps/ablate.py imc_vae --vary kl_warmup=0,0.1,0.3
    python sweeps/ablate.py --resume NAME

Exit status: 0 finished, 1 failed, 2 refused before anything ran, 3 no healthy trial, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tyro

from sweeps.config import Options
from sweeps.run import Flag, Integer, Number, Repeated, String, run

DEFAULT_SEEDS = 5
Seeds = Annotated[int | Literal["auto"] | None, tyro.conf.arg(metavar="INT|auto", help_behavior_hint="")]


def options(
    model: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help_behavior_hint="")] = None,
    /,
    study: String = None,
    seeds: Seeds = None,
    vary: Repeated = (),
    file: String = None,
    set: Repeated = (),
    epochs: Integer = None,
    steps: Integer = None,
    time_budget: String = None,
    seed: Integer = None,
    gpus_per_trial: Number = None,
    cpus_per_trial: Number = None,
    max_concurrent: Integer = None,
    data: String = None,
    subset: Integer = None,
    strict: Flag = False,
    name: String = None,
    storage: String = None,
    resume: String = None,
    tracking_uri: String = None,
    plan: Flag = False,
) -> Options:
    """Ablate a documented VAE: what each documented fix, and each piece of advice, does on your data.

    Args:
        model: The model, as in imc_vae.
        study: Names of studies, separated by commas; claims for the documented advice (default: all of them).
        seeds: Runs of each variant, paired by seed (default: 5); auto: 5 first, then 8, 12 and 20 of the variants on
            which a verdict is open, at levels that pay for looking more than once.
        vary: Compare values of a hyperparameter with the documented one: name=a,b,c. May be repeated.
        file: A TOML file with studies of your own.
        set: Fix a hyperparameter in every variant that does not vary it: name=value. May be repeated.
        epochs: Budget of a trial, in epochs.
        steps: Budget of a trial in training steps instead, of the documented batch size.
        time_budget: Stop after this long, as in 90s, 30m or 1.5h; the trials stay resumable.
        seed: The first seed (default: 0).
        gpus_per_trial: GPUs of a trial; fractions share one (default: 0).
        cpus_per_trial: CPUs of a trial (default: 1).
        max_concurrent: Most trials at once (default: as many as fit).
        data: A file, a folder, or a named data set such as digits (default: the model's embedded data).
        subset: Use this many samples of each environment, of all data where there is but one.
        strict: Refuse damaged or incomplete files instead of naming them and going on without.
        name: Name of the ablation, its folder in the storage (default: MODEL-DATE-TIME).
        storage: Folder of the sweeps; on a cluster, one that every node sees (default: results).
        resume: Go on with the ablation of this name.
        tracking_uri: MLflow server or database (default: MLFLOW_TRACKING_URI, else SQLite in the storage).
        plan: Print variants, collapse forecasts, time and disk; run nothing.
    """
    chosen = {key: value for key, value in locals().items() if key in Options.__dataclass_fields__}
    if resume is None:
        chosen |= {"seeds": DEFAULT_SEEDS if seeds is None else seeds, "scheduler": "none"}
    return Options(**chosen)


if __name__ == "__main__":
    sys.exit(run(options, "sweeps/ablate.py"))
