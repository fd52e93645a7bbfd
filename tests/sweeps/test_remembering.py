"""Which sweeps are learnt from, what is said of it, and what a resume knows of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sweeps import remembering
from sweeps.completion import complete
from sweeps.config import ConfigError, SweepConfig
from sweeps.forecasting import NoForecast
from sweeps.options import SweepOptions
from sweeps.records import journal, record
from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Suggested
from sweeps.records.record import DataRecord, ParameterRecord, SweepRecord
from sweeps.suggestions import search_of
from tests.sweeps.conftest import DONE, Sweeps
from trainables import epoch_log

DATA = "f00d"


def settings(storage: Path, name: str = "new", **options) -> SweepConfig:
    chosen = {"model": "imc_vae", "epochs": 2, "trials": 12, "search": "random"} | options
    return complete(SweepOptions(name=name, storage=str(storage), **chosen))


def sweep(storage: Path, name: str, data: str = DATA, trials: int = 12, **options) -> Path:
    """A sweep whose trials are the better the smaller their learning rate; the last but one was condemned, the last
    failed."""
    config = settings(storage, name, **options)
    config.folder.mkdir()
    written = SweepRecord(name, name, config.model, config, data=DataRecord("grids", fingerprint=data))
    space = [ParameterRecord.of(each) for each in config.search_space().parameters]
    record.write(replace(written, space=space), config.folder)
    log = journal.Journal(config.folder)
    for trial in range(1, trials + 1):
        drawn = config.search_space().draw(np.random.default_rng([7, trial]))
        status, reason = {trials - 1: ("STOPPED", "COLLAPSED"), trials: ("FAILED", "ERROR")}.get(
            trial, ("FINISHED", "")
        )
        log.append(Suggested(trial, drawn, "search"))
        log.append(Ended(trial, status, reason, epoch=2, metrics={config.metric[0]: -float(drawn["learning_rate"])}))
        epoch_log.write(config.folder, trial, {}, [{"epoch": 2, "verdict": "HEALTHY"}])
    return config.folder


def test_trials_on_the_same_data_are_learnt_from(tmp_path: Path) -> None:
    sweep(tmp_path, "old")
    learnt = remembering.find(settings(tmp_path), DATA)
    assert learnt.said[0] == "Learnt from old: 11 trials on the same data."
    assert len(learnt.trials) == 11  # without the failed one
    ranked = learnt.trials[:-1]
    rates = [trial.record.config["learning_rate"] for trial in ranked]
    assert rates == sorted(rates)
    assert learnt.trials[-1].place < min(trial.place for trial in ranked)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"data": "beef"}, "old is not learnt from: it has other data."),
        ({"metric": "val/r2"}, "old is not learnt from: it was ranked by val/r2."),
    ],
)
def test_what_cannot_be_compared_orders_nothing_and_is_told(tmp_path: Path, options: dict, why: str) -> None:
    sweep(tmp_path, "old", **options)
    learnt = remembering.find(settings(tmp_path), DATA)
    assert learnt.said == (why, "No earlier sweep orders this one's trials.")
    assert learnt.memory(settings(tmp_path)) is None


def test_sweeps_of_other_models_are_not_told_unless_named(tmp_path: Path) -> None:
    sweep(tmp_path, "old", model="conv_vae")
    assert remembering.find(settings(tmp_path), DATA).said == ()
    named = remembering.find(settings(tmp_path, learn_from=("old",)), DATA)
    assert named.said[0] == "old is not learnt from: it is of conv_vae."


def test_nothing_is_learnt_where_nothing_is_wanted(tmp_path: Path) -> None:
    sweep(tmp_path, "old")
    assert remembering.find(settings(tmp_path, learn_from=("none",)), DATA) == remembering.Learnt()


def test_named_sweeps_alone_are_learnt_from_wherever_they_are(tmp_path: Path) -> None:
    elsewhere, storage = tmp_path / "elsewhere", tmp_path / "storage"
    elsewhere.mkdir(), storage.mkdir()
    sweep(storage, "inside")
    other = sweep(elsewhere, "outside")
    config = settings(storage, learn_from=(str(other),))
    assert [line.split(":")[0] for line in remembering.find(config, DATA).said[:1]] == ["Learnt from outside"]


def test_a_sweep_that_is_not_there_is_refused(tmp_path: Path) -> None:
    sweep(tmp_path, "old")
    with pytest.raises(ConfigError) as error:
        settings(tmp_path, learn_from=("odl",))
    assert error.value.problems == [
        f"--learn-from odl: expected the name or the folder of a sweep, or none; in {tmp_path} there are: old"
    ]


def test_a_broken_sweep_costs_a_sentence(tmp_path: Path) -> None:
    sweep(tmp_path, "fine")
    (sweep(tmp_path, "torn") / "sweep.json").write_text("{", encoding="utf-8")
    next((sweep(tmp_path, "worn") / "epochs").glob("*.parquet")).write_bytes(b"no Parquet")
    learnt = remembering.find(settings(tmp_path), DATA)
    assert len(learnt.trials) == 11
    assert [line.split(" cannot")[0] for line in learnt.said if "cannot be read" in line] == ["torn", "worn"]


def test_another_budget_and_a_changed_space_are_told(tmp_path: Path) -> None:
    folder = sweep(tmp_path, "old", epochs=9)
    written = record.read(folder)
    kept = [parameter for parameter in written.space if parameter.name != "kl_warmup"]
    record.write(replace(written, space=kept), folder)
    learnt = remembering.find(settings(tmp_path), DATA)
    assert learnt.said[0] == "Learnt from old: 11 trials on the same data of 9 epochs; it has no kl_warmup."
    assert learnt.memory(settings(tmp_path)).comparable == []


def test_few_trials_order_nothing(tmp_path: Path) -> None:
    sweep(tmp_path, "old", trials=8)
    learnt = remembering.find(settings(tmp_path), DATA)
    assert learnt.said[-1] == "7 earlier trials order nothing: expected at least 10."
    assert learnt.memory(settings(tmp_path)) is None


def test_what_was_learnt_outlives_the_earlier_sweep(tmp_path: Path) -> None:
    sweep(tmp_path, "old")
    config = settings(tmp_path)
    learnt = remembering.find(config, DATA)
    config.folder.mkdir()
    assert remembering.read(config.folder) == remembering.Learnt()
    remembering.write(learnt, config.folder)
    assert remembering.read(config.folder) == learnt
    SweepFolder(config.folder).memory.write_text("{", encoding="utf-8")
    assert "cannot be read" in remembering.read(config.folder).said[0]


@pytest.mark.parametrize("search", ["random", "grid"])
def test_the_trials_are_the_drawn_ones_by_turns_and_a_resume_goes_on_with_those_left(
    tmp_path: Path, search: str
) -> None:
    sweep(tmp_path, "old")
    config = settings(tmp_path, search=search)
    memory = remembering.find(config, DATA).memory(config)
    cold = search_of(config, None, NoForecast())
    drawn = [cold.suggest(trial) for trial in range(3, 13)]
    straight = search_of(config, memory, NoForecast())
    ordered = [straight.suggest(trial) for trial in range(3, 13)]
    best = max(drawn, key=lambda each: memory.foretold([each])[0])
    assert ordered[0] == best
    assert all(each in drawn for each in ordered)
    assert all(each in ordered for each in drawn)
    resumed = search_of(config, memory, NoForecast())
    for trial, each in enumerate(ordered[:4], 3):
        for _ in range(2):  # suggested, and ended
            resumed.tell(journal.TrialRecord(trial, each, "search"))
    assert [resumed.suggest(trial) for trial in range(7, 13)] == ordered[4:]
    extended = search_of(replace(config, trials=20), memory, NoForecast())
    for trial, each in enumerate(ordered, 3):
        extended.tell(journal.TrialRecord(trial, each, "search"))
    more = [extended.suggest(trial) for trial in range(13, 21)]
    assert len({str(each) for each in more} - {str(each) for each in ordered}) == len(more)


def test_tpe_begins_with_the_earlier_trials(tmp_path: Path) -> None:
    sweep(tmp_path, "old", trials=30)
    config = settings(tmp_path, search="tpe", trials=40)
    warm = search_of(config, remembering.find(config, DATA).memory(config), NoForecast())
    assert warm.ahead == 2
    study = warm.study()
    states = [trial.state.name for trial in study.trials]
    assert (states.count("COMPLETE"), states.count("PRUNED")) == (28, 1)
    rates = [warm.suggest(trial)["learning_rate"] for trial in range(3, 13)]
    drawn = [search_of(config, None, NoForecast()).startup.suggest(trial)["learning_rate"] for trial in range(3, 13)]
    assert np.median(rates) < np.median(drawn) / 2  # the smaller the better, as the earlier sweep had it


def test_a_second_sweep_says_what_it_learnt_from_and_starts_with_the_best_foretold(sweeps: Sweeps) -> None:
    settings = ["--search", "random", "--epochs", "2", "--subset", "60", *sweeps.untracked]
    code, output = sweeps.run(*settings, "--trials", "10", "--seed", "1", "--name", "first")
    assert code in DONE, output
    assert "Learnt" not in output
    code, output = sweeps.run(*settings, "--trials", "6", "--max-concurrent", "1", "--name", "second")
    assert code in DONE, output
    assert "Learnt from first: 10 trials on the same data." in output
    trials = sweeps.state("second").trials
    foretold = [trials[number].foretold for number in range(3, 7)]  # after the documented ones
    assert foretold[0] == max(foretold)
    assert all(trial.foretold is None for trial in sweeps.state("first").trials.values())
