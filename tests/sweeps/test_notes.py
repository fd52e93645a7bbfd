"""What the user should know: gathered from data and model, printed, recorded."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from sweeps import notes, preparation
from sweeps.completion import complete
from sweeps.exit_codes import ExitCode
from sweeps.options import SweepOptions
from tests.sweeps.conftest import Sweeps

FAST = (
    "--set",
    "image_size=32",
    "--set",
    "width=8",
    "--set",
    "embedding_dim=16",
    "--set",
    "perceptual_loss_weight=0.1",
)


def crops(folder: Path) -> Path:
    """24 crops, and one cut short."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(25):
        Image.fromarray(rng.integers(1, 255, (24, 20), dtype=np.uint8)).save(folder / f"cell{number}.png")
    broken = folder / "cell24.png"
    broken.write_bytes(broken.read_bytes()[:60])
    return folder


def test_notes_of_data_and_model_are_gathered_and_printed(tmp_path: Path) -> None:
    config = complete(
        SweepOptions(model="vq_vae", data=str(crops(tmp_path / "cells")), set=FAST[1::2], storage=str(tmp_path))
    )
    told = preparation.prepare(config).notes
    assert any("cell24.png" in line for line in told["data"])
    assert [("random features" in line, "perceptual_weights" in line) for line in told["model"]] == [(True, True)]
    printed = io.StringIO()
    notes.show(Console(file=printed, width=400), told)
    assert printed.getvalue().splitlines() == [
        *(f"Note on the data: {line}." for line in told["data"]),
        f"Note on the model: {told['model'][0]}.",
    ]


def test_channels_that_hardly_vary_are_named(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((40, 4, 4, 6)).astype(np.float32)
    x[..., 2] = 7.0
    x[..., 5] *= 1e-6
    np.save(tmp_path / "grids.npy", x)
    config = complete(SweepOptions(model="imc_vae", data=str(tmp_path / "grids.npy"), storage=str(tmp_path)))
    told = preparation.prepare(config).notes["data"]
    assert told[1] == "2 channels hardly vary over the validation samples; the score leaves them out: 2, 5"


def test_the_plan_prints_them_and_a_sweep_records_them(sweeps: Sweeps, tmp_path: Path) -> None:
    arguments = ("vq_vae", "--data", str(crops(tmp_path / "cells")), *FAST, "--trials", "1", "--epochs", "1")
    for more in (("--plan",), ("--name", "noted", *sweeps.untracked)):
        code, output = sweeps.run(*arguments, *more, tiny=False)
        assert code in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL), output
        assert "Note on the data: 1 of 25 are left out: cell24.png" in output
        assert "Note on the model: the perceptual loss sees random features" in output
    recorded = json.loads((sweeps.folder("noted") / "sweep.json").read_text())["notes"]
    assert "cell24.png" in recorded["data"][0]
    assert "random features" in recorded["model"][0]
    page = (sweeps.folder("noted") / "report.html").read_text()
    assert "Note on the model.</b> the perceptual loss sees random features" in page
