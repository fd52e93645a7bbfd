"""Schedulers by name, with settings, from one parser; and what is true of every one of them."""

import dataclasses
import random
import sys
import textwrap

import pytest

from sweeps import schedulers
from sweeps.schedulers import known, parse
from tests.sweeps.schedulers.rows import Epoch, made
from trainables.health import Verdict

NAMES = ["asha", "asha-stopping", "health-asha", "hyperband", "median", "none", "pasha"]


def test_they_are_found_in_their_folder():
    assert list(known()) == NAMES
    assert schedulers.DEFAULT in NAMES


def test_a_new_one_is_one_file(tmp_path, monkeypatch):
    (tmp_path / "fixed.py").write_text(
        textwrap.dedent("""
        from sweeps.schedulers.base import GO_ON, RUNG, Scheduler, stop
        from sweeps.schedulers.settings import Settings

        class Fixed(Scheduler[Settings]):
            name = "fixed"

            def decide(self, trial, row):
                return stop(RUNG, "enough") if row.epoch == 2 else GO_ON
        """)
    )
    monkeypatch.setattr(schedulers, "__path__", [*schedulers.__path__, str(tmp_path)])
    known.cache_clear()
    try:
        assert list(known()) == sorted([*NAMES, "fixed"])
        assert made("fixed").on_epoch(1, Epoch(2, 0.0)).detail == "enough"
    finally:
        known.cache_clear()
        sys.modules.pop("sweeps.schedulers.fixed")


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("none", {}),
        ("asha:", {"eta": 3, "grace": None}),
        ("asha:eta=4,grace=0.2", {"eta": 4, "grace": 0.2}),
        ("hyperband:eta=4", {"eta": 4}),
        ("median", {"grace": None}),
        ("pasha:grace=0", {"eta": 3, "grace": 0.0}),
        (
            "health-asha:grace=0.1,patience=3,control=0",
            {"eta": 3, "grace": 0.1, "patience": 3, "control": 0.0},
        ),
    ],
)
def test_parse(text, settings):
    spec = parse(text)
    assert (spec.text, spec.kind.name, dataclasses.asdict(spec.settings)) == (text, text.split(":")[0], settings)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pbt", f"unknown scheduler 'pbt'; expected one of {', '.join(NAMES)}"),
        ("none:eta=3", "none has no settings"),
        ("asha:patience=3", "asha has no setting 'patience', only eta, grace"),
        ("asha:eta=1", "eta=1: expected a whole number from 2"),
        ("asha:eta=2.5", "eta=2.5: expected a whole number from 2"),
        ("asha:eta", "eta=: expected a whole number from 2"),
        ("asha:eta=2,eta=3", "eta is given twice"),
        ("median:grace=1", "grace=1: expected a share of the budget, from 0 to below 1"),
        ("median:grace=nan", "grace=nan: expected a share of the budget"),
        (
            "health-asha:patience=0,control=2",
            "patience=0: expected a whole number from 1; control=2: expected a share",
        ),
    ],
)
def test_parse_names_what_is_wrong(text, problem):
    with pytest.raises(ValueError, match=r"^--scheduler ") as error:
        parse(text)
    assert f"--scheduler {text}: {problem}" in str(error.value)


def test_settings_made_in_code_are_checked_as_those_written():
    with pytest.raises(ValueError, match=r"eta=1: expected a whole number from 2; grace=1.5: expected a share"):
        known()["asha"].settings_type(eta=1, grace=1.5)


def lived(scheduler, seed: int, workers: int = 3, trials: int = 20, epochs: int = 12) -> dict[int, str]:
    """How the trials of a made-up sweep end: some fail, some are sick, some have no number."""
    rng = random.Random(seed)
    fates = {trial: rng.choice([Verdict.HEALTHY] * 6 + [Verdict.COLLAPSED]) for trial in range(1, trials + 1)}
    level = {trial: rng.gauss(0, 1) for trial in fates}
    running: dict[int, int] = {}  # the epoch that a trial has reached
    waiting: dict[int, int] = {}
    ends: dict[int, str] = {}
    unstarted = list(fates)

    def gone(decisions) -> None:
        for trial, decision in decisions:
            assert decision.stop or decision.keep
            assert decision.reason
            assert decision.detail
            if decision.stop:
                del waiting[trial]
                ends[trial] = "given up"

    while True:
        while len(running) < workers:
            trial = scheduler.resume(len(unstarted))
            gone(scheduler.given_up())
            if trial is None and not unstarted:
                break
            running[trial := trial or unstarted.pop(0)] = waiting.pop(trial, 0)
            scheduler.start(trial, control=trial % 7 == 0)
        if not running:
            gone(scheduler.settle())
            return ends
        trial = rng.choice(list(running))
        epoch = running[trial] = running[trial] + 1
        row = Epoch(epoch, level[trial] + rng.gauss(0, 0.5), fates[trial] if epoch > 3 else Verdict.HEALTHY)
        if rng.random() < 0.01:
            scheduler.forget(trial)
            ends[trial] = "failed"
        elif epoch == epochs:
            scheduler.end(trial, row)
            ends[trial] = "finished"
        else:
            due = scheduler.pauses(trial)
            decision = scheduler.on_epoch(trial, row)
            if decision.pause:
                assert epoch in due or row.verdict.condemned  # or its worker would have kept no checkpoint
                waiting[trial] = epoch
            elif decision.stop:
                ends[trial] = "stopped"
            if decision.stop or decision.pause:
                assert decision.reason
                assert decision.detail
        if trial in ends or trial in waiting:
            del running[trial]
        gone(scheduler.given_up())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("workers", [1, 3, 30])
def test_every_trial_ends_once_and_one_is_finished(name, workers):
    for seed in range(20):
        scheduler = made(name)
        ends = lived(scheduler, seed, workers)
        assert sorted(ends) == list(range(1, 21)), seed
        assert "finished" in ends.values(), seed
        assert not scheduler.paused
