"""Simulated time, followed by hand."""

import pytest

from analysis.replay.curves import Curves
from analysis.replay.policies import GO_ON, PAUSE, Scheduler, parse
from analysis.replay.simulate import simulate
from sweeps.schedulers.stopping import Decision
from tests.analysis.replay.conftest import SCORE, curves_of


class Scripted(Scheduler):
    """Stops and pauses as told, and writes down what it hears."""

    def __init__(self, curves: Curves, stops=(), pauses=(), resumes_after=None) -> None:
        self.numbered = {row: (trial, row - curves.first[trial] + 1) for trial in range(len(curves))
                         for row in range(curves.first[trial], curves.first[trial + 1])}  # fmt: skip
        self.stops, self.pauses, self.resumes_after = stops, pauses, resumes_after or {}
        self.heard, self.ready = [], []

    def start(self, trial, last):
        self.heard.append(("start", trial, last))

    def on_epoch(self, trial, at):
        epoch = self.numbered[at]
        self.heard.append(epoch)
        self.ready += self.resumes_after.get(epoch, [])
        if epoch in self.pauses:
            return PAUSE
        return Decision(True, "COLLAPSED", "told to") if epoch in self.stops else GO_ON

    def end(self, trial, at):
        self.heard.append(("end", *self.numbered[at]))
        return GO_ON

    def resume(self):
        return self.ready.pop() if self.ready else None


def timed(*trials: list[float]) -> Curves:
    """Trials of epochs that take so many seconds each."""
    return curves_of([[{SCORE: 0.0, "seconds": sum(trial[: i + 1])} for i in range(len(trial))] for trial in trials])


def short(ends):
    return [(end.trial, end.epoch, end.reason, end.seconds, end.spent) for end in ends]


def test_two_workers_share_three_trials():
    curves = timed([1.0, 1.0], [3.0, 1.0], [1.5, 1.5])
    scheduler = Scripted(curves)
    ends = simulate(curves, scheduler, [0, 1, 2], workers=2)
    # worker 1: trial 0 until 2, then trial 2 until 5; worker 2: trial 1 until 4
    assert short(ends) == [(0, 2, "", 2.0, 2), (1, 2, "", 4.0, 5), (2, 2, "", 5.0, 6)]
    assert scheduler.heard == [
        ("start", 0, False), ("start", 1, False), (0, 1), ("end", 0, 2), ("start", 2, True),
        (1, 1), (2, 1), ("end", 1, 2), ("end", 2, 2),
    ]  # fmt: skip


def test_a_stop_frees_the_worker_for_the_next_in_order():
    curves = timed([1.0] * 3, [1.0] * 3, [1.0] * 3)
    ends = simulate(curves, Scripted(curves, stops=[(2, 1), (0, 2)]), [2, 0, 1], workers=1)
    assert short(ends) == [(2, 1, "COLLAPSED", 1.0, 1), (0, 2, "COLLAPSED", 3.0, 3), (1, 3, "", 6.0, 6)]
    assert ends[0].detail == "told to"


def test_epochs_that_end_together_are_decided_in_the_order_in_which_they_began():
    curves = timed([2.0, 1.0], [1.0, 1.0, 1.0])
    scheduler = Scripted(curves)
    simulate(curves, scheduler, [0, 1], workers=2)
    assert scheduler.heard[2:] == [(1, 1), (0, 1), (1, 2), ("end", 0, 2), ("end", 1, 3)]


def test_a_paused_trial_waits_and_goes_on_where_it_was():
    curves = timed([1.0, 1.0], [1.0, 1.0, 1.0])
    scheduler = Scripted(curves, pauses=[(0, 1)], resumes_after={(1, 2): [0]})
    ends = simulate(curves, scheduler, [0, 1], workers=1)
    assert short(ends) == [(1, 3, "", 4.0, 4), (0, 2, "", 5.0, 5)]


def test_an_idle_worker_takes_up_a_trial_as_soon_as_it_may_go_on():
    curves = timed([1.0, 1.0], [1.0, 1.0, 1.0, 1.0])
    scheduler = Scripted(curves, pauses=[(0, 1)], resumes_after={(1, 2): [0]})
    ends = simulate(curves, scheduler, [0, 1], workers=2)
    assert short(ends) == [(0, 2, "", 3.0, 5), (1, 4, "", 4.0, 6)]


def test_a_trial_that_stays_paused_ended_there():
    curves = timed([1.0, 1.0], [1.0])
    ends = simulate(curves, Scripted(curves, pauses=[(0, 1)]), [0, 1], workers=1)
    assert short(ends) == [(0, 1, "RUNG", 1.0, 1), (1, 1, "", 2.0, 2)]


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_without_stopping_all_is_spent_and_time_is_shared(workers):
    curves = timed(*[[1.0] * 4] * 12)
    ends = simulate(curves, parse("none").factory(curves)(0), range(12), workers)
    assert [end.epoch for end in ends] == [4] * 12
    assert ends[-1].spent == 48
    assert ends[-1].seconds == 4 * -(-12 // workers)
