"""TensorBoard: a folder of event files, one a trial."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
from PIL import Image
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from sweeps.records import journal, record
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import TrialRecord
from sweeps.tracking.pictures import Pictures
from sweeps.tracking.trackers.base import Summary, Tracker
from trainables import epoch_log
from trainables.metrics import is_metric


class TensorBoard(Tracker):
    """`tensorboard:FOLDER`: every metric of every epoch in `FOLDER/SWEEP/trial-00001`, and what became of the trial.

    Event files cannot be corrected, so a trial's folder is written anew when the tracker is opened.
    """

    schemes = ("tensorboard",)

    def __init__(self, sweep: Path, uri: str) -> None:
        super().__init__(sweep, uri)
        self._folder = _folder(uri) / record.read(self.sweep).name
        self._sent: dict[int, int] = {}  # epochs, by trial
        self._ended: set[int] = set()
        self._pictures = Pictures(SweepFolder(self.sweep))

    @classmethod
    def check(cls, uri: str) -> str | None:
        """Look whether the folder can be made and written."""
        folder = _folder(uri)
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        if there.is_dir() and os.access(there, os.W_OK):
            return None
        return f"no permission to write {folder}, the folder of TensorBoard: change that, or name another"

    def sync(self, driver_lost: bool = False) -> Summary:
        """Write the epochs that are new, and the ends."""
        state, config = journal.read(self.sweep), record.read(self.sweep).config
        for trial in state.trials.values():
            if epoch_log.stamp(self.sweep, trial.trial):
                self._send(trial, config.told_by)
        ended = state.status.ended or driver_lost
        return Summary(len(self._sent), sum(self._sent.values()), ended, tuple(state.problems))

    def _send(self, trial: TrialRecord, metric: str) -> None:
        number, folder = trial.trial, self._folder / f"trial-{trial.trial:05d}"
        if number not in self._sent:
            shutil.rmtree(folder, ignore_errors=True)
        rows = epoch_log.read_trial(self.sweep, number)[self._sent.get(number, 0) :]
        ends = trial.status.ended and number not in self._ended
        if not rows and not ends:
            return
        first = rows[0]["epoch"] if rows else "end"
        with SummaryWriter(str(folder), filename_suffix=f".{first}") as writer:  # closed: it flushes nothing before
            for row in rows:
                for name, value in row.items():
                    if value is not None and is_metric(name):
                        writer.add_scalar(name, value, row["epoch"])
            if ends:
                self._write_pictures(writer, trial)
                _write_end(writer, trial, metric)
                self._ended.add(number)
        self._sent[number] = self._sent.get(number, 0) + len(rows)

    def _write_pictures(self, writer: SummaryWriter, trial: TrialRecord) -> None:
        self._pictures.draw(trial.trial)
        for path in sorted(SweepFolder(self.sweep).artifacts(trial.trial).glob("*.png")):
            with Image.open(path) as picture:
                writer.add_image(path.stem, np.asarray(picture.convert("RGB")), trial.epoch, dataformats="HWC")


def _write_end(writer: SummaryWriter, trial: TrialRecord, metric: str) -> None:
    writer.add_text("end", f"{trial.status} {trial.reason} {trial.detail}".strip(), trial.epoch)
    settings = {name: _setting(value) for name, value in trial.config.items()}
    for summary in hparams(settings, {metric: trial.metrics.get(metric, math.nan)}):
        writer.file_writer.add_summary(summary)


def _folder(uri: str) -> Path:
    """Of `tensorboard:FOLDER` or `tensorboard:///FOLDER`."""
    return Path(unquote(uri.partition(":")[2]).removeprefix("//")).absolute()


def _setting(value: Any) -> Any:
    """A hyperparameter as TensorBoard takes it: a number, a yes or no, or a word."""
    return value if isinstance(value, int | float | str) else str(value)
