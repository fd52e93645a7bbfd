"""Checkpoints: written whole or not at all, loaded without unpickling anything but tensors and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from trainables import models
from trainables.files import replace_file, trial_folder

FILE = "checkpoint.pt"
folder_of = trial_folder


def save(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint in `folder` by `state` (tensors, numbers, strings, lists and dicts of them)."""
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / FILE) as file:
        torch.save(dict(state), file)


def load(folder: Path) -> dict[str, Any] | None:
    """The checkpoint in `folder` on the CPU, None if there is none."""
    path = folder / FILE
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def load_model(folder: Path) -> nn.Module:
    """The model of a trial's folder after its best epoch, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: the folder has no checkpoint.
    """
    state = load(folder)
    if state is None:
        raise FileNotFoundError(f"{folder} has no {FILE}: the trial has not completed an epoch yet")
    return rebuild(state)


def of_best_epoch(state: Mapping[str, Any]) -> dict[str, Any]:
    """What rebuilds the model after the trial's best epoch: the state without optimiser, its `model`, `epoch` and
    `share` those of that epoch; of the last one where none was healthy, or it ended sick."""
    best = state.get("best")
    kept = best if best and best["epoch"] == state["best_epoch"] else state
    needed = ("model_name", "config", "shape", "statistics")
    return {name: state[name] for name in needed} | {name: kept[name] for name in ("epoch", "share", "model")}


def rebuild(state: Mapping[str, Any]) -> nn.Module:
    """The model of a checkpoint's state after its best epoch, in evaluation mode, on the CPU."""
    state = of_best_epoch(state)
    statistics = {
        name: np.zeros(value["shape"], np.float32) if isinstance(value, dict) else np.array(value)
        for name, value in state["statistics"].items()
    }
    model = models.load(state["model_name"]).Model(state["config"], tuple(state["shape"]), statistics)
    model.load_state_dict(state["model"])
    model.start_epoch(state["share"])
    return model.eval()
