import os
import subprocess
import sys

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient

import search_spaces
from sweeps.records.folder import SweepFolder
from sweeps.tracking import state
from sweeps.tracking.mirror import Mirror
from trainables import checkpoint, definition

pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")  # MLflow's own
SHAPE = (2, 2, 8)
LOAD_ELSEWHERE = """
import sys, mlflow, torch
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pytorch.load_model(sys.argv[2])
with torch.no_grad():
    torch.save(model.decode(model.encode(torch.load(sys.argv[3]))[0]), sys.argv[4])
import trainables
print(trainables.__file__)
"""


@pytest.fixture(autouse=True)
def tracking_uri_unset(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    mlflow.set_tracking_uri(None)


@pytest.fixture
def trained(make_sweep):
    """A finished sweep whose best trial, 2, left a checkpoint."""

    def make(sweep_id: str):
        sweep = make_sweep(sweep_id=sweep_id)
        for trial in (1, 2):
            sweep.start(trial)
            sweep.train(trial, 6)
            sweep.end(trial, "FINISHED")
        save_checkpoint(checkpoint.folder_of(sweep.path, 2))
        sweep.finish(best=2)
        return sweep

    return make


def save_checkpoint(folder):
    documented = search_spaces.load("imc_vae").documented()
    config = documented | {"hidden_dim": 16, "heads": 2, "layers": 1, "latent_dim": 4}
    statistics = {"std_floor": np.float32(1e-3)}
    model = definition.load("imc_vae").Model(config, SHAPE, statistics)
    sizes = {name: {"shape": list(np.shape(value))} for name, value in statistics.items()}
    described = {"model_name": "imc_vae", "config": config, "shape": list(SHAPE), "statistics": sizes}
    checkpoint.save(folder, described | {"epoch": 2, "share": 1.0, "model": model.state_dict()})


def reconstruct(model, x):
    with torch.no_grad():
        return model.decode(model.encode(x)[0])


@pytest.fixture
def logged(server):
    """The models of a sweep's run on the server."""
    client = MlflowClient(server.uri)

    def read(sweep, trial: int) -> list:
        now = state.read(sweep.path)
        query = f"source_run_id = '{now.runs[str(trial)]['run_id']}'"
        return client.search_logged_models([now.experiment_id], query)

    return read


def test_the_best_model_gives_the_same_reconstruction(trained, server, tmp_path):
    sweep = trained("model")
    assert Mirror(sweep.path, server.uri).sync().problems == ()
    runs = state.read(sweep.path).runs
    parent = MlflowClient(server.uri).get_run(runs["sweep"]["run_id"])
    x = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(0))
    expected = reconstruct(checkpoint.load_model(checkpoint.folder_of(sweep.path, 2)), x)

    assert parent.data.tags["best.trial"] == "2"
    assert parent.data.tags["best.run_id"] == runs["2"]["run_id"]
    for uri in (parent.data.tags["best.model_uri"], f"runs:/{runs['2']['run_id']}/model"):
        model = mlflow.pytorch.load_model(uri)
        assert not model.training
        torch.testing.assert_close(reconstruct(model, x), expected, rtol=0, atol=0)
    signature = mlflow.models.get_model_info(parent.data.tags["best.model_uri"]).signature
    assert signature.inputs.inputs[0].shape == (-1, *SHAPE)

    torch.save(x, tmp_path / "x.pt")
    files = [str(tmp_path / name) for name in ("x.pt", "y.pt")]
    elsewhere = subprocess.run(
        [sys.executable, "-c", LOAD_ELSEWHERE, server.uri, parent.data.tags["best.model_uri"], *files],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert "/code/trainables/" in elsewhere.stdout
    torch.testing.assert_close(torch.load(files[1]), expected, rtol=0, atol=0)


def test_the_model_is_logged_once_and_again_when_it_was_trained_on(trained, server, logged):
    sweep = trained("model_again")
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()
    (first,) = logged(sweep, 2)
    client = MlflowClient(server.uri)
    client.delete_tag(state.read(sweep.path).runs["2"]["run_id"], "model.epoch")  # as if the mirror died before it
    SweepFolder(sweep.path).mirror.unlink()
    Mirror(sweep.path, server.uri).sync()
    assert [model.model_id for model in logged(sweep, 2)] == [first.model_id]

    sweep.train(2, 1)
    sweep.end(2, "FINISHED")
    assert mirror.sync().problems == ()
    (second,) = logged(sweep, 2)
    assert second.model_id != first.model_id
    assert logged(sweep, 1) == []


def test_a_missing_checkpoint_is_told_and_holds_nothing_up(trained, server):
    sweep = trained("model_missing")
    (checkpoint.folder_of(sweep.path, 2) / checkpoint.FILE).unlink()

    summary = Mirror(sweep.path, server.uri).sync()

    assert len(summary.problems) == 1
    assert summary.problems[0].startswith("model of the best trial, 2: FileNotFoundError")
    parent = MlflowClient(server.uri).get_run(state.read(sweep.path).runs["sweep"]["run_id"])
    assert parent.info.status == "FINISHED"
