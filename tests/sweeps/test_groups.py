"""Splitting by groups, as a user meets it on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeps.exit_codes import ExitCode
from tests.sweeps.conftest import ROOT, Sweeps

IMC = ROOT.parent / "shared" / "data" / "imc" / "embeddings.parquet"


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """Four slices each of eight people."""
    rng, folder = np.random.default_rng(0), tmp_path / "slices"
    folder.mkdir()
    for person in range(8):
        for place in range(4):
            Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(folder / f"{person:02}_slice{place}.png")
    return folder


def planned(sweeps: Sweeps, *arguments: str) -> tuple[int, str]:
    code, output = sweeps.run(*arguments, "--plan", tiny=False)
    return code, " ".join(output.split())


def test_a_plan_says_by_what_is_split(sweeps: Sweeps, slices: Path) -> None:
    common = ("conv_vae", "--data", str(slices), "--set", "image_size=32")
    code, output = planned(sweeps, *common, "--group", "^(.+?)_slice")
    assert code == 0
    assert "24 samples to train, 4 to validate, 4 to test" in output
    assert "Split by 8 groups, from --group ^(.+?)_slice." in output
    code, output = planned(sweeps, *common)
    assert code == 0
    assert "23 samples to train, 6 to validate, 3 to test" in output
    assert "Split by" not in output


def test_a_pattern_that_does_not_serve_is_refused(sweeps: Sweeps, slices: Path) -> None:
    code, output = planned(sweeps, "conv_vae", "--data", str(slices), "--group", "patient(.)")
    assert code == ExitCode.REFUSED
    assert "--group patient(.): not found in 32 of 32 names, such as 00_slice0.png; expected it in each" in output
    assert "Traceback" not in output


@pytest.mark.skipif(not IMC.exists(), reason=f"{IMC} is not here")
def test_tissue_sections_are_kept_whole(sweeps: Sweeps) -> None:
    code, output = planned(sweeps, "imc_vae", "--data", str(IMC))
    assert code == 0
    assert "34 samples to train, 29 to validate, 9 to test" in output
    assert "Split by 3 groups, from the column source." in output
