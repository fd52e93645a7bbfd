"""What is wrong with the user's data, in one message."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path

_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}  # Python's stand-ins for bytes that are no UTF-8


def readable(text: str) -> str:
    """`text` with names of files that are no UTF-8, as old archives have them, read as Latin-1."""
    return text.translate(_LATIN_1)


class DataError(ValueError):
    """A data source is refused.

    Args:
        source: the file or name as the user gave it.
        problems: everything that is wrong, each a sentence with the place, the value found, what was expected
            and what to do.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source, self.problems = readable(source), [readable(problem) for problem in problems]
        lines = [f"cannot use the data {self.source}:", *(f"  - {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[DataError], tuple[str, list[str]]]:
        return DataError, (self.source, self.problems)


def first_line(error: Exception) -> str:
    """Of an exception's text, which may be a page; '' if it has none."""
    return next(iter(str(error).splitlines()), "")


def raised(error: Exception) -> str:
    """An exception in code of the user's in one line: name, text, and the last place in the file that was called."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == frames[min(1, len(frames) - 1)].filename]
    return f"raised {type(error).__name__}: {first_line(error)} ({Path(own[-1].filename).name}:{own[-1].lineno})"
