"""What cuts a run off: the time budget, from any thread, and a signal; and the requests that it hears."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sweeps.cluster.fit import cut_off
from sweeps.cluster.tune_shell import TuneCallback, TuneStopper
from sweeps.records import requests
from sweeps.records.outcomes import Reason
from sweeps.run_state import SweepRun
from tests.sweeps.test_run_state import sweep


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    """A sweep that nothing has cut off yet."""
    return sweep(tmp_path)


def until_stopped(run: SweepRun, time_budget: float | None) -> Reason:
    with cut_off(run, time_budget):
        assert not TuneStopper(run).stop_all()
        deadline = time.monotonic() + 10
        while not TuneStopper(run).stop_all() and time.monotonic() < deadline:
            time.sleep(0.01)
    return run.stopping


def test_a_time_budget_is_kept_in_any_thread(run: SweepRun) -> None:
    found: list[Reason] = []
    thread = threading.Thread(target=lambda: found.append(until_stopped(run, 0.2)))
    thread.start()
    thread.join()
    assert found == [Reason.TIME_BUDGET]


def test_sigterm_ends_in_order_and_what_it_did_before_comes_back(run: SweepRun) -> None:
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM])
    timer.start()
    assert until_stopped(run, None) is Reason.SIGNAL
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_request_is_heard_between_two_events_at_most_once_a_second(
    run: SweepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    callback, now = TuneCallback(run), 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    callback.on_step_begin(0, [])
    requests.stop(run.config.folder)
    now += 0.9
    callback.on_step_begin(1, [])
    assert not TuneStopper(run).stop_all()
    now += 0.1
    callback.on_step_begin(2, [])
    assert TuneStopper(run).stop_all()
    assert run.stopping is Reason.BY_HAND
