"""Stated numbers against what trials reached."""

import json

from analysis import outputs, report, targets
from search_spaces import Target

KL = Target("health/kl_raw", "the latent is used", "notes", low=50.0)
WIDE = Target("health/kl_raw", "collapse is fixed", "notes", low=100.0, when={"latent_dim": 1024})
OTHER = Target("val/nobody", "measured by none", "notes", high=1.0)


def write(writer, *stated):
    """Documented 60 nats, before 2, a wide one 120 and the best, one that is stopped."""
    writer.save(targets=list(stated))
    writer.trial([0.1], origin="documented", kl_raw=60.0, au=5.0)
    writer.trial([0.0], origin="baseline", kl_raw=2.0, au=1.0)
    writer.trial([0.5], config={"latent_dim": 1024}, kl_raw=120.0, au=5.0)
    writer.trial([0.3], status="STOPPED", reason="RUNG", kl_raw=70.0, au=5.0)
    writer.finish()


def test_targets_against_best_documented_before_and_all_that_ended(writer):
    write(writer, KL, WIDE, OTHER)
    found = targets.outcomes(writer.load())
    assert [outcome.target for outcome in found] == [KL, WIDE]
    kl, wide = found
    assert (kl.best.value, kl.best.met) == (120.0, True)
    assert (kl.documented.value, kl.documented.met) == (60.0, True)
    assert (kl.before.value, kl.before.met) == (2.0, False)
    assert (kl.met, kl.trials) == (2, 3)
    assert wide.best.met
    assert wide.documented is wide.before is None
    assert (wide.met, wide.trials) == (1, 1)


def test_every_trial_is_set_against_what_is_stated_for_it(writer):
    write(writer, KL, WIDE, OTHER)
    sweep = writer.load()
    counts = [targets.count(sweep, trial) for trial in sweep.trials]
    assert [(count.met, count.measured) for count in counts] == [(1, 1), (0, 1), (2, 2), (1, 1)]


def test_an_older_record_is_set_against_the_space_of_its_model(writer):
    writer.trial([0.1], kl_raw=60.0, au=5.0)
    assert [outcome.target.low for outcome in targets.outcomes(writer.load())] == [50.0]
    writer.save(model="a_model_of_yesterday")
    assert targets.outcomes(writer.load()) == []


def test_they_are_in_the_report_and_in_its_other_forms(writer):
    write(writer, KL, WIDE)
    sweep = writer.load()
    html = report.render(sweep)
    assert '<section id="targets">' in html
    assert "2 of 3" in html
    assert "for <code>latent_dim=1024</code>" in html
    rows = outputs.gather(sweep)["targets"]
    assert rows[0] == {
        "metric": "health/kl_raw",
        "text": "the latent is used",
        "source": "notes",
        "low": 50.0,
        "high": None,
        "when": {},
        "best": {"value": 120.0, "met": True},
        "documented": {"value": 60.0, "met": True},
        "before": {"value": 2.0, "met": False},
        "met": 2,
        "trials": 3,
    }
    json.dumps(rows, allow_nan=False)
    page = outputs.write(writer.path, "md").read_text()
    assert "| raw KL | at least 50 | the latent is used (notes) | 120" in page
