"""The replay agrees with the sweep that it replays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analysis.replay import logs, regret, synthetic
from analysis.replay.curves import Curves
from analysis.replay.simulate import End, Variant
from analysis.replay.verdicts import JudgedVerdicts
from sweeps.completion import complete
from sweeps.exit_codes import ExitCode
from sweeps.options import SweepOptions
from sweeps.records import journal
from sweeps.records.journal import SweepState
from sweeps.records.outcomes import Status
from sweeps.records.ranking import Objective
from sweeps.run_state import SweepRun
from sweeps.schedulers import known, parse
from sweeps.searchers.random import RandomSearch
from tests.sweeps.conftest import Door, Sweeps
from trainables import epoch_log
from trainables.health import judge
from trainables.requirements import Requirement

SEED = 0
TRIALS = 8
COLLAPSING = [
    "--set", "kld_free_bits=0", "--set", "normalize=channel_wise",
    "--space", "kld_loss_scale=1e-6..30", "--space", "learning_rate=3e-4..3e-3",
]  # fmt: skip


def replayed(curves: Curves, scheduler: str) -> list[End]:
    """One worker, in the order of the sweep."""
    return Variant(parse(scheduler), curves).ends(SEED, range(len(curves)), workers=1)


def agrees(ends: list[End], curves: Curves, state: SweepState) -> bool:
    """The same trials stopped after the same epoch for the same reason, told in the same words. Of a finished trial
    the journal tells what it misses of what is required."""
    found = {curves.numbers[end.trial]: (end.epoch, end.reason, end.detail) for end in ends}
    return found == {
        number: (trial.epoch, trial.reason, trial.detail if trial.reason else "")
        for number, trial in state.trials.items()
    }


class Driven:
    """The real driver, told of the epochs of `curves` as one Ray worker would tell them.

    Args:
        deaths: after so many epochs the driver dies and another takes over its folder.
        foretold: what earlier sweeps expect of every trial, by position; none if empty.
    """

    def __init__(
        self, folder: Path, curves: Curves, scheduler: str, deaths: Sequence[int] = (), foretold: Sequence[float] = ()
    ) -> None:
        budget = {"trials": len(curves), "epochs": curves.epochs, "seed": SEED}
        place = {"storage": str(folder), "name": "driven"}
        ranked = {
            "metric": ",".join(one.metric for one in curves.task(0.0).objectives),
            "mode": ",".join(one.mode for one in curves.task(0.0).objectives),
            "require": tuple(map(str, curves.requirements)),
        }
        options = SweepOptions(model="imc_vae", scheduler=scheduler, **budget, **place, **ranked)
        self.config, self.curves, self.deaths, self.foretold = complete(options), curves, deaths, foretold
        self.config.folder.mkdir(parents=True)
        self.epochs = 0
        self.reached: dict[int, int] = {}
        self.decisions: list[tuple[int, int, str, str]] = []

    def run(self) -> SweepState:
        """The journal at the end."""
        while self.drive(self.driver()):
            pass
        return journal.read(self.config.folder)

    def driver(self) -> SweepRun:
        config, curves = self.config, self.curves
        spec = parse(config.scheduler)
        health = spec.settings.health(curves.health)
        scheduler = spec.make(curves.task(health.grace_share))
        search = RandomSearch(config.search_space(), SEED, config.metric, config.mode)
        forecaster = SimpleNamespace(forecast=lambda config: None)
        memory = SimpleNamespace(foretold=self.next_foretold) if self.foretold else None
        return SweepRun(config, search, scheduler, forecaster, health, memory=memory)

    def next_foretold(self, configs: list[dict[str, Any]]) -> list[float]:
        """Of the trial that is being suggested."""
        return [self.foretold[len(journal.read(self.config.folder).trials)] for _ in configs]

    def drive(self, run: SweepRun) -> bool:
        """Until the end, or True if the driver dies."""
        while (record := run.next_trial()) is not None:
            run.started(record.trial)
            if not self.train(run, record.trial):
                return True
        return False

    def train(self, run: SweepRun, trial: int) -> bool:
        """Until the trial leaves its worker; False if the driver dies first. A worker that begins again reports the
        last epoch of its checkpoint once more."""
        rows = self.curves.rows(trial - 1)
        begun = self.reached.get(trial, 0)
        for epoch in range(max(begun, 1), len(rows) + 1):
            row = self.row(run, rows[:epoch])
            self.epochs += epoch > begun
            self.reached[trial] = epoch
            if self.epochs in self.deaths and epoch > begun:
                self.log(run, trial)
                return False
            if epoch == len(rows):
                run.ended(trial, row)
                break
            decision = run.epoch(trial, row)
            if epoch > begun:
                self.decisions.append((trial, epoch, decision.action, decision.detail))
            if decision.stop or decision.pause:
                break
        self.log(run, trial)
        return True

    def row(self, run: SweepRun, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """The last of the epochs as its worker reports it."""
        health = judge(rows, self.curves.epochs, run.health)
        told = {"verdict": health.verdict.value, "verdict_detail": health.detail, "seconds": 1.0, "seed": SEED}
        return rows[-1] | told | {"control": False}

    def log(self, run: SweepRun, trial: int) -> None:
        """What the worker of the trial has left behind."""
        rows = self.curves.rows(trial - 1)[: self.reached[trial]]
        told = [self.row(run, rows[:epoch]) for epoch in range(1, len(rows) + 1)]
        epoch_log.write(self.config.folder, trial, {}, told)


EXPECTED = {
    "none": {""},
    "asha": {"", "RUNG"},
    "asha-stopping": {"", "RUNG"},
    "health-asha": {"", "GIVEN_UP", "COLLAPSED"},
    "median": {"", "RUNG"},
    "hyperband": {"", "RUNG"},
    "pasha": {"", "RUNG"},
}


def decided(curves: Curves, scheduler: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, str, str]]:
    """What the replay's scheduler says to every epoch that is not a trial's last."""
    heard = []
    kind = parse(scheduler).kind
    on_epoch = kind.on_epoch

    def listened(self, trial, row):
        decision = on_epoch(self, trial, row)
        if self.name == kind.name:
            heard.append((trial, row.epoch, decision.action, decision.detail))
        return decision

    with monkeypatch.context() as patch:
        patch.setattr(kind, "on_epoch", listened)
        replayed(curves, scheduler)
    return heard


@pytest.mark.parametrize("scheduler", known())
def test_the_driver_decides_as_the_replay_does_epoch_by_epoch(tmp_path, scheduler, monkeypatch):
    curves = synthetic.generate(30, 12, seed=5)
    driven = Driven(tmp_path, curves, scheduler)
    state = driven.run()
    assert agrees(replayed(curves, scheduler), curves, state)
    assert {trial.reason for trial in state.trials.values()} >= EXPECTED[scheduler]
    assert driven.decisions == decided(curves, scheduler, monkeypatch)


@pytest.mark.parametrize("scheduler", ["health-asha", "asha", "pasha"])
def test_they_agree_on_two_metrics_and_what_is_required_through_the_death_of_drivers(tmp_path, scheduler):
    curves = replace(
        synthetic.generate(30, 12, seed=5),
        further=(Objective("health/kl_raw", "min"),),
        requirements=(Requirement.parse("health/au>=8"),),
    )
    state = Driven(tmp_path, curves, scheduler, deaths=range(7, 800, 13)).run()
    ends = replayed(curves, scheduler)
    assert agrees(ends, curves, state)
    alone = replayed(replace(curves, further=(), requirements=()), scheduler)
    assert [end.epoch for end in ends] != [end.epoch for end in alone]  # or nothing was compared


@pytest.mark.parametrize("scheduler", known())
def test_a_driver_that_dies_costs_no_decision(tmp_path, scheduler):
    curves = synthetic.generate(30, 12, seed=5)
    deaths = range(7, 800, 13)
    driven = Driven(tmp_path, curves, scheduler, deaths)
    state = driven.run()
    assert driven.epochs > 5 * 13  # it died several times
    assert agrees(replayed(curves, scheduler), curves, state)


def test_what_was_foretold_outlives_the_driver(tmp_path):
    curves = synthetic.generate(30, 12, seed=5)
    foretold = np.nan_to_num(regret.truth(curves).score, nan=-1.0).tolist()
    told, dying, untold = (
        Driven(tmp_path / name, curves, "health-asha", deaths, places)
        for name, deaths, places in (
            ("told", (), foretold), ("dying", range(7, 800, 13), foretold), ("untold", (), ())
        )
    )  # fmt: skip
    ends = [
        {number: (trial.epoch, trial.reason, trial.detail) for number, trial in driven.run().trials.items()}
        for driven in (told, dying, untold)
    ]
    assert ends[0] == ends[1]
    assert [trial.foretold for trial in journal.read(dying.config.folder).trials.values()] == foretold
    assert told.decisions != untold.decisions


def test_who_waits_when_the_driver_dies_waits_still(tmp_path):
    curves = synthetic.generate(30, 12, seed=5)
    driven = Driven(tmp_path, curves, "hyperband", deaths=[12])
    driven.drive(driven.driver())
    waiting = {n for n, record in journal.read(driven.config.folder).trials.items() if record.status == Status.PAUSED}
    assert waiting
    run = driven.driver()
    assert {n for n, record in run.records.items() if record.status == Status.PAUSED} == waiting
    assert set(run.scheduler.paused) == waiting
    run.interrupted("SIGNAL")  # and once more, told that it ends
    again = driven.driver()
    assert set(again.scheduler.paused) == waiting
    assert again.next_trial().trial not in waiting


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Iterator[Sweeps]:
    """The same trials twice: `all` run to their end, `live` one by one as health-asha lets them."""
    door = Door()
    sweeps = Sweeps(tmp_path_factory.mktemp("results"), door)
    settings = [*COLLAPSING, "--search", "random", "--seed", str(SEED), "--trials", str(TRIALS), "--epochs", "9"]
    for name, scheduler in (("all", "none"), ("live", "health-asha")):
        code, output = sweeps.run(*settings, "--scheduler", scheduler, "--max-concurrent", "1", "--name", name)
        assert code in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL), output
    yield sweeps
    sweeps.close()
    door.close()


@pytest.mark.slow
def test_the_replay_of_all_epochs_finds_the_stops_of_the_live_sweep(recorded):
    curves = logs.read(["all"], recorded.storage)
    assert curves.numbers == list(range(1, TRIALS + 1))
    live = recorded.state("live")
    assert agrees(replayed(curves, "health-asha"), curves, live)
    assert {trial.reason for trial in live.trials.values()} >= {"", "COLLAPSED"}  # or little was compared
    assert {"paused", "went on"} <= {event["event"] for event in recorded.events("live")}


@pytest.mark.slow
def test_judging_again_by_the_recorded_thresholds_finds_the_recorded_verdicts(recorded):
    curves = logs.read(["all"], recorded.storage)
    unrecorded = replace(curves, table=curves.table.drop_columns(["verdict", "verdict_detail"]))
    verdicts = [JudgedVerdicts(one, curves.health) for one in (curves, unrecorded)]
    rows = range(curves.table.num_rows)
    assert [verdicts[1][at] for at in rows] == [verdicts[0][at] for at in rows]
