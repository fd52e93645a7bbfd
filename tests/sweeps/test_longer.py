"""A sweep's configurations trained again for longer: which, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps import longer
from sweeps.completion import complete
from sweeps.config import ConfigError, SweepConfig
from sweeps.forecasting import NoForecast
from sweeps.openings import openings
from sweeps.options import AblationOptions, ExtendOptions, SweepOptions
from sweeps.plan import first_trials
from sweeps.records import lock, record
from sweeps.records.folder import SweepFolder
from sweeps.records.outcomes import Origin, Reason
from sweeps.records.record import DataRecord, SweepRecord
from sweeps.run_state import SweepRun
from tests.sweeps.test_run_state import by_hand, epoch, start, sweep
from trainables import epoch_log

END = 9  # the budget
ENDS = [  # score, active units, verdict
    (0.1, 5.0, "HEALTHY"),
    (0.9, 3.0, "HEALTHY"),  # misses what is required
    (0.4, 5.0, "HEALTHY"),
    (0.5, 5.0, "IGNORES_Z"),
]


@pytest.fixture
def run(tmp_path: Path) -> SweepRun:
    """Seven trials: four trained to their end, one had no finite loss, one was stopped by hand, one cut off."""
    run = sweep(tmp_path, "health-asha", trials=7, require=("health/au>=4",))
    data = DataRecord("embedded", fingerprint="f00d")
    record.write(SweepRecord("run", "5eeb", run.config.model, run.config, data=data), run.config.folder)
    for score, au, verdict in ENDS:
        trial = start(run)
        row = {"epoch": END, "seconds": 1.0, "val/elbo_gain": score, "health/au": au, "verdict": verdict}
        epoch_log.write(run.config.folder, trial, {"latent_dim": 8}, [row])
        run.ended(trial, row)
    sick = {"epoch": 5, "val/elbo_gain": 0.0, "verdict": "NUMERIC", "verdict_detail": "the loss is nan"}
    assert run.epoch(start(run), sick).stop
    by_hand(run, start(run))
    epoch(run, 6, 2, 0.2)
    epoch(run, start(run), 2, 0.3)
    run.interrupted(Reason.SIGNAL)
    return run


def settings(run: SweepRun, **options) -> tuple[SweepConfig, str]:
    return longer.settings(run.config, ExtendOptions(storage=run.config.storage, **options))


def refusals(config: SweepConfig, **options) -> list[str]:
    with pytest.raises(ConfigError) as error:
        longer.settings(config, SweepOptions(storage=config.storage, **options))
    return error.value.problems


def test_the_best_come_first_the_condemned_not_at_all_and_each_once(run: SweepRun) -> None:
    config, said = settings(run, epochs=20)
    order = [3, 1, 2, 7, 6, 4]
    assert config.tried == [run.records[trial].config for trial in order]
    assert (config.name, config.epochs, config.trials, config.steps) == ("run-20-epochs", 20, 6, None)
    assert said == (
        "Every schedule is a share of the budget, so none of run's trials can go on from its checkpoint: 6 of its 7 "
        "configurations are trained again from the start for 20 epochs, the best first, in run-20-epochs; run stays "
        "as it is."
    )
    begun = openings(config, config.search_space())
    assert [values for _, values in begun] == config.tried  # no twin of the documented ones behind them
    assert [origin for origin, _ in begun[:3]] == [Origin.TRIED, Origin.DOCUMENTED, Origin.BASELINE]
    planned = first_trials(config, config.search_space(), NoForecast())
    assert [row["config"] for row in planned] == config.tried


def test_as_many_as_are_asked_for(run: SweepRun) -> None:
    few, _ = settings(run, epochs=20, trials=2, name="two", max_concurrent=1)
    assert (few.name, few.trials, few.max_concurrent) == ("two", 2, 1)
    assert few.tried == [run.records[trial].config for trial in (3, 1)]
    more, _ = settings(run, epochs=20, trials=9)
    assert (more.trials, len(more.tried)) == (9, 6)  # the search goes on behind them
    assert len(first_trials(more, more.search_space(), NoForecast())) == 9


def test_every_problem_is_told_at_once(run: SweepRun, tmp_path: Path) -> None:
    with lock.exclusive(SweepFolder(run.config.folder).lock):
        problems = refusals(run.config, epochs=9, seed=3, max_concurrent=0)
    assert problems[0] == "--seed: cannot change on a resume; start a new sweep with --name instead"
    assert problems[1] == "--epochs 9: expected more than the 9 of run"
    assert problems[2].startswith("--extend run: it runs; wait for it or end it by --stop run: process ")
    assert problems[3] == "--max-concurrent 0: expected at least 1"
    (tmp_path / "none").mkdir()
    config = complete(SweepOptions(model="imc_vae", name="none", storage=str(tmp_path)))
    told = "--extend none: all of its trials were condemned or failed"
    assert refusals(config, epochs=99) == [told]
    ablation = complete(AblationOptions(model="imc_vae", name="none", storage=str(tmp_path)))
    assert "--extend none: start the ablation anew, with --epochs 99" in refusals(ablation, epochs=99)


def test_other_data_are_refused(run: SweepRun, tmp_path: Path) -> None:
    longer.check_data(run.config, tmp_path, "f00d")
    with pytest.raises(ConfigError, match="--extend run: embedded has changed since; start a new sweep"):
        longer.check_data(run.config, tmp_path, "beef")
