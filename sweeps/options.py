"""What a user may ask for, as the command line and the Python API name it; None or empty where nothing is said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

Integer = Annotated[int | None, tyro.conf.arg(metavar="INT", help_behavior_hint="")]
Number = Annotated[float | None, tyro.conf.arg(metavar="NUMBER", help_behavior_hint="")]
String = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(help_behavior_hint="")]
Tried = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="try", help_behavior_hint="")]
Model = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help_behavior_hint="")]
Seeds = Annotated[int | Literal["auto"] | None, tyro.conf.arg(metavar="INT|auto", help_behavior_hint="")]


@dataclass(frozen=True)
class Limits:
    """How long, and how many at once."""

    time_budget: String = None
    """Stop after this long, as in 90s, 30m or 1.5h; the trials stay resumable."""
    max_concurrent: Integer = None
    """Most trials at once (default: as many as fit)."""


@dataclass(frozen=True)
class Place:
    """Where sweeps are kept and shown."""

    storage: String = None
    """Folder of the sweeps; on a cluster, one that every node sees (default: results)."""
    tracking_uri: String = None
    """MLflow server or database, or tensorboard:FOLDER (default: MLFLOW_TRACKING_URI, else SQLite in the storage)."""


@dataclass(frozen=True)
class Budget:
    """What one trial may cost."""

    epochs: Integer = None
    """Budget of a trial, in epochs."""
    steps: Integer = None
    """Budget of a trial in training steps instead, of the documented batch size."""
    gpus_per_trial: Number = None
    """GPUs of a trial; fractions share one (default: 0)."""
    cpus_per_trial: Number = None
    """CPUs of a trial (default: 1)."""


@dataclass(frozen=True)
class Data:
    """What is trained on."""

    data: String = None
    """A file, a folder, or a named data set such as digits (default: the model's embedded data)."""
    subset: Integer = None
    """Use this many samples of each environment, of all data where there is but one: a cheap first look."""
    group: String = None
    """Keep what belongs together (a patient, a slide) in one part: a column of a Parquet file, or a regular
    expression on paths below the folder, its one group in brackets: 'patient(\\d+)' (default: as recognised)."""
    strict: Flag = False
    """Refuse damaged or incomplete files instead of naming them and going on without."""


@dataclass(frozen=True)
class Common(Limits, Place, Budget, Data):
    """What a sweep and an ablation share."""

    model: Model = None
    """The model: a name as in imc_vae, a file as in my_vae.py, or package.module."""
    name: String = None
    """Name of the sweep, its folder in the storage (default: MODEL-DATE-TIME)."""
    seed: Integer = None
    """Of weights, data order, noise and search; of an ablation the first (default: 0)."""
    set: Repeated = ()
    """Fix a hyperparameter, of an ablation in every variant that does not vary it: name=value. May be repeated."""


@dataclass(frozen=True)
class SweepOptions(Common):
    """A search."""

    trials: Integer = None
    """Number of trials; those of --try, the documented configuration and the documented "before", if any, come
    first."""
    search: String = None
    """grid, random or tpe (default: tpe)."""
    scheduler: String = None
    """Which trials stop, wait and go on: NAME or NAME:key=value,…, as in asha:eta=4,grace=0.2. One of asha,
    asha-stopping, health-asha (health first, then who can still become the best), hyperband, median, none, pasha
    (default: health-asha)."""
    metric: String = None
    """Held-out metric to rank by; several, separated by commas, make a multi-objective search (default:
    val/elbo_gain)."""
    mode: String = None
    """max or min, one per metric (default: max)."""
    require: Repeated = ()
    """Rank only trials that meet this at the epoch whose weights are kept: 'health/au>=32', 'memory/rss_mib<=20000'.
    May be repeated."""
    space: Repeated = ()
    """Change a range: name=low..high or name=a,b,c. May be repeated."""
    tried: Tried = ()
    """Run a configuration that you know to be good before all others: name=value,…, the rest as documented, or a TOML
    file with a table for each; from values outside the ranges the search learns nothing. May be repeated."""


@dataclass(frozen=True)
class AblationOptions(Common):
    """Comparisons by seed, in place of a search."""

    study: String = None
    """Names of studies, separated by commas; claims for the documented advice (default: all of them)."""
    seeds: Seeds = None
    """Runs of each variant, paired by seed (default: 5); auto: 5 first, then 8, 12 and 20 of the variants on which a
    verdict is open, at levels that pay for looking more than once."""
    vary: Repeated = ()
    """Compare values of a hyperparameter with the documented one: name=a,b,c. May be repeated."""
    file: String = None
    """A TOML file with studies of your own."""


@dataclass(frozen=True)
class ResumeOptions(Limits, Place):
    """What a resume may change: places and limits, never what is being compared."""

    model: Model = None
    """The model; it cannot change."""
    data: String = None
    """Where the data is now, if it was moved; it must be the same."""


@dataclass(frozen=True)
class ExtendOptions(ResumeOptions):
    """A resume with more trials; or with longer ones, in a sweep of their own."""

    trials: Integer = None
    """Number of trials in all, more than there were; of longer ones how many, the best first (default: all that were
    neither condemned nor failed)."""
    epochs: Integer = None
    """Budget of a trial, in epochs, more than there were."""
    name: String = None
    """Name of the sweep of the longer trials (default: NAME-N-epochs)."""


_WRITTEN = {"tried": "try"}  # options whose names are no names in Python


def given(options: object) -> list[str]:
    """The names of the options that were given."""
    nothing = (None, (), False)
    return [
        name
        for name, value in vars(options).items()
        if not any(value is none or value == none == () for none in nothing)
    ]


def flag(name: str) -> str:
    """As the command line writes it."""
    return f"--{_WRITTEN.get(name, name).replace('_', '-')}"
