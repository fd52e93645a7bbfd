"""Sweeps from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import api
from sweeps.config import ConfigError

SCRIPT = """
import json
import sys

import torch

from sweeps import sweep
from sweeps.api import extend, load

tiny = dict(subset=64, epochs=2, set=["latent_dim=8", "hidden_dim=8", "layers=1"], scheduler="none")
before = sweep("imc_vae", trials=2, name="one", storage=sys.argv[1], **tiny).table().num_rows
result = extend("one", trials=3, storage=sys.argv[1])
model = result.model(1)
print(json.dumps({
    "before": before,
    "status": int(result.status),
    "loaded": load("one", sys.argv[1]).status == result.status,
    "trials": [trial.number for trial in result.trials],
    "columns": result.table().column_names,
    "rows": result.table().num_rows,
    "report": result.report().name,
    "exported": sorted(path.name for path in result.export(trial=2).iterdir()),
    "finite": all(bool(torch.isfinite(value).all()) for value in model.state_dict().values()),
}))
"""


def test_a_sweep_from_python_prints_nothing_and_gives_back_what_it_found(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)  # nothing else was printed
    assert found["before"] == 2
    assert found["trials"] == [1, 2, 3]
    assert found["status"] in (0, 3)
    assert found["loaded"]
    assert {"trial", "outcome", "config/latent_dim", "val/elbo_gain", "health/au"} <= set(found["columns"])
    assert found["rows"] == 3
    assert found["report"] == "report.html"
    assert "model.safetensors" in found["exported"]
    assert found["finite"]
    assert (tmp_path / "one" / "report.html").exists()


def test_what_cannot_start_is_refused_with_all_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        api.sweep("imc_vae", trails=3, epoch=2)
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["trails", "epoch"]
    with pytest.raises(ConfigError, match="--trials 0: expected at least 1"):
        api.sweep("imc_vae", trials=0, storage=tmp_path)
    with pytest.raises(ConfigError, match="no such sweep"):
        api.resume("nothing", storage=tmp_path)


def test_a_plan_is_data(tmp_path: Path) -> None:
    planned = api.plan("imc_vae", trials=3, epochs=2, subset=64, storage=tmp_path)
    assert (planned.model, planned.trials, planned.epochs) == ("imc_vae", 3, 2)
    assert [row["origin"] for row in planned.configurations] == ["documented", "baseline", "search"]


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, sweeps; print({'torch', 'ray', 'mlflow', 'analysis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
