import math

from analysis import report
from analysis.sweep import load
from tests.analysis.page import Page, page


def test_nan_and_infinity_are_shown_as_such(writer):
    writer.trial([0.3], au=math.nan, kl_raw=math.inf)
    writer.trial([math.nan], status="STOPPED", reason="NUMERIC", au=2.0, kl_raw=3.0)
    words = page(writer).words("leaderboard")
    assert "1 1 finished 1 0.3000 NaN ∞" in words
    assert "2 numeric 1 NaN 2 3" in words


def test_several_metrics(make_writer):
    writer = make_writer(metric=["val/a", "val/b"], mode=["max", "max"])
    for a, b in ((1.0, 3.0), (2.0, 2.0), (1.0, 1.0)):
        trial = writer.suggest()
        writer.log(trial, [{"val/a": a, "val/b": b}])
        writer.end(trial, "FINISHED")
    html = report.render(load(writer.path))
    parsed = Page(html)
    assert "1* 2 finished 1 2 2 2* 1 finished 1 1 3 3 3 finished" in parsed.words("leaderboard")
    assert html.count("<svg") == 2


def test_no_front_without_a_healthy_trial(make_writer):
    writer = make_writer(metric=["val/a", "val/b"], mode=["max", "max"])
    trial = writer.suggest()
    writer.log(trial, [{"val/a": 1.0, "val/b": 1.0}])
    writer.end(trial, "STOPPED", "RUNG")
    assert "*" not in page(writer).words("leaderboard")


def test_the_held_out_environment_is_shown_and_never_ranked_by(writer):
    for score, held_out in ((0.1, 0.9), (0.2, 0.3)):
        trial = writer.suggest()
        writer.log(trial, [{"val/elbo_gain": score, "environment/accuracy": held_out, "environment/mse": 1.0}])
        writer.end(trial, "FINISHED")
    words = page(writer).words("leaderboard")
    assert "environmentaccuracy" in words.replace(" ", "")
    assert "environment MSE" not in words
    assert "1 2 finished 1 0.2000 0.300 2 1 finished 1 0.1000 0.900" in words
