"""A sweep's folder as TensorBoard's event files, read back with the format's own definitions."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto.event_pb2 import Event

from sweeps.records.folder import SweepFolder
from sweeps.tracking import __main__ as command
from sweeps.tracking import trackers
from trainables import epoch_log


def events(folder: Path) -> Iterator[Event]:
    """Of all event files in a folder: records of length, its checksum, content, and its checksum."""
    for path in sorted(folder.glob("events.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            yield Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Name, epoch and value of every point, in order."""
    return [
        (value.tag, event.step, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if value.HasField("simple_value")
    ]


def images(folder: Path) -> list[tuple[str, int, bytes]]:
    """Name, epoch and file of every picture."""
    return [
        (value.tag, event.step, value.image.encoded_image_string)
        for event in events(folder)
        for value in event.summary.value
        if value.HasField("image")
    ]


def send(sweep: Path, uri: str) -> int:
    """As `python -m sweeps.tracking SWEEP --once` does."""
    tracker = trackers.open_tracker(sweep, uri)
    assert not tracker.sync().problems
    return tracker.sync().epochs


def test_every_metric_of_every_epoch_is_there_once(sweep, tmp_path):
    uri, board = f"tensorboard:{tmp_path / 'board'}", tmp_path / "board" / "demo" / "trial-00001"
    sweep.start(1)
    sweep.train(1, 3)
    assert send(sweep.path, uri) == 3
    sweep.train(1, 2)
    sweep.end(1, "STOPPED", "COLLAPSED", "no unit active")
    sweep.finish()
    assert send(sweep.path, uri) == 5
    gain = [(step, value) for name, step, value in scalars(board) if name == "val/elbo_gain"]
    rows = epoch_log.read_trial(sweep.path, 1)
    assert [step for step, _ in gain] == [1, 2, 3, 4, 5]
    assert [value for _, value in gain] == pytest.approx([row["val/elbo_gain"] for row in rows])
    assert {name for name, _, _ in scalars(board)} >= {"val/elbo_gain", "health/au", "train/term_0"}
    texts = [
        value.tensor.string_val[0]
        for event in events(board)
        for value in event.summary.value
        if value.tag == "end/text_summary"
    ]
    assert texts == [b"STOPPED COLLAPSED no unit active"]


def test_pictures_of_a_trial_that_has_ended_are_there(sweep, tmp_path):
    sweep.start(1)
    sweep.train(1, 3)
    folder = SweepFolder(sweep.path).artifacts(1)
    folder.mkdir(parents=True)
    np.savez(folder / "pictures.npz", codes=np.array([3, 0, 1]))
    uri, board = f"tensorboard:{tmp_path / 'board'}", tmp_path / "board" / "demo" / "trial-00001"
    send(sweep.path, uri)
    assert not images(board)
    sweep.end(1, "FINISHED")
    send(sweep.path, uri)
    (name, step, content) = images(board)[0]
    assert (name, step) == ("code_usage", 3)
    with Image.open(io.BytesIO(content)) as sent, Image.open(folder / "code_usage.png") as drawn:
        np.testing.assert_array_equal(np.asarray(sent), np.asarray(drawn.convert("RGB")))


def test_epochs_are_added_as_they_come(sweep, tmp_path):
    tracker = trackers.open_tracker(sweep.path, f"tensorboard:{tmp_path / 'board'}")
    sweep.start(1)
    for epochs in (1, 2, 3):
        sweep.train(1, 1)
        assert tracker.sync().epochs == epochs
    board = tmp_path / "board" / "demo" / "trial-00001"
    assert [step for name, step, _ in scalars(board) if name == "health/au"] == [1, 2, 3]


def test_the_command_line_takes_the_address(sweep, tmp_path, monkeypatch):
    sweep.start(1)
    sweep.train(1, 2)
    uri = f"tensorboard:{tmp_path / 'board'}"
    monkeypatch.setattr("sys.argv", ["tracking", str(sweep.path), "--once", "--tracking-uri", uri])
    assert command.main() == 0
    assert scalars(tmp_path / "board" / "demo" / "trial-00001")
    monkeypatch.setattr("sys.argv", ["tracking", str(sweep.path), "--once", "--tracking-uri", "nowhere:x"])
    assert command.main() == 2


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert trackers.check(f"tensorboard:{tmp_path}/new/folder") is None
    assert "no permission to write" in trackers.check(f"tensorboard:{tmp_path}/file")
