"""What is wrong with the user's data, in one message."""

from __future__ import annotations

from collections.abc import Sequence


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
