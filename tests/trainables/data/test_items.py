"""A torch Dataset is read once, item by item; the item that cannot be used is named."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from trainables.data import items
from trainables.data.errors import DataError
from trainables.data.items import read_items

X = np.random.default_rng(0).random((12, 3))


class Cells:
    """Items as dictionaries, with changes to single ones; counts how often each is asked for."""

    def __init__(self, **changed: Any) -> None:
        self.changed = {int(name.removeprefix("item")): change for name, change in changed.items()}
        self.asked: Counter[int] = Counter()

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        self.asked[index] += 1
        item = {"x": torch.from_numpy(X[index]), "label": index % 2, "batch": "ab"[index % 2], "size": X[index].sum()}
        change = self.changed.get(index, {})
        return change if not isinstance(change, dict) else {**item, **change}


def test_items_are_read_once_and_in_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(items, "VALUES_PER_BLOCK", 4)  # pages are let go of after every second item
    cells = Cells()
    samples = read_items(cells, [7, 2, 3], "cells")
    np.testing.assert_array_equal(samples.x, X[[7, 2, 3]].astype(np.float32))
    assert samples.labels == ["1", "0", "1"]
    assert list(samples.fields["batch"]) == ["b", "a", "b"]
    np.testing.assert_array_equal(samples.fields["size"], X[[7, 2, 3]].sum(axis=1).astype(np.float32))
    assert cells.asked == {7: 1, 2: 1, 3: 1}


def test_bytes_truth_and_integers_keep_their_type():
    class Kinds(Cells):
        def __getitem__(self, index: int) -> Any:
            return {"x": np.full((2, 2), index, np.uint8), "mask": np.eye(2, dtype=bool), "plate": np.int32(index)}

    samples = read_items(Kinds(), range(12), "kinds")
    assert samples.x.dtype == np.uint8
    assert samples.fields["mask"].dtype == np.bool_
    assert samples.fields["plate"].dtype == np.int64


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"x": X[0, :2]}, "x has shape (2,); expected (3,), as the first item"),
        ({"x": np.zeros(3, np.uint8)}, "x is of type uint8; expected float64, as the first item"),
        ({"x": np.zeros(3, object)}, "x is of type object and shape (3,); expected numbers"),
        ({"batch": 3}, "batch is array(3); expected what the first item has, such as 'a'"),
        ({"size": "large"}, "size is 'large'; expected numbers"),
        ({"label": [1, 2]}, "label has shape (2,); expected one value"),
        ({"more": 1}, "has x, label, batch, size, more; expected x, label, batch, size, as the first item"),
        (X[0], "has x; expected x, label, batch, size, as the first item"),
        ((), "is empty; expected x, a pair (x, label)"),
    ],
)
def test_an_item_unlike_the_first_is_named(change: Any, problem: str):
    with pytest.raises(DataError) as error:
        read_items(Cells(item7=change), range(12), "cells")
    assert len(error.value.problems) == 1
    assert error.value.problems[0].startswith(f"item 7: {problem}")


def test_an_item_that_raises_is_named_in_one_line():
    class Broken(Cells):
        def __getitem__(self, index: int) -> Any:
            if index == 5:
                raise OSError("scan is cut short\nat byte 7")
            return super().__getitem__(index)

    line = Broken.__getitem__.__code__.co_firstlineno + 2
    with pytest.raises(DataError) as error:
        read_items(Broken(), range(12), "cells")
    assert error.value.problems == [f"item 5: raised OSError: scan is cut short (test_items.py:{line})"]


def test_an_item_without_x_is_named():
    with pytest.raises(DataError, match="item 0: has image; expected x"):
        read_items([{"image": X[0]}], [0], "cells")
