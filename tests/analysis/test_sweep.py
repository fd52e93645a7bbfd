import math
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import outputs, report
from analysis.sweep import Outcome, SweepError, counts, find, load
from trainables.health import HealthConfig, Verdict


def test_last_epoch_verdict_and_first_condemnation(writer):
    writer.trial([0.1, 0.2, 0.3], verdicts={2: "COLLAPSED", 3: "HEALTHY"}, control=True, au=4.0)
    (trial,) = writer.load().trials
    assert (trial.epochs, trial.verdict, trial.condemned_at) == (3, Verdict.HEALTHY, 2)
    assert trial.metrics == {"val/elbo_gain": 0.3, "health/au": 4.0}
    assert trial.outcome == Outcome.CONTROL
    assert trial.healthy


@pytest.mark.parametrize(
    ("arguments", "outcome", "healthy"),
    [
        ({}, Outcome.FINISHED, True),
        ({"control": True}, Outcome.FINISHED, True),
        ({"verdicts": {2: "GRACE"}}, Outcome.FINISHED, False),
        ({"verdicts": {2: "COLLAPSED"}}, Outcome.COLLAPSED, False),
        ({"verdicts": {2: "COLLAPSED"}, "control": True}, Outcome.CONTROL, False),
        ({"status": "STOPPED", "reason": "RUNG"}, Outcome.RUNG, False),
        ({"status": "STOPPED", "reason": "GIVEN_UP"}, Outcome.GIVEN_UP, False),
        ({"status": "STOPPED", "reason": "BY_HAND"}, Outcome.BY_HAND, False),
        ({"status": "STOPPED", "reason": "COLLAPSED"}, Outcome.COLLAPSED, False),
        ({"status": "STOPPED", "reason": "CODEBOOK_COLLAPSED"}, Outcome.COLLAPSED, False),
        ({"status": "STOPPED", "reason": "NUMERIC"}, Outcome.NUMERIC, False),
        ({"status": "STOPPED", "reason": "DIVERGED"}, Outcome.DIVERGED, False),
        ({"status": "FAILED", "reason": "ERROR"}, Outcome.FAILED, False),
        ({"status": "INTERRUPTED", "reason": "SIGNAL"}, Outcome.INTERRUPTED, False),
        ({"status": "RUNNING"}, Outcome.RUNNING, False),
    ],
)
def test_outcomes(writer, arguments, outcome, healthy):
    writer.trial([0.1, 0.2], **arguments)
    (trial,) = writer.load().trials
    assert (trial.outcome, trial.healthy) == (outcome, healthy)


def test_a_reason_and_a_verdict_of_a_newer_program_are_other(writer):
    writer.trial([0.1], status="STOPPED", reason="TEMPLATE_COLLAPSED")
    writer.trial([0.1], verdicts={1: "TEMPLATE_COLLAPSED"})
    sweep = writer.load()
    assert [trial.outcome for trial in sweep.trials] == [Outcome.OTHER, Outcome.OTHER]
    assert sweep.trials[0].record.reason == "TEMPLATE_COLLAPSED"
    assert "TEMPLATE_COLLAPSED" in report.render(sweep)
    assert counts(sweep.trials) == outputs.gather(sweep)["stopping"]["outcomes"] == {"other": 2}
    assert "2 other" in outputs.write(writer.path, "md").read_text()


def test_what_runs_when_the_sweep_has_ended_was_interrupted(writer):
    writer.trial([0.1], status="RUNNING")
    writer.suggest()
    assert counts(writer.load().trials) == {Outcome.RUNNING: 1, Outcome.PENDING: 1}
    writer.finish("interrupted")
    assert counts(writer.load().trials) == {Outcome.INTERRUPTED: 2}


def test_a_trial_without_epochs(writer):
    trial = writer.suggest()
    writer.start(trial)
    writer.end(trial, "FAILED", "WORKER_LOST", "the worker was lost 3 times", epoch=0)
    (loaded,) = writer.load().trials
    assert (loaded.epochs, loaded.metrics, loaded.verdict) == (0, {}, None)
    assert math.isnan(loaded.metric("val/elbo_gain"))


def test_a_sweep_without_trials(writer):
    sweep = writer.load()
    assert sweep.trials == []
    assert sweep.curve("val/elbo_gain") == {}
    assert not sweep.ended


def test_curves_are_split_by_trial_and_may_lack_columns(writer):
    writer.trial([0.1, 0.2])
    writer.trial([0.5], metric="val/other")
    writer.trial([math.nan, 0.4])
    curves = writer.load().curve("val/elbo_gain")
    assert sorted(curves) == [1, 3]
    np.testing.assert_array_equal(curves[1], [[1, 0.1], [2, 0.2]])
    np.testing.assert_array_equal(curves[3], [[1, math.nan], [2, 0.4]])


def test_thresholds_of_the_record_are_used(writer):
    writer.save(health=HealthConfig(kl_floor=0.2))
    assert writer.load().health.kl_floor == 0.2


def test_missing_keys_of_the_record_are_all_named(writer):
    written = writer.record.to_dict()
    del written["model"], written["config"]["mode"]
    writer.save_as(written)
    with pytest.raises(SweepError, match=r"sweep\.json: model missing\n.*sweep\.json: config\.mode missing"):
        writer.load()


def test_a_broken_record_names_the_file(writer):
    (writer.path / "sweep.json").write_text("{")
    with pytest.raises(SweepError, match=r"sweep\.json: cannot be read as JSON \(Expecting property name"):
        writer.load()


def test_a_folder_that_is_no_sweep(tmp_path):
    with pytest.raises(SweepError, match="expected the folder of a sweep"):
        load(tmp_path)


def test_a_broken_epoch_log_costs_its_trial_and_is_named(writer):
    writer.trial([0.1])
    writer.trial([0.1])
    (writer.path / "epochs" / "trial-00002.parquet").write_bytes(b"not parquet at all")
    sweep = writer.load()
    assert [trial.epochs for trial in sweep.trials] == [1, 1]
    assert [trial.verdict for trial in sweep.trials] == ["HEALTHY", None]
    assert any("trial-00002.parquet cannot be read" in problem for problem in sweep.problems)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (
            {"epoch": ["one"], "verdict": ["HEALTHY"]},
            "cannot be read: column epoch holds string, expected int32; it is left out",
        ),
        (
            {"epoch": [1], "verdict": ["HEALTHY"], "val/elbo_gain": ["0.3"]},
            "cannot be read: column val/elbo_gain holds string, expected double",
        ),
        ({"loss": [1.0]}, "cannot be read: no column epoch, verdict; it is left out"),
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_a_file_that_is_no_log_costs_its_trial_and_is_named(writer, columns, problem, number):
    writer.trial([0.1])
    path = writer.path / "epochs" / f"trial-0000{number}.parquet"
    pq.write_table(pa.table({"trial": [number], **columns}), path)
    sweep = writer.load()
    assert sweep.curve("val/elbo_gain")[1].tolist() == [[1, 0.1]]
    (told,) = sweep.problems
    assert re.match(f"{path} {problem}", told)


def test_the_log_is_sorted_whatever_the_files_are_called(writer):
    writer.trial([0.1, 0.2])
    writer.trial([0.3, 0.4])
    (writer.path / "epochs" / "trial-00001.parquet").rename(writer.path / "epochs" / "trial-99999.parquet")
    log = writer.load().log
    assert log["trial"].to_pylist() == [1, 1, 2, 2]
    assert log["val/elbo_gain"].to_pylist() == [0.1, 0.2, 0.3, 0.4]


def test_times_come_from_the_journal_and_metrics_from_the_log(writer):
    trial = writer.suggest()
    writer.log(trial, [{"val/elbo_gain": math.nan, "time/epoch_seconds": 2.5}])
    writer.end(trial, "FINISHED")
    sweep = writer.load()
    assert "time/epoch_seconds" not in sweep.log.column_names
    assert not any(name.startswith("config/") for name in sweep.log.column_names)
    metrics = sweep.trials[0].metrics
    assert metrics["time/epoch_seconds"] == 2.5
    assert math.isnan(metrics["val/elbo_gain"])


def test_find_by_name_and_by_path(writer, tmp_path):
    assert find("demo", tmp_path) == writer.path
    assert find(str(writer.path), tmp_path / "elsewhere") == writer.path


def test_find_lists_what_is_there(make_writer, tmp_path):
    with pytest.raises(SweepError, match=f"^no sweep 'a' in {tmp_path}; there is no sweep there$"):
        find("a", tmp_path)
    make_writer(name="two")
    make_writer(name="one")
    with pytest.raises(SweepError, match=f"^no sweep 'a' in {tmp_path}; sweeps there: one, two$"):
        find("a", tmp_path)


def test_fields_of_the_record_that_are_not_known_are_named(writer):
    written = writer.record.to_dict()
    writer.save_as(written | {"health": written["health"] | {"mi_floor": 0.05, "new_one": 1}})
    sweep = writer.load()
    assert sweep.record.unread == ("health.mi_floor", "health.new_one")
    assert any("health.new_one" in problem for problem in sweep.problems)
