"""A trained model as files that other programs read: weights (safetensors), what builds it (JSON), a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from search_spaces.reference import CODE
from trainables import checkpoint
from trainables.files import replace_file, write_text

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
CARD = "README.md"
STATISTICS = "statistics.safetensors"  # of the training samples, with which the model is built


def export(trial: Path, out: Path, card: str) -> None:
    """Write weights and configuration of the best epoch of folder `trial`, and the text of a model card, to `out`.

    Raises:
        FileNotFoundError: the folder has no checkpoint.
    """
    from safetensors.torch import save

    state = checkpoint.load(trial)
    if state is None:
        raise FileNotFoundError(f"{trial} has no {checkpoint.FILE}: the trial has not completed an epoch")
    if not checkpoint.has_model(state):
        raise FileNotFoundError(f"{trial / checkpoint.FILE} has no model: {checkpoint.NO_MODEL}")
    out.mkdir(parents=True, exist_ok=True)
    state = checkpoint.of_best_epoch(state)
    tensors = {name: tensor.contiguous() for name, tensor in state.pop("model").items()}
    measured = {name: value for name, value in state["statistics"].items() if isinstance(value, Tensor)}
    state["statistics"] = {name: value for name, value in state["statistics"].items() if name not in measured}
    with replace_file(out / WEIGHTS) as file:
        file.write(save(tensors, {"format": "pt", "model": state["model_name"]}))
    with replace_file(out / STATISTICS) as file:
        file.write(save({name: value.contiguous() for name, value in measured.items()}, {"format": "pt"}))
    write_text(out / CONFIG, json.dumps(state, indent=1))
    write_text(out / CARD, card)
    if (code := trial.parents[1] / CODE).exists():
        shutil.copytree(code, out / CODE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def load(folder: Path) -> nn.Module:
    """The model that `export` wrote to `folder`, in evaluation mode, on the CPU."""
    from safetensors.torch import load_file

    state: Mapping[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    path = folder / STATISTICS  # older exports have none
    measured = load_file(path) if path.exists() else {}
    state = {**state, "model": load_file(folder / WEIGHTS), "statistics": {**state["statistics"], **measured}}
    return checkpoint.rebuild(state, folder / CODE)
