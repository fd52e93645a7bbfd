"""What is wrong with the user's data, in one message."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path


class DataError(ValueError):
    """A data source is refused.

    Args:
        source: the file or name as the user gave it.
        problems: everything that is wrong, each a sentence with the place, the value found, what was expected
            and what to do.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source, self.problems = source, list(problems)
        super().__init__("\n".join([f"cannot use the data {source}:", *(f"  - {problem}" for problem in problems)]))

    def __reduce__(self) -> tuple[type[DataError], tuple[str, list[str]]]:
        return DataError, (self.source, self.problems)


def raised(error: Exception) -> str:
    """An exception in code of the user's in one line: name, text, and the last place in the file that was called."""
    text = next(iter(str(error).splitlines()), "")
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == frames[min(1, len(frames) - 1)].filename]
    return f"raised {type(error).__name__}: {text} ({Path(own[-1].filename).name}:{own[-1].lineno})"
