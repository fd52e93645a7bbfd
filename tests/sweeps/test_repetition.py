"""A recorded trial run again, alone."""

from __future__ import annotations

import json

import pytest

from sweeps.records import journal
from sweeps.records.folder import RECORD
from sweeps.records.outcomes import Reason, Status
from sweeps.repetition import Repetition
from tests.sweeps.conftest import DONE
from trainables import epoch_log


def test_a_trial_is_reproduced_to_the_last_digit(sweeps):
    arguments = ("--name", "first", "--trials", "3", "--epochs", "3", "--subset", "100", "--seed", "4")
    code, output = sweeps.run(*arguments, *sweeps.untracked)
    assert code in DONE, output
    code, output = sweeps.run("--trial", "first:3", tiny=False)
    assert code in DONE, output
    recorded, again = (
        epoch_log.read_trial(sweeps.folder(*one[:1]), one[1]) for one in (("first", 3), ("first-trial-3", 1))
    )
    assert f"All {len(recorded)} recorded epochs of trial 3 of first are reproduced to the last digit." in output
    assert [row["val/elbo_gain"] for row in again][: len(recorded)] == [row["val/elbo_gain"] for row in recorded]
    assert len(again) == len(recorded)
    assert journal.read(sweeps.folder("first-trial-3")).trials[1].origin == "trial 3 of first"

    metrics = [{name: value for name, value in row.items() if not name.startswith("config/")} for row in recorded]
    altered = [row | {"val/elbo_gain": 7.0} for row in metrics]
    epoch_log.write(sweeps.folder("first"), 3, {}, altered)
    assert "first in val/elbo_gain" in _compare(sweeps)

    path = sweeps.folder("first") / RECORD
    changed = json.loads(path.read_text())
    changed["data"]["fingerprint"] = "other"
    path.write_text(json.dumps(changed))
    code, output = sweeps.run("--trial", "first:3", "--name", "third", tiny=False)
    assert code == 2
    assert "has changed since first was recorded" in output


def test_of_a_stopped_trial_the_epochs_it_had_are_trained(sweeps):
    """Its budget is that of the sweep, for schedules are shares of it."""
    arguments = ("--name", "cut", "--trials", "3", "--epochs", "6", "--subset", "100", "--scheduler", "asha")
    code, output = sweeps.run(*arguments, *sweeps.untracked)
    assert code in DONE, output
    trials = sweeps.state("cut").trials.values()
    stopped = next(trial for trial in trials if trial.status is Status.STOPPED)
    _, output = sweeps.run("--trial", f"cut:{stopped.trial}", tiny=False)
    assert f"All {stopped.epoch} recorded epochs of trial {stopped.trial} of cut are reproduced" in output
    again = sweeps.state(f"cut-trial-{stopped.trial}").trials[1]
    assert (again.epoch, again.reason) == (stopped.epoch, Reason.BY_HAND)
    assert again.detail == f"asked for no more than {stopped.epoch} epochs"
    assert stopped.epoch < 6


def _compare(sweeps) -> str:
    return Repetition.parse("first:3", str(sweeps.storage)).comparison(sweeps.folder("first-trial-3"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--trial", "none:3"], "no sweep none in"),
        (["--trial", "none"], "expected NAME:k, as in none:3"),
    ],
)
def test_what_cannot_be_repeated_is_refused(sweeps, arguments, problem):
    code, output = sweeps.run(*arguments, tiny=False)
    assert code == 2
    assert problem in output
