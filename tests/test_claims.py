"""Every documented claim is about something that its two configurations measure."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import search_spaces
from sweeps import course
from sweeps.ablation import OUTCOMES
from tests.test_models import small


def measured(model: str, folder: Path, **changes: object) -> dict[str, float]:
    """One epoch of the documented configuration with `changes`, as small as it goes."""
    return small(model, folder, **changes).run_epoch()


@pytest.mark.parametrize("model", search_spaces.names())
def test_the_metrics_of_claims_are_measured(model: str, tmp_path: Path) -> None:
    row = measured(model, tmp_path)
    wanted = {course.base(claim.metric) for claim in search_spaces.claims(model)} - OUTCOMES.keys()
    assert [metric for metric in sorted(wanted) if not math.isfinite(row.get(metric, math.nan))] == []


@pytest.mark.parametrize("model", search_spaces.names())
def test_a_term_is_measured_without_its_weight_too(model: str, tmp_path: Path) -> None:
    """What a claim turns on and off must be comparable."""
    known = set(search_spaces.load(model).metrics)
    terms = [claim for claim in search_spaces.claims(model) if claim.metric.startswith("val/")]
    for claim in [claim for claim in terms if claim.metric not in known and claim.base == "documented"]:
        for changes in (claim.before, claim.after):
            assert math.isfinite(measured(model, tmp_path, **changes).get(claim.metric, math.nan)), claim.text
