"""The epoch log as written by workers and read by everyone else."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

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


def test_epochs_are_read_while_they_come_and_one_file_is_left(tmp_path):
    log, rows = epoch_log.TrialLog(tmp_path, 3, CONFIG), []
    for epoch in range(1, 41):
        rows.append(row(epoch, train__loss=1.0 / epoch) | {"latent/kl": [0.1, 1.0 / epoch]})
        if epoch > 20:
            rows[-1]["val/psnr"] = math.nan  # the schema may grow
        log.append(rows)
        found = epoch_log.read_trial(tmp_path, 3)
        assert [each["epoch"] for each in found] == list(range(1, epoch + 1))
    log.settle(rows)
    epoch_log.write(tmp_path / "whole", 3, CONFIG, rows)
    np.testing.assert_equal(epoch_log.read_trial(tmp_path, 3), epoch_log.read_trial(tmp_path / "whole", 3))
    assert os.listdir(tmp_path / "epochs") == ["trial-00003.parquet"]


def test_what_is_still_lines_reads_as_if_it_were_in_the_file(tmp_path):
    log = epoch_log.TrialLog(tmp_path, 3, CONFIG)
    rows = [row(1, train__loss=0.1) | {"latent/kl": [0.1]}, row(2, train__loss=math.inf, val__mse=math.nan)]
    log.append(rows[:1])
    log.append(rows)
    assert not epochs_file(tmp_path, 3).exists()
    before, names = epoch_log.read_trial(tmp_path, 3), epoch_log.read_file(epochs_file(tmp_path, 3)).column_names
    assert "config/latent_dim" in names
    left = epoch_log.read_file(epochs_file(tmp_path, 3), ("config/", "latent/")).column_names
    assert left == [name for name in names if not name.startswith(("config/", "latent/"))]
    log.settle(rows)
    np.testing.assert_equal(epoch_log.read_trial(tmp_path, 3), before)


def test_an_epoch_costs_the_same_however_many_there_were(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(epoch_log, "write", lambda *told: written.append(len(told[-1])))
    log, rows = epoch_log.TrialLog(tmp_path, 1, CONFIG), []
    for epoch in range(1, 1001):
        rows.append(row(epoch))
        log.append(rows)
    assert written == [16, 32, 64, 128, 256, 512]  # fewer than the epochs, all told


def test_a_kill_at_any_byte_loses_no_epoch_that_was_whole(tmp_path):
    log = epoch_log.TrialLog(tmp_path, 1, CONFIG)
    rows = [row(epoch, train__loss=0.5) for epoch in (1, 2, 3)]
    for count in (1, 2, 3):
        log.append(rows[:count])
    lines = tmp_path / "epochs" / "trial-00001.jsonl"
    content = lines.read_bytes()
    ends = [place for place, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content)):
        lines.write_bytes(content[:cut])
        whole = max(0, sum(end < cut for end in ends) - 1)
        assert [each["epoch"] for each in epoch_log.read_trial(tmp_path, 1)] == list(range(1, whole + 1))
    for cut in (ends[0] - 3, ends[0] + 1, ends[1] + 5, len(content) - 1):
        lines.write_bytes(content[:cut])
        whole = max(0, sum(end < cut for end in ends) - 1)
        epoch_log.TrialLog(tmp_path, 1, CONFIG).append(rows[: whole + 1])  # another worker goes on
        assert [each["epoch"] for each in epoch_log.read_trial(tmp_path, 1)] == list(range(1, whole + 2))


def test_after_a_checkpoint_the_epochs_trained_again_take_the_place_of_the_first(tmp_path):
    rows = [row(epoch, train__loss=0.5) for epoch in range(1, 21)]
    first = epoch_log.TrialLog(tmp_path, 1, CONFIG)
    for count in range(1, 21):
        first.append(rows[:count])
    assert len(pq.read_table(epochs_file(tmp_path, 1))) == 16  # and four lines
    for kept in (18, 12):  # the epoch of the checkpoint
        rows = [*rows[:kept], row(kept + 1, train__loss=0.25)]
        epoch_log.TrialLog(tmp_path, 1, CONFIG).append(rows)
        found = epoch_log.read_trial(tmp_path, 1)
        assert [each["epoch"] for each in found] == list(range(1, kept + 2))
        assert found[-1]["train/loss"] == 0.25


def test_a_trial_that_begins_again_has_only_its_new_epochs(tmp_path):
    epoch_log.write(tmp_path, 1, CONFIG, [row(1), row(2), row(3)])
    epoch_log.TrialLog(tmp_path, 1, CONFIG).append([row(1, train__loss=0.25)])
    assert [each["epoch"] for each in epoch_log.read_trial(tmp_path, 1)] == [1]


def test_a_kill_between_the_file_and_its_lines_doubles_nothing(tmp_path):
    log, rows = epoch_log.TrialLog(tmp_path, 1, CONFIG), [row(1), row(2), row(3)]
    for count in (1, 2, 3):
        log.append(rows[:count])
    epoch_log.write(tmp_path, 1, CONFIG, rows)  # and the lines are there as well
    assert [each["epoch"] for each in epoch_log.read_trial(tmp_path, 1)] == [1, 2, 3]
    assert epoch_log.dataset(tmp_path).count_rows() == 3


def test_the_data_set_has_running_trials_as_well(tmp_path):
    epoch_log.write(tmp_path, 1, CONFIG, [row(1, val__psnr=20.0)])
    epoch_log.TrialLog(tmp_path, 2, CONFIG | {"grad_clip_norm": 1.0}).append([row(1, health__au=3.0)])
    assert [path.name for path in epoch_log.files(tmp_path)] == ["trial-00001.parquet", "trial-00002.parquet"]
    table = epoch_log.dataset(tmp_path).to_table().sort_by("trial").to_pydict()
    assert table["trial"] == [1, 2]
    assert table["config/grad_clip_norm"] == [None, 1.0]
    assert (table["val/psnr"], table["health/au"]) == ([20.0, None], [None, 3.0])
    only_files = pyarrow.dataset.dataset(tmp_path / "epochs", exclude_invalid_files=True, format="parquet")
    assert only_files.count_rows() == 1


def test_in_the_end_there_is_a_file_a_trial(tmp_path):
    epoch_log.TrialLog(tmp_path, 1, CONFIG).append([row(1)])
    epoch_log.write(tmp_path, 2, CONFIG, [row(1)])
    broken = tmp_path / "epochs" / "trial-00003.jsonl"
    broken.write_text("no epoch\n")
    with pytest.raises(epoch_log.LogError, match=r"trial-00003.jsonl cannot be read: JSONDecodeError"):
        epoch_log.read_trial(tmp_path, 3)
    before = epoch_log.read_trial(tmp_path, 1)
    epoch_log.settle(tmp_path)
    assert sorted(os.listdir(tmp_path / "epochs")) == ["trial-00001.parquet", "trial-00002.parquet", broken.name]
    assert epoch_log.read_trial(tmp_path, 1) == before


def test_a_stamp_changes_with_every_epoch(tmp_path):
    log, rows, stamps = epoch_log.TrialLog(tmp_path, 1, CONFIG), [], [epoch_log.stamp(tmp_path, 1)]
    for epoch in range(1, 18):
        rows.append(row(epoch))
        log.append(rows)
        stamps.append(epoch_log.stamp(tmp_path, 1))
    assert stamps[0] == ()
    assert len(set(stamps)) == 18


def test_numbers_of_numpy_are_numbers(tmp_path):
    epoch_log.TrialLog(tmp_path, 1, {}).append([row(1, val__x=np.float32(0.5), val__n=np.int64(3))])
    (found,) = epoch_log.read_trial(tmp_path, 1)
    assert (found["val/x"], found["val/n"]) == (0.5, 3.0)
    first, *_ = (Path(tmp_path) / "epochs" / "trial-00001.jsonl").read_text().splitlines()
    assert json.loads(first) == {"trial": 1, "config": {}}
