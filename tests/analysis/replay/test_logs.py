"""Recorded sweeps as curves: what is complete, what is left out, what is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.replay import logs
from tests.analysis.replay.conftest import SCORE
from trainables.data.errors import DataError
from trainables.health import HealthConfig

COMPLETE = [0.1] * 10


def problem(sources, storage, **settings) -> str:
    with pytest.raises(DataError) as error:
        logs.read(sources, storage, **settings)
    return str(error.value)


@pytest.fixture
def sweep(writer):
    """Trials 1, 4, 6, 7 are complete: finished, as a control, by early stopping, condemned in the last epoch."""
    writer.trial(COMPLETE)
    writer.trial([0.1] * 3, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 4, status="STOPPED", reason="COLLAPSED")
    writer.trial([0.4] * 10, verdicts={8: "COLLAPSED"}, control=True)
    writer.trial([0.1] * 2, status="FAILED", reason="ERROR")
    writer.trial([0.6] * 7)
    writer.trial([0.7] * 10, status="STOPPED", reason="COLLAPSED", verdicts={10: "COLLAPSED"})
    writer.trial([0.1] * 5, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 5, status="RUNNING")
    writer.suggest()
    return writer


@pytest.mark.parametrize("source", ["demo", "{folder}", "{folder}/epochs", "{storage}"])
def test_complete_trials_keep_their_numbers_and_the_others_are_counted(sweep, source):
    storage = sweep.path.parent
    curves = logs.read([source.format(folder=sweep.path, storage=storage)], storage)
    assert curves.numbers == [1, 4, 6, 7]
    assert curves.first.tolist() == [0, 10, 20, 27, 37]
    assert (curves.epochs, curves.metric, curves.mode) == (10, SCORE, "max")
    assert curves.durations.tolist() == [2.0] * 37
    left_out = "left out: 2 stopped at a rung, 1 collapsed, 1 failed, 1 running, 1 waiting"
    assert f"4 of 10 trials are complete and replayed ({left_out})" in curves.notes[0]
    assert "--search tpe" in curves.notes[1]


def test_thresholds_are_the_recorded_ones(writer):
    writer.save(health=HealthConfig(consecutive=5))
    writer.trial(COMPLETE)
    writer.trial(COMPLETE)
    curves = logs.read(["demo"], writer.path.parent)
    assert curves.health.consecutive == 5
    assert len(curves.notes) == 1  # nothing was left out


def test_another_metric(writer):
    for au in (3.0, 4.0):
        writer.trial(COMPLETE, au=au)
    storage = writer.path.parent
    curves = logs.read(["demo"], storage, "health/au")
    assert (curves.metric, curves.mode, curves.scores[-1]) == ("health/au", "max", 4.0)
    assert logs.read(["demo"], storage, "health/au", "min").scores[-1] == -4.0
    assert logs.read(["demo"], storage, mode="min").mode == "min"
    assert "no metric val/nonsense; --metric takes" in problem(["demo"], storage, metric="val/nonsense")
    assert "in the log: val/elbo_gain" in problem(["demo"], storage, metric="val/nonsense")


def test_several_sweeps_become_one_set(make_writer):
    for name, scores in (("one", [0.1, 0.2]), ("two", [0.3])):
        writer = make_writer(name=name, search="random")
        writer.trial([0.0], status="STOPPED", reason="RUNG")
        for score in scores:
            writer.trial([score] * 10, config={"latent_dim": score})  # types of hyperparameters may differ
    storage = writer.path.parent
    curves = logs.read(["one", "two"], storage)
    assert curves.numbers == [1, 2, 3]
    assert curves.scores[::10].tolist() == [0.1, 0.2, 0.3]
    assert "3 of 5 trials" in curves.notes[0]
    assert logs.read([str(storage)], storage).table == curves.table


def test_logs_that_do_not_belong_together(make_writer):
    for name, epochs, metric in (("one", 10, SCORE), ("two", 8, "val/r2")):
        writer = make_writer(name=name, epochs=epochs, metric=[metric])
        writer.save(model=name)
        writer.trial([0.1] * epochs)
    told = problem(["one", "two"], writer.path.parent)
    assert told.count("\n") == 3
    for part in ("epochs differs: 8 in", "model differs: two in", "metric differs: val/r2 in", "one by one"):
        assert part in told


def test_parquet_alone(tmp_path):
    rows = [(trial, epoch) for trial, epochs in ((3, 4), (1, 4), (2, 1)) for epoch in range(1, epochs + 1)]
    table = pa.table({"trial": [t for t, _ in rows], "epoch": [e for _, e in rows],
                      "seconds": [float(e) for _, e in rows], SCORE: [0.5] * len(rows)})  # fmt: skip
    pq.write_table(table, tmp_path / "log.parquet")
    folder = tmp_path / "folder"
    folder.mkdir()
    pq.write_table(table.slice(0, 4), folder / "a.parquet")
    pq.write_table(table.slice(4).append_column("val/mse", pa.array([1.0] * 5)), folder / "b.parquet")
    for source in (tmp_path / "log.parquet", folder):
        curves = logs.read([str(source)], tmp_path)
        assert (curves.numbers, curves.epochs) == ([1, 3], 4)
        assert "1 ended before epoch 4" in curves.notes[0]


def test_no_such_log_names_those_there_are(sweep):
    storage = sweep.path.parent
    assert "no such log; expected the name or folder of a sweep" in problem(["dmo"], storage)
    assert f"the sweeps in {storage} are demo" in problem(["dmo"], storage)
    assert "there are no sweeps" in problem(["demo"], storage / "elsewhere")


def test_too_few_complete_trials(writer):
    writer.trial(COMPLETE)
    writer.trial([0.1], status="STOPPED", reason="RUNG")
    told = problem(["demo"], writer.path.parent)
    assert "complete trials: 1 (left out: 1 stopped at a rung), expected at least 2" in told
    assert "--scheduler none" in told


def test_a_file_that_is_no_log(tmp_path):
    (tmp_path / "text.parquet").write_text("nothing of the kind")
    assert "text.parquet" in problem([str(tmp_path / "text.parquet")], tmp_path)
    pq.write_table(pa.table({"trial": [1], "loss": [1.0]}), tmp_path / "other.parquet")
    assert "no column epoch, seconds; expected" in problem([str(tmp_path / "other.parquet")], tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "told"),
    [
        ("epoch", [1, 2, 1, 3], "trial 2: epoch 3 where 2 was expected"),
        ("epoch", [1, 2, 1, 1], "trial 2: epoch 1 where 2 was expected"),
        ("seconds", [1.0, 0.5, 1.0, 2.0], "trial 1, epoch 2: seconds 0.5; expected"),
        ("seconds", [1.0, 2.0, -1.0, 2.0], "trial 2, epoch 1: seconds -1; expected"),
        ("seconds", [1.0, 2.0, 1.0, None], "trial 2, epoch 2: seconds nan; expected"),
    ],
)
def test_epochs_and_seconds_are_checked(tmp_path, column, values, told):
    columns = {"trial": [1, 1, 2, 2], "epoch": [1, 2, 1, 2], "seconds": [1.0, 2.0, 1.0, 2.0], SCORE: [0.1] * 4}
    pq.write_table(pa.table(columns | {column: values}), tmp_path / "log.parquet")
    assert told in problem([str(tmp_path / "log.parquet")], tmp_path)
