"""The examples as a user has them: copied to a folder of her own, and swept from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """The file of an example in a fresh folder."""
    folder = tmp_path / "mine"
    folder.mkdir()
    return lambda name: Path(shutil.copy(EXAMPLES / f"{name}.py", folder))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Exit status and output of `sweeps/run.py`, run from another folder than this project's."""

    def of(*arguments: object) -> tuple[int, str]:
        command = [sys.executable, str(ROOT / "sweeps" / "run.py"), *map(str, arguments)]
        done = subprocess.run(
            [*command, *(() if "--new" in arguments else ("--storage", str(tmp_path / "results")))],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return of
