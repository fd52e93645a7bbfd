"""The epoch log as written by workers and read by everyone else."""

import math
import os

import pyarrow.parquet as pq

from trainables import epoch_log
from trainables.files import epochs_file

CONFIG = {"learning_rate": 3e-4, "latent_dim": 8, "two_stage": False, "normalize": "none", "grad_clip_norm": None}


def row(epoch, **metrics):
    told = {"seed": 7, "seconds": 1.5 * epoch, "verdict": "HEALTHY", "verdict_detail": "", "control": False}
    told["best_epoch"] = epoch
    return {"epoch": epoch} | told | {name.replace("__", "/"): value for name, value in metrics.items()}


def test_rows_come_back_as_written(tmp_path):
    rows = [row(1, train__loss=0.5), row(2, train__loss=0.25) | {"verdict": "GRACE", "control": True}]
    rows[0]["latent/kl"], rows[1]["latent/kl"] = [0.5, 0.0], [0.25, 1.0]
    epoch_log.write(tmp_path, 3, CONFIG, rows)
    found = epoch_log.read_trial(tmp_path, 3)
    configured = {f"config/{name}": value for name, value in CONFIG.items()}
    assert found == [{"trial": 3} | configured | given for given in rows]
    assert epochs_file(tmp_path, 3) == tmp_path / "epochs" / "trial-00003.parquet"


def test_a_copy_belongs_to_its_new_trial(tmp_path):
    rows = [row(1, train__loss=0.5), row(2, train__loss=0.25)]
    epoch_log.write(tmp_path / "a", 3, CONFIG, rows)
    epoch_log.copy(tmp_path / "a", 3, tmp_path / "b", 8)
    expected = [one | {"trial": 8} for one in epoch_log.read_trial(tmp_path / "a", 3)]
    assert epoch_log.read_trial(tmp_path / "b", 8) == expected


def test_a_trial_without_epochs_is_empty(tmp_path):
    assert epoch_log.read_trial(tmp_path, 1) == []
    assert epoch_log.dataset(tmp_path).to_table().num_rows == 0


def test_hyperparameters_keep_their_type(tmp_path):
    epoch_log.write(tmp_path, 1, CONFIG, [row(1)])
    schema = pq.read_schema(epochs_file(tmp_path, 1))
    types = {name.removeprefix("config/"): str(schema.field(name).type) for name in schema.names if "config/" in name}
    assert types == {
        "learning_rate": "double",
        "latent_dim": "int64",
        "two_stage": "bool",
        "normalize": "string",
        "grad_clip_norm": "null",
    }


def test_metrics_are_doubles_and_keep_what_is_not_finite(tmp_path):
    epoch_log.write(tmp_path, 1, {}, [row(1, health__au=3, train__loss=math.nan), row(2, val__mse=math.inf)])
    first, second = epoch_log.read_trial(tmp_path, 1)
    assert isinstance(first["health/au"], float)
    assert math.isnan(first["train/loss"])
    assert first["val/mse"] is None
    assert second["val/mse"] == math.inf
    assert second["train/loss"] is None


def test_the_best_row_is_the_one_that_the_last_names():
    rows = [row(1), row(2), row(3) | {"best_epoch": 2}]
    assert epoch_log.best_row(rows)["epoch"] == 2
    assert epoch_log.best_row([{"epoch": 1}, {"epoch": 2}])["epoch"] == 2  # a log of an older version


def test_writing_again_replaces_the_file(tmp_path):
    epoch_log.write(tmp_path, 1, CONFIG, [row(1)])
    epoch_log.write(tmp_path, 1, CONFIG, [row(1), row(2)])
    assert [found["epoch"] for found in epoch_log.read_trial(tmp_path, 1)] == [1, 2]
    assert os.listdir(tmp_path / "epochs") == ["trial-00001.parquet"]


def test_the_data_set_joins_trials_with_different_columns(tmp_path):
    epoch_log.write(tmp_path, 2, CONFIG | {"grad_clip_norm": 1.0}, [row(1, val__psnr=20.0)])
    epoch_log.write(tmp_path, 1, CONFIG, [row(1, health__au=3.0), row(2, health__au=4.0)])
    table = epoch_log.dataset(tmp_path).to_table()
    found = table.sort_by([("trial", "ascending"), ("epoch", "ascending")]).to_pydict()
    assert found["trial"] == [1, 1, 2]
    assert found["config/grad_clip_norm"] == [None, None, 1.0]
    assert found["health/au"] == [3.0, 4.0, None]
    assert found["val/psnr"] == [None, None, 20.0]
