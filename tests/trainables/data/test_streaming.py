"""The memory that preparing takes does not grow with the data: the real thing, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def peak(kind: str, gigabytes: float, folder: Path) -> float:
    """MB beyond what was there before, as `benchmarks/preparing.py` measures it."""
    command = [sys.executable, str(ROOT / "benchmarks" / "preparing.py"), "--one", f"{kind}:{gigabytes}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    done = subprocess.run(
        [*command, "--folder", str(folder)], capture_output=True, text=True, check=True, env=environment
    )
    found = json.loads(done.stdout)
    return float(found["peak"] - found["before"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["dataset", "array", "sparse"])
def test_twice_the_data_take_no_more_memory(kind: str, tmp_path: Path) -> None:
    """Items with a mask as large as x, a mapped .npy file, and counts: 200 MB of float32 against 400 MB."""
    small, large = (peak(kind, size, tmp_path) for size in (0.2, 0.4))
    assert large < 1.15 * small + 10
    assert large < 180
