"""Files that are written whole or not at all, and where those of a trial are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

ARTIFACTS = "artifacts"  # of a trial's folder: arrays, and the pictures drawn from them
ARRAYS = "pictures*.npz"  # of the artifacts
EPOCHS = "epochs"  # of a sweep's folder: the epoch log


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


def drop_torn_line(path: Path) -> None:
    """Cut what a crash left behind the last complete line, so that the next line starts on its own."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def append_lines(path: Path, *lines: str) -> None:
    """Append lines (UTF-8), and return once they are on disk."""
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
