"""What a sweep's end is called, and its exit status."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeps.exit_codes import ExitCode
from sweeps.records.outcomes import Status
from sweeps.result import result

BEST = 1


@pytest.mark.parametrize(
    ("statuses", "stopping", "remaining", "best", "code"),
    [
        ([], "SIGNAL", 3, None, ExitCode.INTERRUPTED),
        ([], "TIME_BUDGET", 3, None, ExitCode.INTERRUPTED),
        ([Status.FINISHED], "SIGNAL", 2, BEST, ExitCode.INTERRUPTED),
        ([Status.FINISHED], "TIME_BUDGET", 2, BEST, ExitCode.FINISHED),
        ([Status.FINISHED, Status.INTERRUPTED], "SIGNAL", 1, BEST, ExitCode.INTERRUPTED),
        ([Status.FINISHED], "SIGNAL", 0, BEST, ExitCode.FINISHED),
        ([Status.FAILED], "", 0, None, ExitCode.FAILED),
        ([Status.STOPPED], "", 0, None, ExitCode.NO_HEALTHY_TRIAL),
    ],
)
def test_the_exit_status(statuses, stopping, remaining, best, code):
    records = {
        trial: SimpleNamespace(status=status, reason="", metrics={}) for trial, status in enumerate(statuses, start=1)
    }
    config = SimpleNamespace(folder=Path("results/x"), require=[], requirements=[])
    run = SimpleNamespace(records=records, stopping=stopping, remaining=remaining, config=config)
    assert result(run, best, "").status is code
