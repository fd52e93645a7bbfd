"""What a trial must meet: how it is written, and how far a trial is from it."""

from __future__ import annotations

import math

import pytest

from trainables.requirements import Requirement, unmet


@pytest.mark.parametrize(
    ("text", "metrics", "violation", "missed"),
    [
        ("health/au>=32", {"health/au": 32.0}, 0.0, ""),
        ("health/au>=32", {"health/au": 40.0}, -0.25, ""),
        ("health/au>=32", {"health/au": 24.0}, 0.25, "health/au 24, required >= 32"),
        ("memory/rss_mib <= 20000", {"memory/rss_mib": 30000.0}, 0.5, "memory/rss_mib 3e+04, required <= 20000"),
        ("val/elbo_gain>=0", {"val/elbo_gain": -0.5}, 0.5, "val/elbo_gain -0.5, required >= 0"),
        ("val/elbo_gain<=-2", {"val/elbo_gain": -1.0}, 0.5, "val/elbo_gain -1, required <= -2"),
        ("health/au>=32", {}, 1.0, "health/au no value, required >= 32"),
        ("health/au>=32", {"health/au": None}, 1.0, "health/au no value, required >= 32"),
        ("health/au<=32", {"health/au": math.nan}, 1.0, "health/au no value, required <= 32"),
    ],
)
def test_how_far_a_trial_is_from_a_bound(text, metrics, violation, missed):
    requirement = Requirement.parse(text)
    assert requirement.violation(metrics) == pytest.approx(violation)
    assert requirement.missed(metrics) == missed
    assert unmet([requirement], metrics) == ([missed] if missed else [])
    assert Requirement.parse(str(requirement)) == requirement


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("health/au", "expected METRIC>=NUMBER or METRIC<=NUMBER in quotes"),
        ("health/au>32", "expected METRIC>=NUMBER"),
        ("health/au>=many", "many is no finite number"),
        ("health/au>=inf", "inf is no finite number"),
        ("train/loss<=3", "a training loss cannot be required"),
    ],
)
def test_what_is_none_says_what_was_expected(text, told):
    with pytest.raises(ValueError, match=told):
        Requirement.parse(text)
