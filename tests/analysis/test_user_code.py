"""Report and replay read a sweep; the code that lies in its folder is never run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from analysis.__main__ import main
from search_spaces import ModelError, resolve
from search_spaces.reference import CODE, MANIFEST, content_hash

RECORDED = Path(__file__).resolve().parents[2] / "analysis" / "recorded" / "imc_vae-1"


def of_an_own_model(folder: Path) -> Path:
    """A sweep of a model whose file leaves a trace and raises when it is imported."""
    shutil.copytree(RECORDED, folder)
    code = folder / CODE
    code.mkdir()
    content = f"from pathlib import Path\nPath({str(folder / 'ran')!r}).touch()\nraise RuntimeError('imported')\n"
    (code / "mine.py").write_text(content)
    told = {"module": "mine", "reference": "mine.py", "sha256": content_hash({"mine.py": content.encode()})}
    (code / MANIFEST).write_text(json.dumps(told))
    record = json.loads((folder / "sweep.json").read_text())
    record["model"] = record["config"]["model"] = "mine"
    record["config"] |= {"code": str(code), "name": folder.name, "storage": str(folder.parent)}
    record["code"]["model"] = told
    (folder / "sweep.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    return of_an_own_model(tmp_path / "own")


def test_the_code_would_leave_a_trace(sweep: Path) -> None:
    with pytest.raises(ModelError, match="imported"):
        resolve(str(sweep / CODE))
    assert (sweep / "ran").exists()


@pytest.mark.parametrize(
    "command",
    [["report"], *(["report", "--format", kind] for kind in ("json", "parquet", "md")), ["replay"]],
    ids=" ".join,
)
def test_a_command_does_not_run_the_code_of_a_sweep(command: list[str], sweep: Path) -> None:
    assert main([command[0], str(sweep), *command[1:]]) == 0
    assert not (sweep / "ran").exists()


def test_two_sweeps_are_compared_without_their_code(sweep: Path, tmp_path: Path) -> None:
    other = of_an_own_model(tmp_path / "other")
    assert main(["report", str(sweep), "--compare", str(other)]) == 0
    assert not (sweep / "ran").exists()
    assert not (other / "ran").exists()
