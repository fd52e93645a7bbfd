"""The replay agrees with the sweep that it replays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from analysis.replay import logs, synthetic
from analysis.replay.curves import Curves
from analysis.replay.policies import parse
from analysis.replay.simulate import End, simulate
from analysis.replay.verdicts import JudgedVerdicts
from sweeps import config as configuration
from sweeps.config import Options
from sweeps.exit_codes import ExitCode
from sweeps.records import journal
from sweeps.records.journal import SweepState
from sweeps.run_state import SweepRun
from sweeps.schedulers.stopping import StoppingPolicy
from sweeps.searchers.search import RandomSearch
from tests.sweeps.conftest import Sweeps
from trainables.health import judge

SEED = 0
TRIALS = 8
COLLAPSING = [
    "--set", "kld_free_bits=0", "--set", "normalize=channel_wise",
    "--space", "kld_loss_scale=1e-6..30", "--space", "learning_rate=3e-4..3e-3",
]  # fmt: skip


def replayed(curves: Curves, scheduler: str) -> list[End]:
    """One worker, in the order of the sweep."""
    return simulate(curves, parse(scheduler).factory(curves)(SEED), range(len(curves)), workers=1)


def agrees(ends: list[End], curves: Curves, state: SweepState) -> bool:
    """The same trials stopped after the same epoch for the same reason, told in the same words."""
    found = {curves.numbers[end.trial]: (end.epoch, end.reason, end.detail) for end in ends}
    return found == {number: (trial.epoch, trial.reason, trial.detail) for number, trial in state.trials.items()}


def driven(folder: Path, curves: Curves, scheduler: str) -> SweepState:
    """The journal of the real driver, told of the epochs of `curves` as one Ray worker would."""
    options = Options(model="imc_vae", trials=len(curves), epochs=curves.epochs, seed=SEED, scheduler=scheduler,
                      storage=str(folder), name="driven")  # fmt: skip
    config = configuration.complete(options)
    config.folder.mkdir()
    search = RandomSearch(config.search_space(), SEED)
    policy = StoppingPolicy(scheduler, curves.epochs, curves.metric, curves.mode, curves.health.grace_share)
    run = SweepRun(config, search, policy, SimpleNamespace(forecast=lambda config: None), curves.health)
    while (record := run.next_trial()) is not None:
        run.started(record.trial)
        rows = curves.rows(record.trial - 1)
        for epoch, row in enumerate(rows, start=1):
            health = judge(rows[:epoch], curves.epochs, curves.health)
            row |= {"verdict": health.verdict.value, "verdict_detail": health.detail}
            last = epoch == len(rows)
            if last or run.epoch(record.trial, row).stop:
                run.ended(record.trial, row)
                break
    return journal.read(config.folder)


@pytest.mark.parametrize("scheduler", ["none", "asha", "health-asha"])
def test_the_journal_of_the_driver_says_the_same(tmp_path, scheduler):
    curves = synthetic.generate(100, 20, seed=5)
    state = driven(tmp_path, curves, scheduler)
    assert agrees(replayed(curves, scheduler), curves, state)
    reasons = {trial.reason for trial in state.trials.values()}
    assert reasons >= {"none": {""}, "asha": {"", "RUNG"}, "health-asha": {"", "RUNG", "COLLAPSED"}}[scheduler]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Iterator[Sweeps]:
    """The same trials twice: `all` run to their end, `live` one by one as health-asha lets them."""
    sweeps = Sweeps(tmp_path_factory.mktemp("results"))
    settings = [*COLLAPSING, "--search", "random", "--seed", str(SEED), "--trials", str(TRIALS), "--epochs", "9"]
    for name, scheduler in (("all", "none"), ("live", "health-asha")):
        code, output = sweeps.run(*settings, "--scheduler", scheduler, "--max-concurrent", "1", "--name", name)
        assert code in (ExitCode.FINISHED, ExitCode.NO_HEALTHY_TRIAL), output
    yield sweeps
    sweeps.close()


@pytest.mark.slow
def test_the_replay_of_all_epochs_finds_the_stops_of_the_live_sweep(recorded):
    curves = logs.read(["all"], recorded.storage)
    assert curves.numbers == list(range(1, TRIALS + 1))
    live = recorded.state("live")
    assert agrees(replayed(curves, "health-asha"), curves, live)
    assert {trial.reason for trial in live.trials.values()} >= {"", "COLLAPSED", "RUNG"}  # or little was compared


@pytest.mark.slow
def test_judging_again_by_the_recorded_thresholds_finds_the_recorded_verdicts(recorded):
    curves = logs.read(["all"], recorded.storage)
    unrecorded = replace(curves, table=curves.table.drop_columns(["verdict", "verdict_detail"]))
    verdicts = [JudgedVerdicts(one, curves.health) for one in (curves, unrecorded)]
    rows = range(curves.table.num_rows)
    assert [verdicts[1][at] for at in rows] == [verdicts[0][at] for at in rows]
