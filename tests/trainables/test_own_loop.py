"""Users' loops in their thread: stopped from outside, ended early, failing."""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from trainables import own_loop
from trainables.monitor import Monitor, MonitorError
from trainables.own_loop import OwnLoop, StopTrial


def hear(monitor: Monitor) -> None:
    mu = torch.randn(64, 2)
    monitor.epoch(mu, torch.full_like(mu, -3.0))


def threads() -> int:
    return sum(thread.name == "own-loop" for thread in threading.enumerate())


def test_one_epoch_is_trained_per_call_and_none_ahead():
    begun = []

    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        for epoch in range(monitor.epochs):
            begun.append((epoch, config["beta"]))
            hear(monitor)

    loop = OwnLoop(train, {"beta": 2.0}, Monitor(epochs=3))
    for epoch in range(1, 4):
        row = loop.run_epoch()
        assert row is not None
        assert (row["epoch"], len(begun)) == (epoch, epoch)
    assert begun[-1] == (2, 2.0)
    assert loop.run_epoch() is None
    assert loop.run_epoch() is None  # as often as asked
    loop.close()
    assert threads() == 0


def test_a_stop_from_outside_runs_finally_and_leaves_no_thread():
    cleaned = []

    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        try:
            while True:
                try:
                    hear(monitor)
                except Exception:  # a stop is no fault of the loop's
                    cleaned.append("swallowed")
        finally:
            cleaned.append("finally")

    loop = OwnLoop(train, {}, Monitor(epochs=9))
    loop.run_epoch()
    loop.run_epoch()
    loop.close()
    assert cleaned == ["finally"]
    assert threads() == 0


def test_a_loop_that_was_never_started_closes():
    OwnLoop(lambda config, monitor: hear(monitor), {}, Monitor(epochs=1)).close()


def test_what_the_loop_raises_reaches_the_caller():
    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        hear(monitor)
        raise KeyError("hiden")

    loop = OwnLoop(train, {}, Monitor(epochs=9))
    assert loop.run_epoch() is not None
    with pytest.raises(KeyError, match="hiden"):
        loop.run_epoch()
    loop.close()


def test_a_loop_that_never_reports_is_told_so():
    with pytest.raises(MonitorError, match=r"returned without a call of monitor\.epoch"):
        OwnLoop(lambda config, monitor: None, {}, Monitor(epochs=9)).run_epoch()


def test_a_row_without_the_metric_that_trials_are_ranked_by_is_told_what_it_has():
    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        mu = torch.randn(64, 2)
        monitor.epoch(mu, torch.full_like(mu, -3.0), nelbo=1.0)

    loop = OwnLoop(train, {}, Monitor(epochs=9), metric="val/loss")
    with pytest.raises(MonitorError, match=r"ranked by val/loss, which .* was not given; it has val/nelbo"):
        loop.run_epoch()
    loop.close()


def test_after_its_last_epoch_a_loop_goes_on_to_its_end():
    ended = []

    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        for _ in range(monitor.epochs):
            hear(monitor)
        ended.append("end")
        hear(monitor)  # beyond the budget
        ended.append("never")

    loop = OwnLoop(train, {}, Monitor(epochs=2))
    loop.run_epoch()
    loop.run_epoch()
    loop.close()
    assert ended == ["end"]
    assert threads() == 0


def walk(config: Mapping[str, Any], monitor: Monitor) -> None:
    """A loop whose every epoch depends on all before it and on what is drawn from three generators."""
    place = torch.zeros(()) if monitor.state is None else monitor.state["place"]
    for _ in range(monitor.done, monitor.epochs):
        place = place * 0.9 + torch.rand(()) + float(np.random.rand()) + random.random()
        monitor.save({"place": place})
        mu = torch.randn(64, 2)
        monitor.epoch(mu, torch.full_like(mu, -3.0), place=float(place))


def test_a_loop_goes_on_from_what_it_saved_to_the_same_numbers():
    whole = OwnLoop(walk, {}, Monitor(epochs=4))
    rows = [whole.run_epoch() for _ in range(2)]
    state = copy.deepcopy(whole.state_dict())
    rows += [whole.run_epoch() for _ in range(2)]
    whole.close()
    assert state is not None
    assert state["epoch"] == 2
    monitor = Monitor(epochs=4)
    monitor.resume([dict(row) for row in rows[:2] if row], None)
    again = OwnLoop(walk, {}, monitor)
    again.load_state_dict(state)
    later = [again.run_epoch() for _ in range(2)]
    again.close()
    for before, after in zip(rows[2:], later, strict=True):
        assert before is not None
        assert after is not None
        assert {**before, "time/epoch_seconds": 0} == {**after, "time/epoch_seconds": 0}


def test_an_epoch_without_a_saved_state_has_no_checkpoint():
    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        for epoch in range(monitor.epochs):
            if epoch == 1:
                monitor.save({"epoch": epoch})
            hear(monitor)

    loop = OwnLoop(train, {}, Monitor(epochs=3))
    kept = [loop.run_epoch() and loop.state_dict() for _ in range(3)]
    loop.close()
    assert kept == [None, {"epoch": 2, "own": {"epoch": 1}}, None]


def test_a_loop_that_will_not_end_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(own_loop, "PATIENCE", 0.05)
    release = threading.Event()

    def train(config: Mapping[str, Any], monitor: Monitor) -> None:
        try:
            hear(monitor)
        except StopTrial:
            release.wait(30)

    loop = OwnLoop(train, {}, Monitor(epochs=9))
    loop.run_epoch()
    with pytest.raises(TimeoutError, match="did not end"):
        loop.close()
    release.set()


def test_the_loop_draws_from_the_monitors_seed():
    def first(seed: int) -> float:
        seen = []
        loop = OwnLoop(lambda config, monitor: seen.append(float(torch.rand(()))), {}, Monitor(epochs=1, seed=seed))
        with pytest.raises(MonitorError):
            loop.run_epoch()
        return seen[0]

    assert first(1) == first(1) != first(2)
