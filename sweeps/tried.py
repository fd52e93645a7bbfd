"""Configurations that the user knows to be good, and wants run before all others: `--try`."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from search_spaces.space import SearchSpace, Value

Config = dict[str, Value]
_Asked = tuple[str, list[tuple[str, str]]]  # as it is told to the user; names and values of one configuration
TOML = ".toml"


def configurations(
    space: SearchSpace, asked: Sequence[str], fixed: Sequence[str] = ()
) -> tuple[list[Config], list[str]]:
    """The whole configurations that are asked for, and every problem. What they do not name is as documented.

    Args:
        space: as it is searched.
        asked: `name=value,…` each, or a TOML file with a table for every configuration.
        fixed: hyperparameters that `--set` fixes.
    """
    found: list[Config] = []
    problems: list[str] = []
    taken = {"the documented configuration": space.documented(), 'the documented "before"': space.baseline()}
    for told, values in _asked(asked, problems):
        config, wrong = _configuration(space, values, fixed)
        if not wrong:
            twin = next((what for what, other in taken.items() if other == config), None)
            wrong = [f"it is {twin}, which runs anyway; leave it out"] if twin else space.problems(config)
            taken.setdefault(f"that of --try {told}", config)
        problems += [f"--try {told}: {problem}" for problem in wrong]
        found.append(config)
    return found, problems


def _asked(asked: Sequence[str], problems: list[str]) -> Iterator[_Asked]:
    for text in asked:
        if text.endswith(TOML):
            yield from _tables(text, problems)
            continue
        pairs = [part.partition("=") for part in text.split(",")]
        if all(name and equals for name, equals, _ in pairs):
            yield text, [(name.strip(), value.strip()) for name, _, value in pairs]
        else:
            problems.append(f"--try {text}: expected name=value,… or a file that ends in {TOML}")


def _tables(file: str, problems: list[str]) -> Iterator[_Asked]:
    try:
        tables = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        problems.append(f"--try {file}: cannot be read ({error})")
        return
    wrong = [name for name, table in tables.items() if not isinstance(table, dict)]
    if wrong or not tables:
        problems.append(
            f"--try {file}: {', '.join(wrong) or 'empty'}: expected a table for every configuration, as in [mine]"
        )
    for name, table in tables.items():
        if name not in wrong:
            yield f"{file} [{name}]", [(each, _text(value)) for each, value in table.items()]


def _text(value: Any) -> str:
    """A value of TOML as the command line has it."""
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _configuration(
    space: SearchSpace, values: Sequence[tuple[str, str]], fixed: Sequence[str]
) -> tuple[Config, list[str]]:
    config, problems = space.documented(), []
    for name, text in values:
        if name not in config:
            problems.append(f"{space.model} has no hyperparameter '{name}'; it has: {', '.join(config)}")
        elif name in fixed:
            problems.append(f"{name}={text}: --set fixes it in every trial; leave one of the two out")
        elif space[name].data:
            problems.append(f"{name}={text}: data is prepared once for all trials; fix it with --set instead")
        else:
            try:
                config[name] = space[name].parse(text)
            except ValueError as error:
                problems.append(str(error))
    counts = Counter(name for name, _ in values)
    problems += [f"{name} is named {count} times; once is enough" for name, count in counts.items() if count > 1]
    return config, problems
