"""A file that grows by whole lines, read line by line once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    """A line, and where it stands; the first is number 1."""

    path: Path
    number: int
    text: bytes

    def __str__(self) -> str:
        return f"{self.path}, line {self.number}"


class NewLines:
    """The lines of `path` that were not read before.

    A last line without its end is left for later. Another file of that name, or one that has become shorter than what
    was read, is read from its beginning.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None  # device and inode
        self._offset = self._number = 0  # bytes and lines read, all of them whole
        self.bytes_read = 0  # by all passes

    def read(self) -> tuple[list[Line], bool]:
        """The new lines, and whether they are all there are: what was read before is void then."""
        if not self._path.exists():
            return [], self._begin(None)
        with open(self._path, "rb") as file:
            found = os.fstat(file.fileno())
            identity = (found.st_dev, found.st_ino)
            again = (self._file != identity or found.st_size < self._offset) and self._begin(identity)
            file.seek(self._offset)
            content = file.read()
        self.bytes_read += len(content)
        whole = content[: content.rfind(b"\n") + 1]
        lines = [Line(self._path, self._number + at, text) for at, text in enumerate(whole.split(b"\n")[:-1], 1)]
        self._offset += len(whole)
        self._number += len(lines)
        return lines, again

    def _begin(self, identity: tuple[int, int] | None) -> bool:
        """Read that file from its beginning; True."""
        self._file, self._offset, self._number = identity, 0, 0
        return True
