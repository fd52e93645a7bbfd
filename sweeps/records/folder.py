"""The folder of a sweep: every path in it, once. Those of a trial are of `trainables`, which writes them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainables.files import ARTIFACTS, EPOCHS, trial_folder

RECORD = "sweep.json"
CONFIRMATION = "confirm"  # of a sweep: the folder in it, and the end of its name


@dataclass(frozen=True)
class SweepFolder:
    """`path` is the folder, as in results/NAME."""

    path: Path

    @property
    def record(self) -> Path:
        """Settings, space, data, code, packages, machine."""
        return self.path / RECORD

    @property
    def journal(self) -> Path:
        """What was suggested and what became of it."""
        return self.path / "trials.jsonl"

    @property
    def plan(self) -> Path:
        """What was planned, with the forecasts."""
        return self.path / "plan.json"

    @property
    def memory(self) -> Path:
        """What the sweep learnt from earlier ones when it started."""
        return self.path / "memory.json"

    @property
    def report(self) -> Path:
        """The report as one HTML file."""
        return self.path / "report.html"

    @property
    def errors(self) -> Path:
        """Errors of the orchestration itself, survived."""
        return self.path / "errors.log"

    @property
    def epochs(self) -> Path:
        """The folder of the epoch log."""
        return self.path / EPOCHS

    @property
    def ray(self) -> Path:
        """What Ray Tune writes for itself; no resume reads it."""
        return self.path / "ray"

    @property
    def requests(self) -> Path:
        """What people ask of the driver."""
        return self.path / "requests"

    @property
    def lock(self) -> Path:
        """There while a driver works on the sweep."""
        return self.path / "driver.lock"

    @property
    def recorder_lock(self) -> Path:
        """There while a process writes the journal of a search that scripts of the user's own drive."""
        return self.path / ".recorder.lock"

    def writer(self, host: str, process: int) -> Path:
        """There as long as that process writes the folder of such a search."""
        return self.path / f".writer-{host}-{process}"

    def writers(self) -> Iterator[Path]:
        """Those that are there."""
        return self.path.glob(".writer-*")

    @property
    def mirror(self) -> Path:
        """How far the mirror to MLflow is."""
        return self.path / "mlflow.json"

    @property
    def mirror_log(self) -> Path:
        """What the mirror says."""
        return self.path / "mlflow.log"

    @property
    def mirror_lock(self) -> Path:
        """There while a process sends the sweep."""
        return self.path / ".mirror.lock"

    def trial(self, trial: int) -> Path:
        """The folder of a trial's checkpoint and artifacts."""
        return trial_folder(self.path, trial)

    def artifacts(self, trial: int) -> Path:
        """The folder of a trial's pictures."""
        return self.trial(trial) / ARTIFACTS

    def note_error(self, where: str, error: Exception) -> None:
        """Add an error that was survived to `errors`."""
        with open(self.errors, "a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {where}\n{''.join(traceback.format_exception(error))}\n")

    @property
    def confirmation(self) -> SweepFolder:
        """The sweep that trains the best of this one with further seeds."""
        return SweepFolder(self.path / CONFIRMATION)

    @property
    def exists(self) -> bool:
        """True if it is the folder of a sweep."""
        return self.record.exists()


def sweeps_in(storage: Path) -> Sequence[SweepFolder]:
    """The sweeps of a storage folder, by name."""
    return [SweepFolder(path.parent) for path in sorted(storage.glob(f"*/{RECORD}"))]
