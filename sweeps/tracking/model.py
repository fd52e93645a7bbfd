"""The best trial's model as an MLflow model that `mlflow.pytorch.load_model` returns, on any machine."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

import search_spaces
import trainables
from search_spaces.reference import CODE
from trainables import checkpoint
from trainables.checkpoint import load_model

NAME = "model"
_EPOCH = "epoch"
_REQUIREMENTS = ("mlflow", "torch", "cloudpickle", "numpy", "pyarrow", "torchmetrics", "vector-quantize-pytorch")


def has_model(folder: Path) -> bool:
    """False where the checkpoint in a trial's folder is that of a user's own loop that saved no model."""
    state = checkpoint.load(folder)
    return state is None or checkpoint.has_model(state)


def log_model(
    client: MlflowClient, tracking_uri: str, run: Run, folder: Path, epoch: int, shape: Sequence[int]
) -> str:
    """Log the checkpoint in a trial's `folder` on its run, in place of that of an earlier epoch, unless that is
    done; return the model's URI.

    The module is pickled by reference to the code that is stored beside it. Its signature names the input alone,
    (-1, *shape) float32, because a VAE returns more than a tensor.

    Raises:
        FileNotFoundError: the folder has no checkpoint.
    """
    experiment_id, run_id = run.info.experiment_id, run.info.run_id
    found = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}' AND name = '{NAME}'")
    for logged in found:
        if logged.status == LoggedModelStatus.READY and logged.tags.get(_EPOCH) == str(epoch):
            return logged.model_uri
    model = load_model(folder)
    for outdated in found:
        client.delete_logged_model(outdated.model_id)
    # Made here because `mlflow.pytorch.log_model` would put it into the default experiment, where the run's own
    # `runs:/…/model` does not find it.
    logged = client.create_logged_model(experiment_id, NAME, run_id, {_EPOCH: str(epoch)}, run.data.params)
    own = sorted(str(path) for path in (folder.parents[1] / CODE).glob("*") if path.name != "__pycache__")
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.pytorch.log_model(
        model,
        run_id=run_id,
        model_id=logged.model_id,
        step=epoch,
        signature=ModelSignature(Schema([TensorSpec(np.dtype(np.float32), (-1, *shape))])),
        code_paths=[*(package.__path__[0] for package in (trainables, search_spaces)), *own],
        pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _REQUIREMENTS],
        serialization_format="pickle",
    )
    return logged.model_uri
