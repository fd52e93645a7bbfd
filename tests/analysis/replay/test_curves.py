"""Curves as arrays, and one epoch as a scheduler reads it."""

import math

import numpy as np
import pytest

from analysis.replay.curves import Row
from tests.analysis.replay.conftest import SCORE, curves_of
from trainables.health import Health, Verdict

TRIALS = [
    [{SCORE: 1.0, "health/au": 3.0, "seconds": 2.0}, {SCORE: None, "seconds": 5.0}],
    [{SCORE: math.nan, "verdict": "NUMERIC", "verdict_detail": "x", "seconds": 4.0}],
]


@pytest.fixture
def curves():
    return curves_of(TRIALS)


def test_where_trials_begin_and_what_their_epochs_cost(curves):
    assert len(curves) == 2
    assert curves.first.tolist() == [0, 2, 3]
    assert curves.numbers == [1, 2]
    assert curves.durations.tolist() == [2.0, 3.0, 4.0]


def test_scores_are_signed_so_that_more_is_better():
    assert curves_of(TRIALS, mode="min").scores[0] == -1.0
    assert np.isnan(curves_of(TRIALS, mode="min").scores[1:]).all()


def test_the_rows_of_a_trial_are_those_its_worker_saw(curves):
    assert curves.rows(0) == [
        {"epoch": 1, "seconds": 2.0, SCORE: 1.0, "health/au": 3.0},
        {"epoch": 2, "seconds": 5.0},
    ]


def test_a_row_tells_absent_from_not_a_number(curves):
    verdicts = [Health(Verdict.HEALTHY), Health(Verdict.GRACE, "early"), Health(Verdict.COLLAPSED, "sick")]
    first, second, third = (Row(curves.columns, verdicts, at) for at in range(3))
    assert first[SCORE] == 1.0
    assert second.get(SCORE) is None
    assert second.get(SCORE, 7) == 7
    assert second.get("health/absent", 7) == 7
    with pytest.raises(KeyError, match="elbo_gain"):
        second[SCORE]
    assert math.isnan(third[SCORE])
    assert isinstance(first["epoch"], int)
    assert (third["verdict"], third["verdict_detail"]) == (Verdict.COLLAPSED, "sick")  # not the recorded ones
    assert sorted(second) == ["epoch", "seconds", "trial", "verdict", "verdict_detail"]
    assert len(second) == 5
