import math
from dataclasses import replace

import pytest

from analysis import tables
from analysis.sweep import Objective, Outcome, load


def numbers(trials):
    return [trial.number for trial in trials]


# ---- ranking


def test_the_best_is_the_best_at_the_last_epoch(writer):
    writer.trial([0.9, 0.1])
    writer.trial([0.1, 0.3])
    writer.trial([0.2, 0.2])
    assert tables.best_trial(writer.load()).number == 2


def test_the_best_of_a_metric_to_minimise(make_writer):
    writer = make_writer(metric=["val/mse"], mode=["min"])
    for score in (0.5, 0.2, 0.9):
        writer.trial([score], metric="val/mse")
    assert tables.best_trial(writer.load()).number == 2


@pytest.mark.parametrize(
    "sick",
    [
        {"verdicts": {1: "COLLAPSED"}},
        {"verdicts": {1: "GRACE"}},
        {"status": "STOPPED", "reason": "RUNG"},
        {"status": "STOPPED", "reason": "GIVEN_UP"},
        {"status": "FAILED", "reason": "ERROR"},
        {"status": "INTERRUPTED", "reason": "SIGNAL"},
        {"status": "RUNNING"},
    ],
)
def test_no_other_trial_is_ever_the_best_or_outranks_a_healthy_one(writer, sick):
    writer.trial([99.0], **sick)
    assert tables.best_trial(writer.load()) is None
    writer.trial([-1.0])
    sweep = writer.load()
    assert tables.best_trial(sweep).number == 2
    ranked, other = tables.leaderboard(sweep).groups
    assert (numbers(ranked.trials), ranked.ranked) == ([2], True)
    assert (numbers(other.trials), other.ranked) == ([1], False)


def test_no_best_where_the_score_is_not_finite(writer):
    writer.trial([math.nan])
    assert tables.best_trial(writer.load()) is None


def test_leaderboard_order_and_groups(writer):
    writer.trial([0.2])
    writer.trial([math.nan])
    writer.trial([0.4])
    writer.trial([9.0], status="STOPPED", reason="COLLAPSED")
    writer.trial([0.3], status="STOPPED", reason="RUNG")
    writer.trial([0.35], status="STOPPED", reason="RUNG")
    writer.suggest()
    board = tables.leaderboard(writer.load())
    assert [(group.title, numbers(group.trials)) for group in board.groups] == [
        ("Finished and healthy", [3, 1, 2]),
        ("Stopped at a rung", [6, 5]),
        ("Stopped by the health verdict", [4]),
        ("Not ended", [7]),
    ]


def test_every_trial_is_in_exactly_one_group(realistic):
    board = tables.leaderboard(load(realistic))
    assert sorted(numbers(trial for group in board.groups for trial in group.trials)) == list(range(1, 25))


def test_columns_are_those_of_the_log_without_loss_terms(make_writer):
    writer = make_writer(metric=["val/psnr"])
    trial = writer.suggest()
    row = dict.fromkeys(["val/psnr", "val/ssim/ct", "val/kl", "train/kl", "val/mse", "health/kl_raw", "time/x"], 1.0)
    writer.log(trial, [row])
    board = tables.leaderboard(writer.load())
    assert board.metrics == ["val/psnr", "val/ssim/ct", "health/kl_raw"]


def test_hyperparameters_that_vary_in_the_order_of_the_space(writer):
    writer.trial([0.1], config={"learning_rate": 1e-3, "kld_loss_scale": 1e-3, "clip": None})
    writer.trial([0.1], config={"learning_rate": 1e-4, "kld_loss_scale": 2e-3, "clip": 1.0})
    assert tables.leaderboard(writer.load()).hyperparameters == ["kld_loss_scale", "learning_rate", "clip"]


def test_pareto_front_and_ranking_of_several_metrics(make_writer):
    writer = make_writer(metric=["val/a", "val/b"], mode=["max", "min"])
    for a, b in ((1.0, 1.0), (3.0, 3.0), (2.0, 3.0), (2.0, 0.5), (math.nan, 0.0)):
        trial = writer.suggest()
        writer.log(trial, [{"val/a": a, "val/b": b}])
        writer.end(trial, "FINISHED")
    sweep = writer.load()
    assert tables.pareto_front(sweep.objectives, sweep.trials) == {2, 4}
    assert numbers(tables.ranked(sweep.objectives, sweep.trials)) == [2, 4, 3, 1, 5]
    assert tables.best_trial(sweep).number == 2


def test_equal_trials_share_the_front(writer):
    writer.trial([0.5])
    writer.trial([0.5])
    sweep = writer.load()
    assert tables.pareto_front([Objective("val/elbo_gain", "max")], sweep.trials) == {1, 2}


# ---- stops


def test_epochs_saved_and_spent(writer):  # the budget is 10 epochs
    writer.trial([0.1] * 10)
    writer.trial([0.1] * 3, status="STOPPED", reason="COLLAPSED", detail="0 of 8 units active")
    writer.trial([0.1] * 4, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 2, status="STOPPED", reason="RUNG")
    writer.trial([0.1] * 5, status="FAILED", reason="ERROR", detail="boom")
    sweep = writer.load()
    ends = tables.stop_reasons(sweep)
    assert [(end.trial.number, end.reason, end.epoch, end.detail, end.saved) for end in ends] == [
        (2, "COLLAPSED", 3, "0 of 8 units active", 7),
        (3, "RUNG", 4, "", 6),
        (4, "RUNG", 2, "", 8),
        (5, "ERROR", 5, "boom", 0),
    ]
    assert [(row.reason, row.trials, row.saved) for row in tables.reason_counts(ends, sweep.health)] == [
        ("RUNG", 2, 14),
        ("COLLAPSED", 1, 7),
        ("ERROR", 1, 0),
    ]
    effort = tables.effort(sweep)
    assert (effort.full, effort.spent) == (50, 24)
    assert (effort.saved_by_health, effort.saved_at_rungs, effort.saved) == (7, 14, 21)


# ---- forecast


def forecast(au, collapsed):
    return {"sigma2": 9.2, "au": au, "kl": 2.0 * au, "collapsed": collapsed}


def test_forecast_against_outcome(writer):
    stopped = {"status": "STOPPED", "reason": "COLLAPSED"}
    writer.trial([0.0], **stopped, forecast=forecast(0.0, True), au=0.0)  # hit
    writer.trial([0.0], **stopped, forecast=forecast(3.0, False), au=0.0)  # miss
    writer.trial([0.0], forecast=forecast(0.0, True), au=2.0)  # false alarm
    writer.trial([0.0], forecast=forecast(8.0, False), au=6.0, kl_raw=12.0)  # clear
    writer.trial([0.0], forecast=forecast(9.0, False), au=7.0)  # clear
    writer.trial([0.0], status="STOPPED", reason="RUNG", forecast=forecast(0.0, True), au=50.0)  # not known
    writer.trial([0.0], verdicts={1: "GRACE"}, forecast=forecast(0.0, True), au=0.0)  # not known
    writer.trial([0.0])  # not forecast
    rows = tables.forecast_outcome(writer.load())
    assert [row.collapsed for row in rows] == [True, True, False, False, False, None, None]
    assert (rows[3].forecast_au, rows[3].au, rows[3].forecast_kl, rows[3].kl) == (8.0, 6.0, (16.0, 16.0), 12.0)
    confusion = tables.confusion(rows)
    assert (confusion.hits, confusion.misses, confusion.false_alarms, confusion.clear) == (1, 1, 1, 2)
    assert confusion.total == 5
    assert tables.au_correlation(rows) == pytest.approx(51 / math.sqrt(74 * 44))


def test_a_finished_collapsed_trial_is_a_collapse(writer):
    writer.trial([0.0] * 2, verdicts={1: "COLLAPSED", 2: "COLLAPSED"}, control=True, forecast=forecast(0.0, True))
    (row,) = tables.forecast_outcome(writer.load())
    assert row.trial.outcome == Outcome.CONTROL
    assert row.collapsed is True


def learnt(collapsed, probability, low=0.0, high=12.8):
    both = {"collapsed": collapsed, "collapse_probability": probability, "basis": "recorded"}
    return {"sigma2": 9.2, "lambda1": 3.0, "au": 0, "kl_low": low, "kl_high": high, **both}


def test_the_probability_overrules_theory_and_both_are_counted(writer):
    writer.trial([0.0], au=0.0, z_gain=0.0, forecast=learnt(False, 0.9))  # collapsed: training missed the optimum
    writer.trial([0.0], au=0.0, z_gain=0.0, forecast=learnt(True, 0.4))
    writer.trial([0.0], au=3.0, z_gain=0.2, forecast=learnt(True, 0.1))
    writer.trial([0.0], au=3.0, z_gain=0.2, forecast=learnt(False, 0.1, low=None, high=None))
    rows = tables.forecast_outcome(writer.load())
    assert [row.forecast_collapsed for row in rows] == [True, False, False, False]
    assert [row.reading for row in rows] == ["at risk", "may hold", "may hold", "healthy"]
    assert [row.collapsed for row in rows] == [True, True, False, False]
    assert tables.confusion(rows) == tables.Confusion(hits=1, misses=1, false_alarms=0, clear=2)
    assert tables.theory_confusion(rows) == tables.Confusion(hits=1, misses=1, false_alarms=1, clear=1)
    assert tables.probability_auc(rows) == 1.0
    assert rows[0].forecast_kl == (0.0, 12.8)
    assert rows[3].forecast_kl == (math.inf, math.inf)


def test_a_trial_without_active_units_that_uses_z_has_not_collapsed(writer):
    writer.trial([0.0], au=0.0, z_gain=0.05, forecast=learnt(True, 0.9))
    writer.trial([0.0], au=0.0, z_gain=0.005, forecast=learnt(True, 0.9))
    rows = tables.forecast_outcome(writer.load())
    assert [row.collapsed for row in rows] == [False, True]
    assert tables.probability_auc(rows) == 0.5
    assert tables.probability_auc(rows[:1]) is None


def test_correlation_is_undefined_for_few_or_constant_values(writer):
    for _ in range(3):
        writer.trial([0.0], forecast=forecast(4.0, False), au=4.0)
    assert tables.au_correlation(tables.forecast_outcome(writer.load())) is None
    assert tables.au_correlation([]) is None


def test_a_forecast_may_lack_numbers(writer):
    writer.trial([0.0], forecast={"sigma2": 1.0, "au": None, "collapsed": None}, au=1.0)
    rows = tables.forecast_outcome(writer.load())
    assert (rows[0].forecast_au, rows[0].forecast_kl) == (None, None)
    assert tables.confusion(rows).total == 0


def test_who_misses_what_is_required_is_below_the_ranked_and_never_the_best(writer):
    writer.save(config=replace(writer.record.config, require=["health/au>=4"]))
    for score, au in ((0.9, 3.0), (0.2, 4.0), (0.3, 5.0)):
        writer.trial([score], au=au)
    sweep = writer.load()
    assert tables.best_trial(sweep).number == 3
    assert [trial.outcome for trial in sweep.trials] == [Outcome.UNMET, Outcome.FINISHED, Outcome.FINISHED]
    assert sweep.trials[0].unmet == ("health/au 3, required >= 4",)
    groups = [(group.title, [trial.number for trial in group.trials]) for group in tables.leaderboard(sweep).groups]
    assert groups == [("Finished and healthy", [3, 2]), ("Finished and healthy, not as required", [1])]
