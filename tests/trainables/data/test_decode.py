import re
import threading
import time
import warnings

import numpy as np
import pytest
from rich.console import Console

from trainables.data import decode as module
from trainables.data.decode import LISTED, compact, decode, keep_readable, listed
from trainables.data.errors import DataError


def test_order_is_kept_whatever_finishes_first():
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0)
        return item * item

    out = np.full(50, -1)
    assert decode(range(50), slow_first, "squares", out) == []
    np.testing.assert_array_equal(out, np.arange(50) ** 2)


def test_more_than_one_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 3)
    together = threading.Barrier(3, timeout=10)
    out = [None] * 3
    assert decode(range(3), lambda item: together.wait() >= 0, "barrier", out) == []
    assert out == [True] * 3


def test_every_problem_is_returned_with_its_index():
    def function(item: int) -> float:
        if item == 1:
            raise DataError("b.png", ["the file is empty", "it has no name"])
        if item == 3:
            raise SyntaxError("broken PNG file")
        return item

    out = np.full(5, -1.0)
    assert decode(range(5), function, "numbers", out) == [
        (1, "the file is empty; it has no name"),
        (3, "cannot be read (SyntaxError: broken PNG file)"),
    ]
    np.testing.assert_array_equal(out, [0, -1, 2, -1, 4])


def test_warnings_of_decoders_are_neither_shown_nor_raised():
    def function(item: int) -> int:
        warnings.warn("an unusual tag", UserWarning, stacklevel=1)
        return item

    assert decode(range(5), function, "items", np.zeros(5)) == []
    with pytest.warns(UserWarning, match="an unusual tag"):
        function(0)


def test_an_interruption_does_not_wait_for_the_rest():
    seen = []

    def function(item: int) -> int:
        seen.append(item)
        time.sleep(0.005)
        if item == 3:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt):
        decode(range(10_000), function, "items", np.zeros(10_000))
    assert len(seen) < 1000


@pytest.mark.parametrize(
    ("terminal", "patience", "shown"), [(True, 0.0, True), (False, 0.0, False), (True, 60.0, False)]
)
def test_a_bar_on_a_terminal_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, patience: float, shown: bool
):
    monkeypatch.setattr(module, "Console", lambda stderr: Console(stderr=stderr, force_terminal=terminal))
    monkeypatch.setattr(module, "PATIENCE", patience)
    decode(range(20), lambda item: time.sleep(0.01) or 0, "reading images", np.zeros(20))
    output = capsys.readouterr()
    assert output.out == ""
    assert ("reading images" in output.err) == shown


def test_what_cannot_be_read_is_left_out_and_named():
    names = [f"{index}.png" for index in range(12)]
    kept, notes = keep_readable("folder", names, [(0, "is empty"), (5, "is text")], strict=False)
    assert kept.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert notes == ("2 of 12 are left out: 0.png: is empty; 5.png: is text",)
    kept, notes = keep_readable("folder", names, [], strict=True)
    assert (len(kept), notes) == (12, ())


def test_strict_refuses_all_of_it_at_once():
    names = [f"{index}.png" for index in range(100)]
    with pytest.raises(DataError) as error:
        keep_readable("folder", names, [(0, "is empty"), (5, "is text")], strict=True)
    assert error.value.problems == ["0.png: is empty", "5.png: is text"]
    with pytest.raises(DataError) as error:
        keep_readable("folder", names * 2, [(index, "is empty") for index in range(103)], strict=True)
    assert error.value.problems[-2:] == ["99.png: is empty", "… and 3 more"]


def test_ten_must_be_left():
    names = [f"{index}.png" for index in range(11)]
    keep_readable("folder", names, [(0, "is empty")], strict=False)
    with pytest.raises(DataError) as error:
        keep_readable("folder", names, [(0, "is empty"), (1, "is text")], strict=False)
    assert error.value.problems[0].startswith("9 samples; at least 10 are needed")
    assert error.value.problems[1:] == ["0.png: is empty", "1.png: is text"]


def test_compacting_moves_rows_without_a_copy():
    x = np.arange(10)[:, None] * np.ones((1, 3))
    compacted = compact(x, np.array([0, 3, 4, 9]))
    np.testing.assert_array_equal(compacted[:, 0], [0, 3, 4, 9])
    assert np.shares_memory(compacted, x)


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a; b"
    assert listed([str(index) for index in range(LISTED + 3)]).endswith("9; and 3 more")


def test_off_a_terminal_a_line_tells_how_far_it_is_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(module, "SILENCE", 0.05)
    decode(range(8), lambda item: time.sleep(0.02), "reading images", [None] * 8)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) < 8
    assert all(re.fullmatch(r"reading images: \d of 8, about \d+ s left", line) for line in lines)
    monkeypatch.setattr(module, "SILENCE", 30.0)
    decode(range(8), lambda item: None, "reading images", [None] * 8)
    assert capsys.readouterr().err == ""
