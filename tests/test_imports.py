"""Imports point one way: search_spaces ← trainables ← sweeps, with the analysis beside; each library has its room."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("search_spaces", "trainables", "sweeps", "analysis")
HEAVY = ("torch", "ray", "mlflow", "optuna", "lightning", "matplotlib")
COMPARISONS = ("sweeps.ablation", "sweeps.seeds", "sweeps.paired", "sweeps.course")  # pure
# What a file may import of the rooms and the heavy libraries: by the longest prefix of its path that is named here.
ALLOWED = {
    "search_spaces": ("search_spaces",),
    "trainables": ("search_spaces", "trainables", "torch"),
    "trainables/trainable.py": ("search_spaces", "trainables", "torch", "ray"),
    "trainables/drawing.py": ("trainables.files", "matplotlib"),
    "trainables/lightning.py": ("search_spaces", "trainables", "torch", "lightning"),
    "sweeps": ("search_spaces", "trainables", "sweeps", "torch"),
    "sweeps/health_pruner.py": ("trainables", "sweeps", "optuna"),
    "sweeps/records": ("search_spaces", "trainables", "sweeps.records", "sweeps.config"),
    "sweeps/schedulers": ("search_spaces", "trainables", "sweeps.records", "sweeps.schedulers"),
    "sweeps/searchers": (
        "search_spaces",
        "trainables",
        "sweeps.records",
        "sweeps.searchers",
        "sweeps.memory",
        "optuna",
    ),
    "sweeps/memory.py": ("search_spaces", "sweeps.records"),
    "sweeps/tracking": ("search_spaces", "trainables", "sweeps", "torch", "mlflow"),
    "sweeps/cluster": ("search_spaces", "trainables", "sweeps", "ray"),
    "analysis": (
        "search_spaces",
        "trainables",
        "sweeps.records",
        "sweeps.schedulers",
        *COMPARISONS,
        "sweeps.memory",
        "sweeps.remembering",
        "analysis",
        "matplotlib",
    ),
    "analysis/importance.py": ("sweeps.records", "analysis", "search_spaces", "optuna"),
}
DOORS = ("sweeps/api.py", "sweeps/result.py", "sweeps/summary.py")  # that show what was found
FILES = sorted(path.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported(file: str) -> set[str]:
    """The modules of the rooms and the heavy libraries that a file imports, inside its functions too; what it imports
    for the type checker alone does not count."""
    found = set()
    for node in ast.walk(_without_type_checking(ast.parse((ROOT / file).read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.partition(".")[0] in (*ROOMS, *HEAVY)}


def _without_type_checking(tree: ast.Module) -> ast.Module:
    kept = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return ast.Module(kept, [])


def allowed(file: str) -> tuple[str, ...]:
    """The prefixes that a file may import."""
    place = max((place for place in ALLOWED if file == place or file.startswith(f"{place}/")), key=len)
    return (*ALLOWED[place], "analysis") if file in DOORS else ALLOWED[place]


DRAWING = "trainables.drawing"  # which is for the trackers' process and the report, never for a worker or a driver


@pytest.mark.parametrize("file", FILES)
def test_a_file_imports_what_its_room_may(file: str) -> None:
    may = allowed(file)
    wrong = [name for name in imported(file) if not any(name == one or name.startswith(f"{one}.") for one in may)]
    assert not wrong, f"{file} may import {', '.join(may)}"


def test_who_trains_draws_nothing() -> None:
    drawing = [file for file in FILES if DRAWING in imported(file)]
    assert drawing == ["analysis/pictures.py", "sweeps/tracking/pictures.py"]


def test_a_worker_draws_nothing_to_the_end_of_a_trial(tmp_path: Path) -> None:
    code = f"""
import sys
from dataclasses import asdict
from pathlib import Path
import search_spaces
from trainables import definition
from trainables.data.cache import prepare
from trainables.health import HealthConfig
from trainables.trainable import TrialSettings, VaeTrainable
folder = Path({str(tmp_path)!r})
data = prepare(definition.load("imc_vae").reader, None, folder, {{"subset": 64}})
common = TrialSettings(
    "imc_vae", str(folder / "sweep"), str(data.path), 1, 0, 1, asdict(HealthConfig()), "val/elbo_gain", "max", []
)
config = {{"trial": 1, "control": False, "pauses": [], "settings": asdict(common)}}
config["hyperparameters"] = search_spaces.load("imc_vae").documented()
assert VaeTrainable(config).step()["done"]
assert (folder / "sweep/trials/00001/artifacts/pictures.npz").exists()
print(sorted({{"trainables.drawing", "matplotlib.backends.backend_agg"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_rules_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ALLOWED, "sweeps/cluster", ("sweeps",))
    with pytest.raises(AssertionError, match="may import sweeps"):
        test_a_file_imports_what_its_room_may("sweeps/cluster/fit.py")


def test_reading_a_report_loads_neither_torch_nor_ray() -> None:
    code = "import sys; import analysis.__main__, analysis.report; print({'torch', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "set()"
