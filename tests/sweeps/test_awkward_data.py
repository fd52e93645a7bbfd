"""What cannot be decided about data is asked before anything starts, and what is peculiar is told."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image

from sweeps.exit_codes import ExitCode
from tests.sweeps.conftest import Sweeps

RNG = np.random.default_rng(0)


def pages_without_a_name(root: Path) -> Path:
    for number in range(12):
        tifffile.imwrite(
            root / f"{number}.tif", RNG.integers(1, 99, (3, 20, 20), np.uint16), photometric="minisblack"
        )
    return root


def channels_first(root: Path) -> Path:
    np.save(root / "grids.npy", RNG.normal(size=(12, 8, 3, 3)).astype(np.float32))
    return root / "grids.npy"


def null_list(root: Path) -> Path:
    sample, row, col = np.indices((12, 2, 2)).reshape(3, -1)
    lists = [[1.0, float(number)] for number in range(48)]
    emb = pa.array([*lists[:5], None, *lists[6:]], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"sample": sample, "row": row, "col": col, "emb": emb}), root / "grids.parquet")
    return root / "grids.parquet"


def parts_of_a_split(root: Path) -> Path:
    for number in range(12):
        path = root / ("train" if number % 2 else "test") / f"class{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (20, 20, 3), np.uint8)).save(path)
    return root


def name_in_latin_1(root: Path) -> Path:
    folder = os.path.join(os.fsencode(root), b"s\xe9rie")
    os.mkdir(folder)
    return Path(os.fsdecode(folder))


REFUSED = {
    "vq_vae": (pages_without_a_name, "does not say whether Q or I are channels, slices or times"),
    "imc_vae": (channels_first, "is this (samples, rows, cols, channels), or (samples, channels, rows, cols)?"),
    "imc_vae, null": (null_list, "sample 1, row 0, col 1: column 'emb' holds null; expected 2 values"),
    "vae_dg": (parts_of_a_split, "train, training, val, valid, validation, test, testing are parts of a split"),
    "conv_vae": (
        name_in_latin_1,
        "this name is not UTF-8, and Ray does not start with it; rename it, or give a link",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_decided_is_asked(sweeps: Sweeps, tmp_path: Path, case: str):
    make, question = REFUSED[case]
    code, output = sweeps.run(case.split(",")[0], "--data", str(make(tmp_path)), "--plan", tiny=False)
    assert code == ExitCode.REFUSED, output
    assert question in output
    assert "Traceback" not in output


def test_what_is_peculiar_is_told(sweeps: Sweeps, tmp_path: Path):
    folder = name_in_latin_1(tmp_path)
    for number in range(12):
        with open(folder / f"{number}.png", "wb") as file:
            Image.fromarray(RNG.integers(0, 256, (32, 32, 2), np.uint8), "LA").save(file, "PNG")
    (folder / "none.png").touch()
    code, output = sweeps.run("conv_vae", "--data", str(tmp_path), "--set", "image_size=32", "--plan", tiny=False)
    assert code == ExitCode.FINISHED, output
    assert "Note on the data: 1 of 13 are left out: série/none.png: is empty (0 bytes)." in output
    assert "Note on the data: 12 of 12 images hold alpha or extra samples: these are left out." in output
