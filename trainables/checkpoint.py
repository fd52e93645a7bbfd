"""Checkpoints: written whole or not at all, loaded without unpickling anything but tensors and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search_spaces.reference import CODE, MANIFEST
from search_spaces.training import DEFAULTS
from trainables import definition
from trainables.files import replace_file, trial_folder
from trainables.vae import Vae

FILE = "checkpoint.pt"
folder_of = trial_folder
NO_MODEL = (
    "a loop of one's own is exported where its file has a Model and it calls monitor.save({'model': weights, …})"
)


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint in `folder` by `state` (tensors, numbers, strings, lists and dicts of them)."""
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / FILE) as file:
        torch.save(dict(state), file)


def load(folder: Path) -> dict[str, Any] | None:
    """The checkpoint in `folder` on the CPU, None if there is none."""
    path = folder / FILE
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def load_model(folder: Path) -> Vae:
    """The model of a trial's folder after its best epoch, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: the folder has no checkpoint.
    """
    state = load(folder)
    if state is None:
        raise FileNotFoundError(f"{folder} has no {FILE}: the trial has not completed an epoch yet")
    if not has_model(state):
        raise FileNotFoundError(f"{folder / FILE} has no model: {NO_MODEL}")
    return rebuild(state, folder.parents[1] / CODE)


def has_model(state: Mapping[str, Any]) -> bool:
    """False for a loop of the user's own that saved no weights of a `Model` of its file."""
    return "model" in state


def of_best_epoch(state: Mapping[str, Any]) -> dict[str, Any]:
    """What rebuilds the model after the trial's best epoch: the state without optimiser, its `model`, `epoch` and
    `share` those of that epoch; of the last one where none was healthy, or it ended sick."""
    best = state.get("best")
    kept = best if best and "model" in best and best["epoch"] == state["best_epoch"] else state
    needed = ("model_name", "config", "shape", "statistics")
    return {name: state[name] for name in needed} | {name: kept[name] for name in ("epoch", "share", "model")}


def rebuild(state: Mapping[str, Any], code: Path) -> Vae:
    """The model of a checkpoint's state after its best epoch, in evaluation mode, on the CPU.

    Args:
        state: of the checkpoint.
        code: where the copy of an own model lies; absent for a model of this project.
    """
    state = of_best_epoch(state)
    statistics = {name: _statistic(value) for name, value in state["statistics"].items()}
    found = definition.load(str(code) if (code / MANIFEST).exists() else state["model_name"])
    model = found.build(DEFAULTS | state["config"], tuple(state["shape"]), statistics)
    model.load_state_dict(state["model"])
    model.start_epoch(state["share"])
    return model.eval()


def _statistic(value: Any) -> np.ndarray:
    """As the model was built with; older checkpoints have large ones as their shape alone, to be zeros."""
    if isinstance(value, dict):
        return np.zeros(value["shape"], np.float32)
    return value.numpy() if isinstance(value, torch.Tensor) else np.array(value)
