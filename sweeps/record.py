"""What is needed to repeat a sweep: settings, space, data, code, packages, machine. Written to `sweep.json`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sweeps.config import SweepConfig
from trainables.files import write_text
from trainables.health import HealthConfig

FILE = "sweep.json"
ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("ray", "torch", "optuna", "mlflow", "pyarrow", "numpy", "torchmetrics", "vector-quantize-pytorch"),
    *("scikit-learn", "scipy", "pillow", "nibabel"),
)


def new(config: SweepConfig, dataset: Any, health: HealthConfig) -> dict[str, Any]:
    """The record of a sweep that starts now."""
    return {
        "name": config.name,
        "id": uuid.uuid4().hex,
        "model": config.model,
        "created": time.time(),
        "config": config.to_dict(),
        "space": [asdict(parameter) for parameter in config.search_space().parameters],
        "data": {
            "source": dataset.source,
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "shape": list(dataset.shape),
            "train": len(dataset.train),
            "val": len(dataset.val),
            "embedded": dataset.embedded,
        },
        "health": asdict(health),
        "code": _code(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "command": sys.argv,
    }


def write(config: SweepConfig, record: dict[str, Any]) -> None:
    """Write `sweep.json`."""
    write_text(config.folder / FILE, json.dumps(record, indent=1, default=_plain))


def read(folder: Path) -> dict[str, Any]:
    """The record in a sweep's folder."""
    return json.loads((folder / FILE).read_text())


def _plain(value: Any) -> Any:
    return str(value)


def _code() -> dict[str, Any]:
    """The commit of this repository, and whether it was changed since; None outside a checkout."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
