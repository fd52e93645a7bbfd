"""The pictures of the trials that represent a sweep, as data URIs; drawn here where nobody has drawn them yet."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from analysis import tables
from analysis.sweep import Sweep, Trial
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Outcome
from trainables import drawing

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
    """The pictures of one trial: `images` maps what they show to a data URI; `problems`: what cannot be drawn."""

    role: str
    trial: Trial
    images: dict[str, str]
    problems: tuple[str, ...] = ()


def representatives(sweep: Sweep) -> list[Pictures]:
    """The best trial, the median of the healthy ones and a collapsed one, as far as they left pictures."""
    healthy = tables.ranked(sweep.objectives, [trial for trial in sweep.trials if trial.ranked])
    collapsed = (trial for trial in sweep.trials if trial.outcome == Outcome.COLLAPSED)
    shown = [trial for trial in collapsed if any(SweepFolder(sweep.folder).artifacts(trial.number).glob("*"))]
    chosen = [
        *[("Best", trial) for trial in healthy[:1]],
        *[("Median of the healthy", trial) for trial in healthy[1:][(len(healthy) - 1) // 2 - 1 :][:1]],
        *[("Collapsed", trial) for trial in shown[:1]],
    ]
    found = [_of(sweep.folder, role, trial) for role, trial in chosen]
    return [pictures for pictures in found if pictures.images or pictures.problems]


def _of(folder: Path, role: str, trial: Trial) -> Pictures:
    artifacts = SweepFolder(folder).artifacts(trial.number)
    problems = drawing.draw(artifacts)
    kinds = KINDS | {path.name: _title(path) for path in sorted(artifacts.glob(ON_THE_WAY))}
    images = {
        title: "data:image/png;base64," + base64.b64encode((artifacts / file).read_bytes()).decode()
        for file, title in kinds.items()
        if (artifacts / file).exists()
    }
    return Pictures(role, trial, images, tuple(problems))


def _title(path: Path) -> str:
    return f"Reconstructions after epoch {int(path.stem.rpartition('-')[2])}"
