"""The pictures the workers drew, for the trials that represent a sweep, as data URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from analysis import tables
from analysis.sweep import Sweep, Trial
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Outcome

KINDS = {
    "reconstructions.png": "Reconstructions",
    "samples.png": "Samples from the prior",
    "latent_pca.png": "Latent space, first two principal components",
    "kl_per_dim.png": "KL per latent dimension",
    "code_usage.png": "Use of the codes",
}
ON_THE_WAY = "reconstructions-epoch-*.png"


@dataclass(frozen=True)
class Pictures:
    """The pictures of one trial: `images` maps what they show to a data URI."""

    role: str
    trial: Trial
    images: dict[str, str]


def representatives(sweep: Sweep) -> list[Pictures]:
    """The best trial, the median of the healthy ones and a collapsed one, as far as they left pictures."""
    healthy = tables.ranked(sweep.objectives, [trial for trial in sweep.trials if trial.ranked])
    drawn = [trial for trial in sweep.trials if trial.outcome == Outcome.COLLAPSED and _of(sweep.folder, trial)]
    chosen = [
        *[("Best", trial) for trial in healthy[:1]],
        *[("Median of the healthy", trial) for trial in healthy[1:][(len(healthy) - 1) // 2 - 1 :][:1]],
        *[("Collapsed", trial) for trial in drawn[:1]],
    ]
    found = [Pictures(role, trial, _of(sweep.folder, trial)) for role, trial in chosen]
    return [pictures for pictures in found if pictures.images]


def _of(folder: Path, trial: Trial) -> dict[str, str]:
    artifacts = SweepFolder(folder).artifacts(trial.number)
    kinds = KINDS | {path.name: _title(path) for path in sorted(artifacts.glob(ON_THE_WAY))}
    return {
        title: "data:image/png;base64," + base64.b64encode((artifacts / file).read_bytes()).decode()
        for file, title in kinds.items()
        if (artifacts / file).exists()
    }


def _title(path: Path) -> str:
    return f"Reconstructions after epoch {int(path.stem.rpartition('-')[2])}"
