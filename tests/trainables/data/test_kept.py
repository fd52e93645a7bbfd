"""What is kept of prepared data is told and cleared, but not from under a running sweep."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from trainables.data import remote
from trainables.data.__main__ import main
from trainables.data.kept import ABANDONED, FOLDER
from trainables.data.samples import Samples
from trainables.data.store import open_dataset, write_dataset

HOLD = """
import sys, time
from trainables.data.store import open_dataset
dataset = open_dataset(sys.argv[1])
print(len(dataset), flush=True)
time.sleep(600)
"""


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    for name, count in (("grids-a", 30), ("images-b", 60)):
        x = np.random.default_rng(count).random((count, 8), np.float32)
        write_dataset(tmp_path / FOLDER / f"{name}.arrow", Samples(x, source=f"/data/{name}"), {})
    return tmp_path


def test_they_are_listed_with_source_and_size(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (storage / FOLDER / "grids-c.arrow").write_bytes(b"ARROW1")
    assert main(["list", "--storage", str(storage)]) == 0
    first, second, third, total = capsys.readouterr().out.splitlines()
    assert first.startswith("images-b  60 samples, ")
    assert first.endswith("/data/images-b")
    assert second.startswith("grids-a  30 samples, ")
    assert "6 bytes" in third
    assert "cannot be read" in third
    assert total.startswith("3 in all, ")
    assert "in use" not in first + second + third


def test_nothing_kept_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--storage", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"Nothing is kept in {tmp_path / FOLDER}.\n"
    assert main(["clear", "--storage", str(tmp_path)]) == 0
    assert "Removed 0 of 0" in capsys.readouterr().out


def test_all_or_some_are_cleared(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clear", "grids-a", "--storage", str(storage)]) == 0
    assert "Removed 1 of 1" in capsys.readouterr().out
    assert [path.name for path in (storage / FOLDER).iterdir()] == ["images-b.arrow"]
    assert main(["clear", "--storage", str(storage)]) == 0
    assert not list((storage / FOLDER).iterdir())


def test_an_unknown_name_clears_nothing(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clear", "grids-a", "grid", "--storage", str(storage)]) == 2
    assert "error: grid: expected names of prepared data in" in capsys.readouterr().err
    assert len(list((storage / FOLDER).iterdir())) == 2


def test_what_another_process_uses_stays(storage: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = storage / FOLDER / "grids-a.arrow"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert main(["clear", "--storage", str(storage)]) == 2
        said = capsys.readouterr()
        process.kill()
    assert "Removed 1 of 2" in said.out
    assert "in use, and kept: grids-a" in said.err
    assert len(open_dataset(path)) == 30
    assert main(["clear", "--storage", str(storage)]) == 0
    assert not path.exists()


def test_files_of_an_address_are_told_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, fetched = tmp_path / "there", tmp_path / FOLDER / remote.FOLDER
    there.mkdir()
    np.save(there / "x.npy", np.zeros(1000))
    remote.fetched(there.as_uri(), tmp_path / FOLDER)
    assert main(["list", "--storage", str(tmp_path)]) == 0
    assert f"8.1 kB, made {time.strftime('%Y')}" in (said := capsys.readouterr().out)
    assert f"files of {there.as_uri()}" in said
    assert main(["clear", "--storage", str(tmp_path)]) == 0
    assert not list(fetched.iterdir())
    assert (there / "x.npy").exists()


def test_what_a_killed_preparation_left_is_cleared_but_not_what_is_being_written(storage: Path) -> None:
    writing, left = (storage / FOLDER / f".grids-{name}.arrow.1.partial" for name in "de")
    for path in (writing, left):
        path.write_bytes(b"half")
    os.utime(left, (0, time.time() - 2 * ABANDONED))
    assert main(["clear", "--storage", str(storage)]) == 2
    assert list((storage / FOLDER).iterdir()) == [writing]
