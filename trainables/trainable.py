"""A training loop as a Ray Trainable, ours or one of the user's own: one epoch per step, everything of value on disk
before it is reported.

Checkpoints and the epoch log live in the sweep's folder, not in Ray's: a trial that starts and finds a checkpoint
of its own goes on from it, whoever started it and whatever died before.
"""

from __future__ import annotations

import math
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ray import tune

from trainables import artifacts, checkpoint, definition, epoch_log
from trainables.best import BestEpoch
from trainables.data.store import Dataset, open_dataset
from trainables.epochs import Epochs, OurLoop
from trainables.failure import Failure
from trainables.files import write_text
from trainables.health import HealthConfig, Verdict
from trainables.loop import Trainer
from trainables.metrics import as_trained
from trainables.monitor import Monitor, Row
from trainables.own_loop import OwnLoop
from trainables.requirements import Requirement

SHOWN_AT = (0.25, 0.5, 0.75)  # of the budget: reconstructions on the way
SHORTEST_SHOWN = 8  # epochs of a budget that has pictures on the way
CHECKPOINT_SHARE = 0.05  # of the training time may go into checkpoints
ERROR_FILE = "error.txt"
TOLD = "told"  # of a result
NO_MEMORY = (  # what allocators say in errors that are plain RuntimeErrors
    *("can't allocate memory", "Cannot allocate memory", "not enough memory"),
    *("out of memory", "std::bad_alloc", "CUBLAS_STATUS_ALLOC_FAILED"),
)


@dataclass(frozen=True)
class TrialSettings:
    """What the trials of a sweep have in common; plain values, so that it travels in a trial's configuration."""

    model: str
    sweep: str  # folder
    dataset: str  # Arrow file; '' where a loop of the user's own reads its data itself
    epochs: int
    seed: int
    threads: int
    health: dict[str, Any]
    metric: str  # what trials are ranked by, and their epochs
    mode: str
    require: list[str]  # what an epoch must meet to be the trial's, if one does
    test: bool = False  # tell the end of a trial on the test part, with the weights of its epoch


@dataclass(frozen=True)
class Told:
    """A row without the latent dimensions, or a failure: under `TOLD` in a result, one value to Ray, which keeps six
    statistics of every number that a result has, for every trial to the end of the sweep."""

    row: Row


class VaeTrainable(tune.Trainable):
    """Runs the trial `config["trial"]` with `config["hyperparameters"]` and `TrialSettings` `config["settings"]`.

    `config["pauses"]` are the epochs after which the scheduler may let it wait: a checkpoint is kept there.
    """

    _dataset: Dataset | None
    _error: Exception | None
    _again: Row | None
    _loop: Epochs | None

    def setup(self, config: dict[str, Any]) -> None:
        """Start or resume the trial; an error is reported by the first step, so that the trial fails alone."""
        self._dataset = None
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process; False where the loop before it does not end."""
        if not self._close():
            return False
        self._start(new_config)
        return True

    def cleanup(self) -> None:
        """The process ends."""
        self._close()

    def step(self) -> dict[str, Any]:
        """Train, judge, record and report one epoch."""
        if self._error is not None:
            return self._failure(self._error)
        try:
            row = self._again or self._epoch()
            tested = self._tested() if self._settings.test and self._ended() else {}
        except Exception as error:
            return self._failure(error)
        self._again = None
        told = {name: value for name, value in row.items() if not name.startswith(epoch_log.BY_DIMENSION)}
        return {TOLD: Told(told | tested), "done": self._ended()}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to add: `step` keeps the checkpoint in the sweep's folder."""

    def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
        """See `save_checkpoint`."""

    def _start(self, config: dict[str, Any]) -> None:
        self._trial, self._control, self._pauses = config["trial"], config["control"], config["pauses"]
        self._hyperparameters = config["hyperparameters"]
        self._settings = TrialSettings(**config["settings"])
        self._error = None
        self._again = None
        self._loop = None
        self._rows: list[Row] = []
        try:
            self._prepare()
        except Exception as error:
            self._error = error

    def _prepare(self) -> None:
        settings = self._settings
        torch.set_num_threads(settings.threads)
        self._sweep = Path(settings.sweep)
        self._folder = checkpoint.folder_of(self._sweep, self._trial)
        monitor = Monitor(settings.epochs, HealthConfig.from_record(settings.health), settings.seed, stops=False)
        self._loop = self._loop_of(monitor)
        required = [Requirement.parse(text) for text in settings.require]
        self._best = BestEpoch(settings.metric, settings.mode, required)
        self._saved_at = time.perf_counter()
        self._log = epoch_log.TrialLog(self._sweep, self._trial, self._hyperparameters)
        state = checkpoint.load(self._folder)
        if state is not None:
            logged = epoch_log.read_trial(self._sweep, self._trial)
            monitor.resume([as_trained(row) for row in logged if row["epoch"] <= state["epoch"]], None)
            self._running.load_state_dict(state)
            self._best.load_state_dict(state)
            self._again = monitor.rows[-1]  # the driver may not have heard of it
        self._rows = monitor.rows

    @property
    def _running(self) -> Epochs:
        """The loop of a trial that has begun and has not failed."""
        assert self._loop is not None
        return self._loop

    def _loop_of(self, monitor: Monitor) -> Epochs:
        settings, trainer = self._settings, None
        if settings.dataset:
            if self._dataset is None or str(self._dataset.path) != settings.dataset:
                self._dataset = open_dataset(Path(settings.dataset))
            common = settings.epochs, settings.seed
            trainer = Trainer(settings.model, self._hyperparameters, self._dataset, *common, sweep=self._sweep)
        if train := definition.load(settings.model).train:
            return OwnLoop(train, dict(self._hyperparameters), monitor, settings.metric, trainer)
        assert trainer is not None
        return OurLoop(trainer, monitor)

    def _epoch(self) -> Row:
        earlier = self._rows[-1]["seconds"] if self._rows else 0.0
        row = self._running.run_epoch()
        if row is None:  # it has ended before its budget: its last epoch is told once more, as the last
            self._finish(leaves=True)
            return self._rows[-1]
        row["seconds"], row["memory/rss_mib"] = earlier + row["time/epoch_seconds"], _resident_mib()
        row["control"], row["seed"] = self._control, self._settings.seed
        row["best_epoch"] = self._best.consider(row, self._running.trainer)
        condemned = [Verdict(each["verdict"]).condemned for each in self._rows[-2:]]
        leaves = (
            self._ended() or row["epoch"] in self._pauses or condemned in ([True], [False, True])
        )  # or may have to
        self._log.append(self._rows)
        self._finish(leaves)
        self._checkpoint(leaves or condemned[-1])
        return row

    def _finish(self, leaves: bool) -> None:
        """Save what is due after an epoch, before a checkpoint says that it is done and the driver hears of it:
        a trial that waits may be given up without ever seeing a worker again."""
        if leaves:
            self._log.settle(self._rows)
        trainer = self._running.trainer
        if trainer is None or self._rows[-1]["verdict"] == Verdict.NUMERIC:
            return
        try:
            if _on_the_way(trainer.epoch, self._settings.epochs):
                artifacts.write_progress(trainer, self._folder)
            if leaves:
                with self._best.weights(trainer):
                    artifacts.write(trainer, self._folder)
        except Exception as error:  # of a model's own way to show itself: noted, and costs the trial nothing
            self._note(error)

    def _tested(self) -> Row:
        """The metrics on the test part, with the weights of the trial's epoch: told, for the row is of the last one.

        A resume that begins with a trial which has ended evaluates again, to the same numbers.
        """
        trainer = self._running.trainer
        assert trainer is not None
        with self._best.weights(trainer):
            return dict(trainer.test())

    def _ended(self) -> bool:
        return self._running.converged or self._rows[-1]["epoch"] >= self._settings.epochs

    def _close(self) -> bool:
        """End the loop; False, with a note in the trial's folder, if it does not end."""
        try:
            if self._loop is not None:
                self._loop.close()
        except TimeoutError as error:
            self._note(error)
            return False
        return True

    def _checkpoint(self, due: bool) -> None:
        """Save now if `due`, otherwise as often as its share of the time allows."""
        started = time.perf_counter()
        cost = getattr(self, "_checkpoint_seconds", 0.0)
        if not (due or cost <= CHECKPOINT_SHARE * (started - self._saved_at)):
            return
        if (state := self._running.state_dict()) is not None:
            checkpoint.save(self._folder, state | self._best.state_dict())
            self._saved_at = time.perf_counter()
            self._checkpoint_seconds = self._saved_at - started

    def _note(self, error: Exception) -> Path:
        folder = checkpoint.folder_of(Path(self._settings.sweep), self._trial)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / ERROR_FILE, "".join(traceback.format_exception(error)))
        return folder / ERROR_FILE

    def _failure(self, error: Exception) -> dict[str, Any]:
        """The last result of a trial that threw; the traceback goes into its folder."""
        note = self._note(error)
        self._close()
        self._loop = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        place = traceback.extract_tb(error.__traceback__)[-1]
        failure = {
            "epoch": len(self._rows),
            "failure": Failure.OUT_OF_MEMORY if _for_want_of_memory(error) else Failure.ERROR,
            "failure_detail": f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno}; "
            f"traceback in {note})",
        }
        return {TOLD: Told(failure), "done": True}


def _on_the_way(epoch: int, epochs: int) -> bool:
    """True if reconstructions are saved after that epoch."""
    return epochs >= SHORTEST_SHOWN and epoch in {math.ceil(share * epochs) for share in SHOWN_AT}


def _for_want_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)


def _resident_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return float("nan")
