"""A sweep, or one of its trials, stopped by hand, from any machine that sees the sweep's folder."""

from __future__ import annotations

from pathlib import Path

from sweeps.config import ConfigError, storage_folder
from sweeps.records import journal, lock, requests
from sweeps.records.folder import SweepFolder


def ask(text: str, storage: str | None = None) -> str:
    """Ask the driver of a running sweep to end NAME, or trial k of it: NAME:k. Returns what will happen, a sentence.

    Raises:
        ConfigError: no such sweep or trial, or it does not run.
    """
    name, colon, number = text.partition(":")
    if not name or (colon and not number.isdecimal()):
        raise ConfigError([f"--stop {text}: expected NAME for the sweep, or NAME:k for a trial, as in mysweep:3"])
    folder, trial = storage_folder(storage) / name, int(number) if colon else None
    if trial is None and lock.holder(SweepFolder(folder).confirmation.lock):
        folder = SweepFolder(folder).confirmation.path
    driver = lock.holder(SweepFolder(folder).lock)
    if problem := _problem(folder, trial, runs=driver is not None):
        raise ConfigError([f"--stop {text}: {problem}"])
    requests.stop(folder, trial)
    what = f"trial {trial} at the end of its epoch, or now if it waits" if colon else "the sweep now, as on Ctrl-C"
    return f"The driver ends {what} ({driver})."


def _problem(folder: Path, trial: int | None, runs: bool) -> str | None:
    """Why nothing can be stopped."""
    if not SweepFolder(folder).exists:
        return f"no sweep {folder.name} in {folder.parent}"
    state = journal.read(folder)
    if state.status.ended or not runs:
        return f"{folder.name} does not run"
    if trial is None:
        return None
    if trial not in state.trials:
        return f"trial {trial} has not begun; {folder.name} has trials 1 to {max(state.trials, default=0)}"
    record = state.trials[trial]
    if record.status.ended:
        return f"trial {trial} has ended already: {record.status} {record.detail or f'at epoch {record.epoch}'}"
    return None
