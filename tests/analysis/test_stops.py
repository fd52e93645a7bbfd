"""How often stops are wrong: in a sweep, and over the sweeps of a storage."""

import pytest

from analysis import report, stops
from sweeps.records.journal import Kept


def test_wilson_against_published_values():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    for successes, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert stops.wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)
    assert stops.wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)
    assert stops.wilson(0, 0) == (0.0, 1.0)


def condemned_controls(writer):
    """Two controls that trained to their end after they were condemned: one recovered."""
    early = {3: "COLLAPSED", 4: "COLLAPSED"}
    writer.trial([0.0] * 10, control=True, verdicts=early)
    writer.trial([0.0] * 10, control=True, verdicts=dict.fromkeys(range(3, 11), "COLLAPSED"))
    for trial in (1, 2):
        writer.journal.append(Kept(trial, 3, "COLLAPSED"))
    return early


def test_false_stops_are_the_controls_that_recovered(writer):
    early = condemned_controls(writer)
    writer.trial([0.0] * 10, control=True)
    writer.trial([0.0] * 4, status="STOPPED", reason="COLLAPSED", verdicts=early)
    writer.trial([0.0] * 4, status="RUNNING", control=True, verdicts=early)
    writer.trial([0.0] * 4, status="STOPPED", reason="RUNG")
    found = stops.controls(writer.load())
    assert found.condemned == 4
    measured = [(one.trial.number, one.stop_at, one.outdone, one.false_stop) for one in found.measured]
    assert measured == [(1, 3, False, True), (2, 3, False, False)]
    assert found.of_verdicts == stops.Rate(wrong=1, measured=2)
    assert found.of_verdicts.interval == pytest.approx(stops.wilson(1, 2))
    assert found.of_outdone == stops.Rate()


def test_a_trial_condemned_at_its_last_epoch_measures_nothing(writer):
    writer.trial([0.0] * 10, control=True, verdicts={10: "COLLAPSED"})
    found = stops.controls(writer.load())
    assert (found.condemned, found.measured, found.of_verdicts.interval) == (1, [], (0.0, 1.0))


@pytest.mark.parametrize("reason", ["GIVEN_UP", "RUNG"])  # the latter in older records
@pytest.mark.parametrize(("score", "wrong"), [(0.9, True), (0.2, False)])
def test_to_give_up_the_best_would_have_been_wrong(writer, score, wrong, reason):
    writer.trial([0.5] * 10)
    writer.trial([score] * 10, control=True)
    writer.journal.append(Kept(2, 4, reason, "needs more"))
    (control,) = stops.controls(writer.load()).measured
    assert (control.trial.number, control.stop_at, control.outdone, control.false_stop) == (2, 4, True, wrong)


def test_the_sweeps_of_a_storage_are_counted_together(make_writer, tmp_path):
    first, second = make_writer(name="one"), make_writer(name="two")
    condemned_controls(first)
    second.trial([0.5] * 10)
    second.trial([0.9] * 10, control=True)
    second.journal.append(Kept(2, 4, "RUNG", "needs more"))
    found = stops.pooled(first.path.parent, first.record.model)
    assert found == stops.Pooled(2, stops.Rate(1, 2), stops.Rate(1, 1))
    assert stops.pooled(first.path.parent, "vq_vae") == stops.Pooled(0, stops.Rate(), stops.Rate())
    text = " ".join(report.render(second.load()).split())
    assert "wrong for 1 of 2 controls that were condemned" in text
    assert "1 of 1 that were given up" in text
