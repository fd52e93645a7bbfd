"""Batches made ahead are the same batches, to the last digit; what goes wrong on the way is raised where they go."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables import loader
from trainables.data.samples import Samples
from trainables.data.store import Dataset, open_dataset, write_dataset
from trainables.loader import AHEAD, Loader, ahead
from trainables.loop import Trainer

RNG = np.random.default_rng(0)


@pytest.fixture
def pixels(tmp_path: Path) -> Dataset:
    """Sixty images of bytes with labels and fields."""
    fields = {"batch": np.array(["a", "b", "c"] * 20), "mask": RNG.random((60, 4)) > 0.5}
    x, labels = RNG.integers(0, 256, (60, 3, 4), np.uint8), list("xyzzy" * 12)
    write_dataset(tmp_path / "pixels.arrow", Samples(x, "pixels", labels, fields=fields), {})
    return open_dataset(tmp_path / "pixels.arrow")


def workers() -> set[str]:
    """Threads that make batches."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("batches")}


@pytest.mark.parametrize("threaded", [False, True])
def test_a_batch_is_what_was_asked_for(pixels: Dataset, threaded: bool):
    one = Loader(pixels, torch.device("cpu"))
    assert not one.threaded
    one.threaded = threaded
    index = RNG.permutation(60)[:23]
    batches = list(one.batches(index, 5))
    assert [len(batch.x) for batch in batches] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(torch.cat([batch.x for batch in batches]), pixels.x[index].astype(np.float32) / 255)
    np.testing.assert_array_equal(torch.cat([batch.label for batch in batches]), pixels.classes[index])
    for name, rows in pixels.fields.items():
        values = torch.cat([batch.fields[name] for batch in batches])
        assert values.dtype == {"batch": torch.int64, "mask": torch.bool}[name]
        np.testing.assert_array_equal(values, rows[index])
    assert not workers()


def test_a_trial_gives_the_same_numbers_with_batches_made_ahead(
    trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
):
    def rows(one: Trainer) -> list[dict[str, Any]]:
        found = [one.run_epoch() for _ in range(2)]
        return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in found]

    expected = rows(trainer())
    monkeypatch.setattr(loader, "IN_MEMORY", 0)
    made_ahead = trainer()
    assert made_ahead.loader.threaded
    assert rows(made_ahead) == expected


def test_what_fails_on_the_way_is_raised_in_its_place():
    def make(part: np.ndarray) -> int:
        if part[0] == 7:
            raise OSError("the disk is gone")
        return int(part[0])

    batches = ahead(make, (np.array([number]) for number in range(20)))
    assert [next(batches) for _ in range(7)] == list(range(7))
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert not workers()


def test_who_stops_early_leaves_no_thread_and_little_was_read_for_nothing():
    made: list[int] = []
    batches = ahead(lambda part: made.append(int(part[0])), (np.array([number]) for number in range(1000)))
    for _ in range(3):
        next(batches)
    batches.close()
    assert len(made) <= 3 + AHEAD + 1
    assert not workers()


def test_the_next_batch_is_made_while_the_last_one_is_used():
    """Without a thread the second would only be begun when it is asked for."""
    begun = threading.Event()
    batches = ahead(lambda part: begun.set() if part[0] == 1 else None, (np.array([number]) for number in range(9)))
    next(batches)
    assert begun.wait(10)
    batches.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bytes_become_the_same_floats_on_the_gpu(pixels: Dataset):
    index = RNG.permutation(60)
    batch = Loader(pixels, torch.device("cuda")).batch(index)
    assert batch.x.device.type == "cuda"
    np.testing.assert_array_equal(batch.x.cpu(), pixels.read(index))
    np.testing.assert_array_equal(batch.fields["mask"].cpu(), pixels.fields["mask"][index])
