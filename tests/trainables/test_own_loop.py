"""Users' loops in their thread: stopped from outside, ended early, failing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from trainables import own_loop
from trainables.monitor import Monitor
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


def test_a_loop_that_never_reports_ends_without_a_row():
    assert OwnLoop(lambda config, monitor: None, {}, Monitor(epochs=9)).run_epoch() is None


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
        loop.run_epoch()
        return seen[0]

    assert first(1) == first(1) != first(2)
