"""Files that are written whole or not at all, and where those of a trial are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

ARTIFACTS = "artifacts"  # of a trial's folder: pictures and tables
EPOCHS = "epochs"  # of a sweep's folder: see `trainables.epoch_log`


def trial_folder(sweep: Path, trial: int) -> Path:
    """The folder of a trial's checkpoint and artifacts."""
    return sweep / "trials" / f"{trial:05d}"


def epochs_file(sweep: Path, trial: int) -> Path:
    """The file that holds a trial's epochs."""
    return sweep / EPOCHS / f"trial-{trial:05d}.parquet"


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """Write `path` atomically: readers see the old content or the new, never a part.

    The content is flushed to disk before the rename; on an exception the old file stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace the text of `path` atomically (UTF-8)."""
    with replace_file(path) as file:
        file.write(text.encode())
