"""Simulated time, followed by hand."""

import pytest

from analysis.replay import synthetic
from analysis.replay.curves import Curves
from analysis.replay.simulate import End, Variant
from analysis.replay.simulate import simulate as simulated
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.schedulers import parse
from sweeps.schedulers.base import GO_ON, Scheduler, Task, pause, stop
from sweeps.schedulers.settings import Settings
from tests.analysis.replay.conftest import SCORE, curves_of
from trainables.health import Verdict, is_control

SEED = 5


class Scripted(Scheduler[Settings]):
    """Stops and pauses as told, and writes down what it hears. Trials are told by position."""

    name = "scripted"

    def __init__(self, curves: Curves, stops=(), pauses=(), resumes_after=None) -> None:
        super().__init__(Task(curves.epochs, curves.metric, curves.mode))
        self.stops, self.pauses, self.resumes_after = stops, pauses, resumes_after or {}
        self.heard, self.ready = [], []

    def start(self, trial, control=False):
        super().start(trial, control)
        self.heard.append(("start", trial - 1))
        if trial in self.ready:
            self.ready.remove(trial)

    def decide(self, trial, row):
        epoch = (trial - 1, row.epoch)
        self.heard.append(epoch)
        self.ready += [one + 1 for one in self.resumes_after.get(epoch, [])]
        if epoch in self.pauses:
            return pause("waits")
        return stop(Verdict.COLLAPSED, "told to") if epoch in self.stops else GO_ON

    def end(self, trial, row):
        self.heard.append(("end", trial - 1, row.epoch))
        return GO_ON

    def resume(self, unstarted):
        self.heard.append(("free", unstarted))
        return self.ready[0] if self.ready else None


def simulate(curves: Curves, scheduler: Scripted, order: list[int], workers: int) -> list[End]:
    return simulated(curves, scheduler, order, workers, JudgedVerdicts(curves, curves.health), lambda number: False)


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
        ("free", 3), ("start", 0), ("free", 2), ("start", 1), (0, 1), ("end", 0, 2), ("free", 1), ("start", 2),
        (1, 1), (2, 1), ("end", 1, 2), ("free", 0), ("end", 2, 2), ("free", 0),
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
    heard = [event for event in scheduler.heard if event[0] not in ("free", "start")]
    assert heard == [(1, 1), (0, 1), (1, 2), ("end", 0, 2), ("end", 1, 3)]


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
    assert ends[0].detail == "waits"


@pytest.mark.parametrize("workers", [1, 3, 50])
def test_without_stopping_all_is_spent_and_time_is_shared(workers):
    curves = timed(*[[1.0] * 4] * 12)
    ends = Variant(parse("none"), curves).ends(0, range(12), workers)
    assert [end.epoch for end in ends] == [4] * 12
    assert ends[-1].spent == 48
    assert ends[-1].seconds == 4 * -(-12 // workers)


def ends_of(text: str, curves: Curves, trials: int, seed: int = 0, workers: int = 1) -> list[End]:
    return Variant(parse(text), curves).ends(seed, range(trials), workers)


def test_what_the_first_edition_of_the_stopping_form_decided():
    """Numbers of the object that knew all policies by name; trials are decided one by one as it did."""
    ends = ends_of("asha-stopping", synthetic.generate(200, 20, seed=3), 200, SEED, workers=4)
    assert ends[-1].spent == 630
    assert [end.reason for end in ends].count("") == 14


def test_hyperband_by_hand(scored):
    # R = 3, η = 3: three trials to epoch 1, the best of them to 3; then two trials to 3
    curves = scored(*[[score] * 3 for score in (1.0, 3.0, 2.0, 0.0, 5.0)])
    ends = ends_of("hyperband", curves, 5)
    assert [(end.trial, end.epoch, end.reason, end.spent) for end in ends] == [
        (0, 1, "RUNG", 1), (2, 1, "RUNG", 3), (1, 3, "", 5), (3, 3, "", 8), (4, 3, "", 11),
    ]  # fmt: skip
    less = scored(*[[-score] * 3 for score in (1.0, 3.0, 2.0, 0.0, 5.0)], mode="min")
    assert [end.spent for end in ends_of("hyperband", less, 5)] == [end.spent for end in ends]


def test_hyperband_with_many_workers_ends_every_trial_once():
    curves = synthetic.generate(100, 27, seed=4)
    ends = ends_of("hyperband", curves, 100, workers=16)
    assert sorted(end.trial for end in ends) == list(range(100))
    assert {end.epoch for end in ends} == {1, 3, 9, 27}
    assert ends[-1].spent == sum(end.epoch for end in ends)


def test_health_asha_stops_for_every_kind_of_reason_there():
    curves = synthetic.generate(400, 20, seed=3)
    assert {end.reason for end in ends_of("health-asha", curves, 400, 5, 4)} >= {
        "",
        "GIVEN_UP",
        "COLLAPSED",
        "NUMERIC",
    }


def test_controls_are_drawn_by_seed_and_number():
    curves = synthetic.generate(80, 20, seed=3)
    spec = parse("health-asha:control=0.5")
    health = spec.settings.health(curves.health)
    stopped = {end.trial for end in ends_of(spec.text, curves, 80, SEED) if end.reason == "COLLAPSED"}
    assert stopped
    assert not any(is_control(SEED, trial + 1, health) for trial in stopped)
    without = ends_of("health-asha:control=0", curves, 80, SEED)
    assert stopped < {end.trial for end in without if end.reason == "COLLAPSED"}


def test_a_trial_condemned_in_its_last_epoch_is_stopped_in_name():
    sick = {"verdict": "COLLAPSED", "verdict_detail": "at last"}
    curves = curves_of([[{SCORE: 1.0}, {SCORE: 1.0} | sick]] * 2)
    ends = ends_of("health-asha:control=0", curves, 2)
    assert [(end.epoch, end.reason, end.detail) for end in ends] == [(2, "COLLAPSED", "at last")] * 2
    for scheduler in ("asha-stopping", "none", "health-asha:control=1"):
        assert [end.reason for end in ends_of(scheduler, curves, 2)] == ["", ""]
