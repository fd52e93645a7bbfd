import http.server
import io
import logging
import math
import threading
import urllib.request

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from sweeps.records.folder import SweepFolder
from sweeps.records.journal import Ended, Started, Suggested, SweepEvent
from sweeps.tracking import state
from sweeps.tracking.mirror import Mirror
from sweeps.tracking.projection import NOTE
from trainables import epoch_log

METRICS = ("health/au", "train/term_0", "val/elbo_gain")


@pytest.fixture
def client(server):
    return MlflowClient(server.uri)


@pytest.fixture
def runs(client):
    """All runs of a sweep by trial number, the parent as 0; fails if one is there twice."""

    def find(sweep_id: str) -> dict:
        experiment = client.get_experiment_by_name("imc_vae")
        found = client.search_runs([experiment.experiment_id], f"tags.`sweep.id` = '{sweep_id}'")
        by_trial = {int(run.data.tags.get("sweep.trial", 0)): run for run in found}
        assert len(by_trial) == len(found)
        return by_trial

    return find


@pytest.fixture
def history(client):
    """The values of a metric, each of its steps exactly once and in order."""

    def read(run, metric: str) -> list[float]:
        points = sorted(client.get_metric_history(run.info.run_id, metric), key=lambda point: point.step)
        assert [point.step for point in points] == list(range(1, len(points) + 1))
        return [point.value for point in points]

    return read


def everything(client, runs_by_trial) -> dict:
    """All that MLflow has of a sweep, to compare."""
    return {
        trial: (
            run.info,
            run.data.tags,
            run.data.params,
            {name: client.get_metric_history(run.info.run_id, name) for name in METRICS},
        )
        for trial, run in runs_by_trial.items()
    }


def test_a_sweep_becomes_a_parent_with_one_child_a_trial(make_sweep, server, client, runs, history):
    sweep = make_sweep(sweep_id="whole")
    forecast = {"sigma2": 0.5, "au": 4, "kl": 2.0, "collapsed": False}
    sweep.start(1, origin="documented", forecast=forecast)
    sweep.start(2, origin="baseline", control=True)
    sweep.start(3)
    sweep.journal.append(Suggested(4, {}, "search"))
    sweep.train(1, 6)
    sweep.train(2, 2, verdict="COLLAPSED", verdict_detail="KL 0.001 nat")
    sweep.train(3, 1)
    sweep.end(1, "FINISHED")
    sweep.end(2, "STOPPED", "COLLAPSED", "KL 0.001 nat on 2 evaluations")
    sweep.end(3, "FAILED", "ERROR", "ValueError: boom")
    mirror = Mirror(sweep.path, server.uri)

    running = mirror.sync()
    parent = runs("whole")[0]
    assert (running.runs, running.epochs, running.complete) == (4, 9, False)
    assert parent.info.status == "RUNNING"
    assert parent.info.run_name == "demo"
    assert parent.data.tags["data.fingerprint"] == "f00d"
    assert parent.data.tags["command"] == "sweeps/run.py imc_vae"
    assert parent.data.tags["mlflow.source.name"] == "run.py"
    assert client.get_experiment_by_name("imc_vae").tags["mlflow.experimentKind"] == "custom_model_development"
    assert parent.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert parent.data.params["seed"] == "7"
    assert parent.data.params["space.learning_rate"] == "log [5e-05, 0.001], documented 0.0005, before 0.001"
    assert parent.data.metrics["sweep/epochs_saved"] == 4
    assert parent.data.metrics["sweep/best_score"] == pytest.approx(0.16)

    sweep.finish()
    assert mirror.sync().complete
    found = runs("whole")
    assert {trial: run.info.status for trial, run in found.items()} == {
        0: "FINISHED",
        1: "FINISHED",
        2: "KILLED",
        3: "FAILED",
    }
    assert all(found[trial].data.tags["mlflow.parentRunId"] == parent.info.run_id for trial in (1, 2, 3))
    assert [found[trial].info.run_name for trial in (1, 2, 3)] == [
        "trial 1 documented",
        "trial 2 baseline COLLAPSED",
        "trial 3 ERROR",
    ]
    assert found[1].data.params["normalize"] == "channel_wise"
    assert found[1].data.metrics["forecast/sigma2"] == 0.5
    assert found[1].data.tags["origin"] == "documented"
    assert found[2].data.tags["control"] == "true"
    assert found[2].data.tags["verdict"] == "COLLAPSED"
    assert found[2].data.tags["stop.reason"] == "COLLAPSED"
    assert found[2].data.tags["stop.detail"] == "KL 0.001 nat on 2 evaluations"
    assert found[2].data.tags["stop.epoch"] == "2"
    assert found[3].data.tags["error"] == "ValueError: boom"
    assert history(found[1], "val/elbo_gain") == [row["val/elbo_gain"] for row in sweep.rows[1]]
    timestamps = [point.timestamp for point in client.get_metric_history(found[1].info.run_id, "health/au")]
    assert sorted(timestamps)[1] - sorted(timestamps)[0] == 1500
    assert found[1].info.end_time > found[1].info.start_time


def test_sending_again_adds_nothing_even_without_the_state_file(make_sweep, server, client, runs):
    sweep = make_sweep(sweep_id="again")
    for trial in (1, 2):
        sweep.start(trial)
        sweep.train(trial, 3)
    sweep.end(1, "FINISHED")
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()
    before = everything(client, runs("again"))

    mirror.sync()
    Mirror(sweep.path, server.uri).sync()
    SweepFolder(sweep.path).mirror.unlink()
    Mirror(sweep.path, server.uri).sync()

    assert everything(client, runs("again")) == before


def test_what_somebody_wrote_into_the_description_stays(make_sweep, server, client, runs):
    sweep = make_sweep(sweep_id="noted")
    for trial in (1, 2):
        sweep.start(trial)
        sweep.train(trial, 2)
        sweep.end(trial, "INTERRUPTED", "SIGNAL", "cut off")
    Mirror(sweep.path, server.uri).sync()
    written = runs("noted")[1].data.tags[NOTE]
    client.set_tag(runs("noted")[1].info.run_id, NOTE, f"{written}\n\nLook at the latents!")

    for trial in (1, 2):
        sweep.end(trial, "FINISHED")
    Mirror(sweep.path, server.uri).sync()

    notes = {trial: run.data.tags[NOTE] for trial, run in runs("noted").items() if trial}
    assert notes[1] == f"{written}\n\nLook at the latents!"
    assert notes[2].startswith("Trained for its whole budget")
    assert runs("noted")[2].info.run_name == "trial 2"


def test_a_killed_server_loses_nothing_and_gets_nothing_twice(make_sweep, server, runs, history):
    sweep = make_sweep(sweep_id="killed")
    sweep.start(1)
    sweep.train(1, 2)
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()

    server.kill()
    try:
        sweep.train(1, 2)
        sweep.start(2)
        sweep.train(2, 1)
        with pytest.raises(MlflowException, match="Max retries exceeded"):
            mirror.sync()
        unreachable = state.read(sweep.path)
        assert not unreachable.reachable
        assert unreachable.failing_since
        assert unreachable.epochs == 2
    finally:
        server.start()
    sweep.train(1, 2)
    sweep.end(1, "FINISHED")
    sweep.finish()

    assert mirror.sync().complete
    found = runs("killed")
    assert found.keys() == {0, 1, 2}
    assert history(found[1], "val/elbo_gain") == [row["val/elbo_gain"] for row in sweep.rows[1]]
    assert history(found[2], "val/elbo_gain") == [row["val/elbo_gain"] for row in sweep.rows[2]]
    recovered = state.read(sweep.path)
    assert (recovered.error, recovered.failing_since, recovered.complete) == ("", None, True)


class Forgetful(http.server.BaseHTTPRequestHandler):
    """Passes requests on to `server.target`, but keeps the first answer to the creation of a trial's run."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = urllib.request.Request(self.server.target + self.path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            answer = response.read()
        if self.path.endswith("runs/create") and b"sweep.trial" in body and not self.server.kept:
            self.server.kept.append(answer)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self):
        self.send_response(307)
        self.send_header("Location", self.server.target + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def forgetful_proxy(server):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as proxy:
        proxy.target, proxy.kept = server.uri, []
        thread = threading.Thread(target=proxy.serve_forever)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


def test_an_answer_lost_on_the_way_makes_no_second_run(make_sweep, forgetful_proxy, runs, history):
    sweep = make_sweep(sweep_id="lost_answer")
    sweep.start(1)
    sweep.train(1, 6)
    mirror = Mirror(sweep.path, f"http://127.0.0.1:{forgetful_proxy.server_port}")

    with pytest.raises(MlflowException, match="API request"):
        mirror.sync()
    assert len(forgetful_proxy.kept) == 1
    mirror.sync()

    assert len(history(runs("lost_answer")[1], "health/au")) == 6


def test_a_request_carried_out_after_it_was_given_up_on_makes_no_second_run(
    make_sweep, server, client, runs, history, monkeypatch
):
    sweep = make_sweep(sweep_id="frozen")
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()
    sweep.start(1)
    sweep.train(1, 6)
    with monkeypatch.context() as patience:
        patience.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
        server.freeze()
        try:
            with pytest.raises(MlflowException, match="timeout"):
                mirror.sync()
        finally:
            server.thaw()
    mirror.sync()
    tags = {"sweep.id": "frozen", "sweep.trial": "1"}
    client.create_run(runs("frozen")[0].info.experiment_id, tags=tags, run_name="trial 1")

    sweep.end(1, "FINISHED")
    sweep.finish()
    assert mirror.sync().complete

    assert len(history(runs("frozen")[1], "health/au")) == 6


def test_a_resumed_trial_goes_on_in_its_run(make_sweep, server, runs, history):
    sweep = make_sweep(sweep_id="resumed")
    sweep.start(1)
    sweep.train(1, 3)
    sweep.end(1, "INTERRUPTED", "TIME_BUDGET", "after 10 minutes")
    sweep.finish("interrupted", detail="the time budget of 10 minutes is spent")
    mirror = Mirror(sweep.path, server.uri)
    assert mirror.sync().complete
    interrupted = runs("resumed")
    assert interrupted[0].info.status == "KILLED"
    assert interrupted[0].data.tags["sweep.detail"] == "the time budget of 10 minutes is spent"
    assert interrupted[1].info.status == "KILLED"
    assert interrupted[1].data.tags["resumable"] == "true"
    assert interrupted[1].data.tags["stop.reason"] == "TIME_BUDGET"

    sweep.journal.append(SweepEvent("resumed"))
    sweep.journal.append(Started(1))
    sweep.train(1, 1)
    mirror.sync()
    resumed = runs("resumed")
    assert (resumed[0].info.status, resumed[1].info.status) == ("RUNNING", "RUNNING")
    assert not {"resumable", "stop.reason", "stop.detail", "stop.epoch"} & resumed[1].data.tags.keys()

    sweep.train(1, 2)
    sweep.end(1, "FINISHED")
    sweep.finish()
    mirror.sync()
    finished = runs("resumed")
    assert {trial: run.info.run_id for trial, run in finished.items()} == {
        trial: run.info.run_id for trial, run in interrupted.items()
    }
    assert (finished[0].info.status, finished[1].info.status) == ("FINISHED", "FINISHED")
    assert len(history(finished[1], "health/au")) == 6


def test_epochs_that_a_resume_trains_again_are_not_sent_twice(make_sweep, server, runs, history):
    sweep = make_sweep(sweep_id="rewound")
    sweep.start(1)
    sweep.train(1, 3)
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()
    del sweep.rows[1][1:]
    sweep.train(1, 1)
    mirror.sync()
    sweep.train(1, 1, **{"health/au": 6.0})
    sweep.train(1, 2)

    Mirror(sweep.path, server.uri).sync()

    assert history(runs("rewound")[1], "health/au") == [5.0] * 5


def test_nan_is_never_stored_as_zero(make_sweep, server, client, runs):
    sweep = make_sweep(sweep_id="nan")
    sweep.start(1)
    sweep.train(1, 1)
    sweep.train(1, 1, **{"val/elbo_gain": math.nan, "verdict": "NUMERIC"})
    sweep.journal.append(Ended(1, "STOPPED", "NUMERIC", "val/elbo_gain is nan", 2))

    Mirror(sweep.path, server.uri).sync()

    run = runs("nan")[1]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "val/elbo_gain")] == [1]
    assert run.data.tags["nonfinite"] == "val/elbo_gain at epoch 2"
    assert run.data.tags["stop.reason"] == "NUMERIC"


def test_more_metrics_than_one_call_takes(make_sweep, server, runs, history):
    sweep = make_sweep(sweep_id="many", metrics=402)
    sweep.start(1, config={f"parameter_{index}": index for index in range(120)})
    sweep.train(1, 5)

    Mirror(sweep.path, server.uri).sync()

    run = runs("many")[1]
    assert len(run.data.metrics) == 402
    assert len(run.data.params) == 120
    assert history(run, "train/term_399") == [row["train/term_399"] for row in sweep.rows[1]]


def test_pictures_are_drawn_before_they_are_uploaded(make_sweep, server, client, runs):
    sweep = make_sweep(sweep_id="drawn")
    sweep.start(1)
    sweep.train(1, 6)
    sweep.artifact(1, "pictures-epoch-00002.npz", "cut short")
    folder = SweepFolder(sweep.path).artifacts(1)
    np.savez(folder / "pictures.npz", codes=np.array([3, 0, 1]))
    Mirror(sweep.path, server.uri).sync()
    assert not list(folder.glob("*.png"))
    sweep.end(1, "FINISHED")
    mirror, told = Mirror(sweep.path, server.uri), io.StringIO()
    handler = logging.StreamHandler(told)
    logging.getLogger("sweeps.tracking").addHandler(handler)
    summaries = [mirror.sync(), mirror.sync()]
    logging.getLogger("sweeps.tracking").removeHandler(handler)
    assert [file.path for file in client.list_artifacts(runs("drawn")[1].info.run_id)] == ["code_usage.png"]
    assert told.getvalue().count("pictures-epoch-00002.npz cannot be drawn") == 1
    assert [summary.problems for summary in summaries] == [(), ()]


def test_artifacts_are_uploaded_once_when_a_trial_has_ended(make_sweep, server, client, runs):
    sweep = make_sweep(sweep_id="artifacts")
    sweep.start(1)
    sweep.train(1, 6)
    sweep.artifact(1, "latents.json", "{}")
    sweep.artifact(1, ".latents.json.17.partial", "{")
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()
    run_id = runs("artifacts")[1].info.run_id
    assert client.list_artifacts(run_id) == []

    sweep.end(1, "FINISHED")
    (sweep.path / "report.html").write_text("<html></html>")
    mirror.sync()
    assert [file.path for file in client.list_artifacts(run_id)] == ["latents.json"]
    parent_id = runs("artifacts")[0].info.run_id
    names = {"sweep.json", "plan.json", "report.html", "requirements.txt"}
    assert {file.path for file in client.list_artifacts(parent_id)} == names

    uploaded = next(server.folder.rglob(f"{run_id}/artifacts/latents.json"))
    first = uploaded.stat().st_mtime_ns
    Mirror(sweep.path, server.uri).sync()
    assert uploaded.stat().st_mtime_ns == first
    sweep.artifact(1, "latents.json", '{"mu_var": []}')
    sweep.journal.append(SweepEvent("finished"))  # then all that has changed meanwhile is sent
    mirror.sync()
    assert uploaded.read_text() == '{"mu_var": []}'


def test_a_pass_looks_only_at_what_may_have_changed_and_the_last_at_all(make_sweep, server, monkeypatch):
    sweep, looked = make_sweep(sweep_id="long"), []
    stamp = epoch_log.stamp
    monkeypatch.setattr(epoch_log, "stamp", lambda folder, trial: looked.append(trial) or stamp(folder, trial))
    mirror = Mirror(sweep.path, server.uri)
    for trial in range(1, 6):
        sweep.start(trial)
        sweep.train(trial, 2)
        mirror.sync()
        sweep.end(trial, "FINISHED")
        mirror.sync()
        assert set(looked) == {trial}  # of the trials before nothing
        looked.clear()
    mirror.sync()
    assert looked == []
    sweep.journal.append(SweepEvent("finished"))
    mirror.sync()
    assert set(looked) == {1, 2, 3, 4, 5}


def test_of_two_runs_of_one_trial_the_fuller_stays(make_sweep, server, client, runs):
    sweep = make_sweep(sweep_id="ghost")
    sweep.start(1)
    sweep.train(1, 2)
    Mirror(sweep.path, server.uri).sync()
    real = runs("ghost")[1]
    client.create_run(real.info.experiment_id, tags={"sweep.id": "ghost", "sweep.trial": "1"}, run_name="trial 1")

    Mirror(sweep.path, server.uri).sync()

    assert runs("ghost")[1].info.run_id == real.info.run_id


def test_a_run_deleted_on_the_server_is_made_anew(make_sweep, server, client, runs, history):
    sweep = make_sweep(sweep_id="deleted")
    sweep.start(1)
    sweep.train(1, 2)
    mirror = Mirror(sweep.path, server.uri)
    mirror.sync()
    client.delete_run(runs("deleted")[1].info.run_id)
    sweep.train(1, 1)

    assert [problem.partition(":")[0] for problem in mirror.sync().problems] == ["trial 1"]
    assert mirror.sync().problems == ()

    assert len(history(runs("deleted")[1], "health/au")) == 3


def test_one_unreadable_trial_does_not_hold_up_the_others(make_sweep, server, runs):
    sweep = make_sweep(sweep_id="broken")
    for trial in (1, 2):
        sweep.start(trial)
        sweep.train(trial, 2)
    sweep.finish()
    (sweep.path / "epochs" / "trial-00001.parquet").write_bytes(b"not parquet")

    summary = Mirror(sweep.path, server.uri).sync()

    assert not summary.complete
    assert len(summary.problems) == 1
    assert summary.problems[0].startswith("trial 1: LogError")
    assert runs("broken").keys() == {0, 2}
    assert runs("broken")[0].info.status == "FINISHED"
    assert state.read(sweep.path).error.startswith("trial 1:")


def test_a_deleted_experiment_is_named_with_the_way_back(make_sweep, server, client):
    sweep = make_sweep(sweep_id="gone", model="gone")
    client.delete_experiment(client.create_experiment("gone"))

    with pytest.raises(MlflowException, match=r"'gone' was deleted; bring it back with `mlflow experiments restore"):
        Mirror(sweep.path, server.uri).sync()

    assert state.read(sweep.path).reachable


def test_what_ran_when_the_driver_died_is_killed_and_resumable(make_sweep, server, runs):
    sweep = make_sweep(sweep_id="orphan")
    sweep.start(1)
    sweep.train(1, 2)

    Mirror(sweep.path, server.uri).sync(driver_lost=True)
    lost = runs("orphan")
    assert (lost[0].info.status, lost[1].info.status) == ("KILLED", "KILLED")
    assert lost[1].data.tags["stop.reason"] == "DRIVER_LOST"
    Mirror(sweep.path, server.uri).sync()
    assert runs("orphan")[1].info.status == "KILLED"

    sweep.journal.append(SweepEvent("resumed"))
    Mirror(sweep.path, server.uri).sync()
    assert runs("orphan")[1].info.status == "RUNNING"


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow on SQLAlchemy 2.1
def test_without_a_server_everything_is_in_the_storage_folder(sweep):
    sweep.start(1)
    sweep.train(1, 6)
    sweep.artifact(1, "latents.json", "{}")
    sweep.end(1, "FINISHED")
    sweep.finish()
    storage = sweep.path.parent
    uri = f"sqlite:///{storage}/mlflow.db"

    assert Mirror(sweep.path, uri).sync().complete

    run_id = state.read(sweep.path).runs["1"]["run_id"]
    assert MlflowClient(uri).get_run(run_id).info.status == "FINISHED"
    assert (storage / "mlartifacts" / "imc_vae" / run_id / "artifacts" / "latents.json").exists()
