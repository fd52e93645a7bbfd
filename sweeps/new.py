"""A start for a model of the user's own: a file that runs as it is, with what to change said where it stands."""

from __future__ import annotations

from pathlib import Path

from search_spaces.reference import NAME, names
from sweeps.config import ConfigError

TEMPLATE = Path(__file__).with_name("new_model.txt")


def write(path: Path) -> None:
    """Write the start to `path`; its stem becomes the model's name.

    Raises:
        ConfigError: the file exists, or its name cannot be a model's.
    """
    stem, problems = path.stem, []
    if path.suffix != ".py" or not NAME.fullmatch(stem) or stem in names():
        problems.append(f"--new {path}: expected a name of a-z, 0-9 and _ that no model has, as in my_vae.py")
    if path.exists():
        problems.append(f"--new {path}: that file exists; choose another name")
    if not path.absolute().parent.is_dir():
        problems.append(f"--new {path}: there is no folder {path.absolute().parent}")
    if problems:
        raise ConfigError(problems)
    path.write_text(TEMPLATE.read_text(encoding="utf-8").replace("NAME", stem), encoding="utf-8")
