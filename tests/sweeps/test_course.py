"""Metrics of a trial's course, by hand."""

from __future__ import annotations

import math

import pytest

from sweeps import course

POINTS = [(epoch, 10.0 * epoch) for epoch in range(1, 11)]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("health/kl_raw@0", 10.0),
        ("health/kl_raw@0.5", 50.0),
        ("health/kl_raw@1", 100.0),
        ("health/kl_raw@0..0.5", 40.0),
        ("health/kl_raw@1..0.5", 50.0),
    ],
)
def test_values(metric: str, expected: float):
    assert course.is_course(metric)
    assert course.base(metric) == "health/kl_raw"
    assert course.value(metric, POINTS, 10) == expected


def test_an_epoch_that_is_not_there_is_no_value():
    assert math.isnan(course.value("m@1", POINTS[:9], 10))
    assert math.isnan(course.value("m@0..1", POINTS[:9], 10))
    assert math.isnan(course.value("m@0", [], 10))


def test_other_metrics_are_none_of_a_course():
    assert not course.is_course("health/kl_raw")
