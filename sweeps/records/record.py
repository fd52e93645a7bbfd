"""What is needed to repeat a sweep: settings, space, data, code, packages, machine. Written to `sweep.json`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import search_spaces
from search_spaces.reference import CODE, MANIFEST
from sweeps.config import SweepConfig
from trainables.files import write_text
from trainables.health import HealthConfig

FILE = "sweep.json"
ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("search_spaces", "trainables", "sweeps")  # the packages that decide the numbers of a trial
PACKAGES = (
    *("ray", "torch", "optuna", "mlflow", "pyarrow", "numpy", "torchmetrics", "vector-quantize-pytorch"),
    *("scikit-learn", "scipy", "pillow", "nibabel"),
)


def new(config: SweepConfig, dataset: Any, health: HealthConfig) -> dict[str, Any]:
    """The record of a sweep that starts now."""
    space = config.search_space()
    told = {
        "space": [asdict(parameter) for parameter in space.parameters],
        "metrics": config.metric if config.own_loop else list(space.metrics),
        "claims": len(search_spaces.claims(config.reference)),
    }
    return started(config, data_of(dataset), health) | told


def data_of(dataset: Any) -> dict[str, Any]:
    """What the record tells of the data."""
    return {
        "source": dataset.source,
        "path": str(dataset.path),
        "fingerprint": dataset.fingerprint,
        "shape": list(dataset.shape),
        "train": len(dataset.train),
        "val": len(dataset.val),
        "embedded": dataset.embedded,
    }


def started(config: SweepConfig, data: Mapping[str, Any], health: HealthConfig) -> dict[str, Any]:
    """The record of a sweep that starts now, of a model and a search space that nothing is known of.

    Args:
        data: see `data_of`.
    """
    return {
        "name": config.name,
        "id": uuid.uuid4().hex,
        "model": config.model,
        "created": time.time(),
        "config": config.to_dict(),
        "space": [],
        "data": dict(data),
        "health": asdict(health),
        "metrics": config.metric,
        "claims": 0,
        "code": code() | own_model(config),
        "packages": packages(),
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
        },
        "command": sys.argv,
    }


def resumed(record: dict[str, Any], config: SweepConfig) -> dict[str, Any]:
    """`record` of a sweep that goes on, with the settings of the resume. Where the code or the packages have changed
    since, `code.fingerprint` is None: the sweep is of no one code any more. What it was is kept in `code.before`.
    """
    was, now, installed = record["code"], code(), packages()
    if was.get("fingerprint") == now["fingerprint"] and record.get("packages") == installed:
        return record | {"config": config.to_dict()}
    before = [*was.get("before", []), {key: value for key, value in was.items() if key != "before"}]
    changed = now | {"fingerprint": None, "before": before} | own_model(config)
    return record | {"config": config.to_dict(), "code": changed, "packages": installed}


def write(config: SweepConfig, record: dict[str, Any]) -> None:
    """Write `sweep.json`."""
    write_text(config.folder / FILE, json.dumps(record, indent=1, default=_plain))


def read(folder: Path) -> dict[str, Any]:
    """The record in a sweep's folder."""
    return json.loads((folder / FILE).read_text())


def _plain(value: Any) -> Any:
    return str(value)


def code() -> dict[str, Any]:
    """Which code is running: `fingerprint` of its sources, the `commit` of this repository and whether it was
    changed since (`dirty`); both None outside a checkout.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {
        "fingerprint": fingerprint(),
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
    }


def own_model(config: SweepConfig) -> dict[str, Any]:
    """`model`: module, reference and sha256 of the copy in the sweep's folder; {} for a model of this project."""
    manifest = config.folder / CODE / MANIFEST
    return {"model": json.loads(manifest.read_text(encoding="utf-8"))} if manifest.exists() else {}


def fingerprint(names: Sequence[str] = SOURCES) -> str:
    """sha256 (hex) over path and content of every file of the packages `names` as imported, bytecode aside."""
    digest = hashlib.sha256()
    for package in names:
        folder = Path(importlib.import_module(package).__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"{package}/{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


def packages() -> dict[str, str]:
    """The versions of the libraries that are installed here, by name."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
