"""The wheel holds all that is needed: installed elsewhere, without the checkout, it plans, sweeps and reports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("search_spaces", "trainables", "sweeps", "analysis")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    sources, wheels, folder = (tmp_path_factory.mktemp(name) for name in ("sources", "wheels", "installed"))
    for name in PACKAGES:
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "recorded"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(sources))
    pip("install", "--no-deps", "--no-index", "--target", str(folder), *map(str, wheels.iterdir()))
    return folder


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def test_it_is_what_runs(installed: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    code = "import sweeps; print(sweeps.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert Path(done.stdout.strip()).is_relative_to(installed)


def run(installed: Path, elsewhere: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    call = [sys.executable, "-m", *command]
    return subprocess.run(call, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)


def test_it_sweeps_and_reports_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    budget = ["--trials", "1", "--epochs", "1", "--subset", "64", "--set", "latent_dim=8", "--set", "hidden_dim=8"]
    swept = run(installed, tmp_path, "sweeps.run", "imc_vae", *budget, "--name", "one")
    assert swept.returncode in (0, 3), swept.stdout + swept.stderr
    assert (tmp_path / "results" / "one" / "report.html").exists()
    reported = run(installed, tmp_path, "analysis", "report", "one", "--format", "json")
    assert reported.returncode == 0, reported.stderr
