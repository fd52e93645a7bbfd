"""The sweep that confirms the best of another: which configurations, with which seeds, compared how."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps import confirmation
from sweeps.completion import complete, resumed
from sweeps.config import ConfigError, SweepConfig
from sweeps.exit_codes import ExitCode
from sweeps.options import AblationOptions, ResumeOptions, SweepOptions
from sweeps.records import record
from sweeps.records.folder import SweepFolder, sweeps_in
from sweeps.records.journal import TrialRecord
from sweeps.records.record import SweepRecord
from sweeps.result import SweepResult
from sweeps.seeds import SeedSchedule

LOOP = """
from search_spaces import Parameter, SearchSpace

SPACE = SearchSpace("mine", (Parameter("beta", "log", 1.0, low=0.1, high=9.0),), metrics=("val/nelbo",), mode="min")

def train(config, monitor): ...
"""


def search(storage: Path, model: str = "imc_vae", **options) -> SweepConfig:
    return complete(SweepOptions(model=model, name="run", storage=str(storage), seed=7, **{"trials": 6} | options))


def trial(config: SweepConfig, number: int, **changes) -> TrialRecord:
    return TrialRecord(number, config.search_space().documented() | changes, "search", seed=config.seed)


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return search(tmp_path, confirm=2)


@pytest.fixture
def healthy(config: SweepConfig) -> list[TrialRecord]:
    """Four trials, the best first, two of them of one configuration."""
    return [
        trial(config, number, learning_rate=rate) for number, rate in ((3, 1e-4), (5, 1e-4), (2, 2e-4), (6, 9e-5))
    ]


def test_the_best_distinct_ones_and_the_documented_one_with_seeds_that_the_search_had_not(config, healthy) -> None:
    confirming = confirmation.settings(config, healthy, 60.0)
    design = confirming.ablation
    assert [variant.name for variant in design.variants] == ["trial 3", "trial 2", "documented"]
    assert design.variants[1].config == healthy[2].config
    assert [(each.before, each.after) for each in design.comparisons] == [
        ("documented", "trial 3"), ("documented", "trial 2"),
    ]  # fmt: skip
    assert (confirming.trials, confirming.scheduler, confirming.confirm) == (15, "none", None)
    assert (confirming.epochs, confirming.data, confirming.metric) == (config.epochs, config.data, config.metric)
    assert (confirming.time_budget, confirming.test, confirming.told_by) == (60.0, True, "test/elbo_gain")
    seeds, records = [], {}
    schedule = SeedSchedule(design, confirming.seed, "val/elbo_gain", lambda record, metric: 0.0)
    while (found := schedule.next(records)) is not None:
        records[len(records) + 1] = TrialRecord(len(records) + 1, found[1], found[0], seed=found[2])
        seeds.append(found[2])
    assert seeds == [seed for seed in (8, 9, 10, 11, 12) for _ in design.variants]


def test_it_lies_in_the_folder_of_the_search_where_no_other_sweep_looks(config, healthy) -> None:
    confirming = confirmation.settings(config, healthy, None)
    assert confirming.name == "run/confirm"
    assert confirming.folder == SweepFolder(config.folder).confirmation.path
    for each in (config, confirming):
        each.folder.mkdir(parents=True)
        record.write(SweepRecord(each.name, each.name, each.model, each), each.folder)
    assert [folder.path for folder in sweeps_in(Path(config.storage))] == [config.folder]


def test_a_documented_one_among_the_best_takes_the_place_of_none(config, healthy) -> None:
    design = confirmation.settings(config, [trial(config, 1), *healthy], None).ablation
    assert [variant.name for variant in design.variants] == ["trial 3", "trial 2", "documented"]


def test_one_outside_of_the_space_is_left_out_and_nothing_is_compared_with_it(tmp_path) -> None:
    config = search(tmp_path, confirm=1, space=("learning_rate=1e-5..2e-5",))
    design = confirmation.settings(config, [trial(config, 3, learning_rate=1.5e-5)], None).ablation
    assert [variant.name for variant in design.variants] == ["trial 3"]
    assert design.comparisons == []


def test_more_than_are_healthy_are_as_many_as_there_are(tmp_path) -> None:
    config = search(tmp_path, confirm=30)
    design = confirmation.settings(config, [trial(config, 3, learning_rate=1e-4)], None).ablation
    assert [variant.name for variant in design.variants] == ["trial 3", "documented"]


def test_what_was_confirmed_before_stays_and_the_new_joins_it_with_as_many_seeds(tmp_path, config, healthy) -> None:
    first = confirmation.settings(search(tmp_path, confirm=1), healthy, None)
    first.folder.mkdir(parents=True)
    record.write(SweepRecord("run/confirm", "5eeb", "imc_vae", first), first.folder)
    better = [trial(config, 9, learning_rate=2.5e-4), *healthy]
    design = confirmation.settings(config, better, None).ablation
    assert [variant.name for variant in design.variants] == ["trial 3", "documented", "trial 9"]
    assert [each.after for each in design.comparisons] == ["trial 3", "trial 9"]


def test_of_a_loop_of_ones_own_no_test_part_is_known(tmp_path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(LOOP)
    config = search(tmp_path, str(path), confirm=1)
    confirming = confirmation.settings(config, [trial(config, 2, beta=3.0)], None)
    assert (confirming.test, confirming.told_by) == (False, "val/nelbo")
    assert confirmation.announced(confirming) == (
        "Confirmed are trial 2, documented: 5 further seeds each, to the full budget, told by val/nelbo once more, "
        "for a loop of one's own has no test part that is known."
    )


def test_what_is_trained_is_said(config, healthy) -> None:
    assert confirmation.announced(confirmation.settings(config, healthy, None)) == (
        "Confirmed are trial 3, trial 2, documented: 5 further seeds each, to the full budget, told on the test "
        "part, which nothing has been chosen by."
    )


@pytest.mark.parametrize(
    ("status", "resumable", "whole"),
    [
        (ExitCode.FINISHED, False, ExitCode.FINISHED),
        (ExitCode.FINISHED, True, ExitCode.FINISHED),  # its time budget is spent
        (ExitCode.NO_HEALTHY_TRIAL, False, ExitCode.FINISHED),  # the best of the search remains
        (ExitCode.INTERRUPTED, True, ExitCode.INTERRUPTED),
        (ExitCode.FAILED, True, ExitCode.FAILED),
    ],
)
def test_how_the_whole_ends(tmp_path, status, resumable, whole) -> None:
    searched = SweepResult(tmp_path, ExitCode.FINISHED, "no trial was stopped")
    ended = confirmation.ended(searched, SweepResult(tmp_path / "confirm", status, "broken", resumable))
    assert (ended.folder, ended.status, ended.resumable) == (tmp_path, whole, resumable)
    assert ("of the confirmation: broken" in ended.detail) == (status is whole is not ExitCode.FINISHED)


def test_a_resume_may_ask_for_it_or_for_none_and_an_ablation_may_not(tmp_path, config) -> None:
    assert resumed(config, ResumeOptions()).confirm == config.confirm
    assert resumed(search(tmp_path), ResumeOptions(confirm=3)).confirm.best == 3
    assert resumed(config, ResumeOptions(confirm=0)).confirm is None
    with pytest.raises(ConfigError, match="--confirm -1: expected 0 or more configurations"):
        resumed(config, ResumeOptions(confirm=-1))
    ablation = complete(AblationOptions(model="imc_vae", name="two", storage=str(tmp_path)))
    assert ablation.confirm is None
    with pytest.raises(ConfigError, match="--confirm 3: two is an ablation"):
        resumed(ablation, ResumeOptions(confirm=3))
