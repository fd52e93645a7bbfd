"""A sweep goes on after its storage or its data was moved."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sweeps.exit_codes import ExitCode
from tests.sweeps.conftest import DONE, TINY, Sweeps

GIVEN = ("imc_vae", *TINY, "--trials", "2", "--epochs", "1", "--scheduler", "none", "--name", "moved")


def test_the_prepared_copy_stands_in_for_data_that_are_gone(sweeps: Sweeps, tmp_path: Path) -> None:
    data = tmp_path / "grids.npy"
    np.save(data, np.random.default_rng(0).standard_normal((80, 3, 3, 8)).astype(np.float32))
    code, output = sweeps.run(*GIVEN, "--data", str(data), *sweeps.untracked, tiny=False)
    assert code in DONE, output
    data.rename(tmp_path / "elsewhere.npy")
    code, output = sweeps.run("--extend", "moved", "--trials", "3", tiny=False)
    assert code in DONE, output
    assert f"{data} cannot be read any more; going on with its prepared copy {sweeps.storage / 'data'}" in output
    assert len(sweeps.state("moved").trials) == 3
    (copy,) = (sweeps.storage / "data").glob("*.arrow")
    copy.unlink()
    code, output = sweeps.resume("moved")
    assert code == ExitCode.REFUSED
    assert "--data: if they were moved, give their new place" in output
    code, output = sweeps.resume("moved", "--data", str(tmp_path / "elsewhere.npy"))
    assert code in DONE, output
    np.save(tmp_path / "other.npy", np.random.default_rng(1).standard_normal((80, 3, 3, 8)).astype(np.float32))
    code, output = sweeps.resume("moved", "--data", str(tmp_path / "other.npy"))
    assert code == ExitCode.REFUSED
    assert "has changed since; start a new sweep" in output
