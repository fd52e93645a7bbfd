"""The exported model: files, card, and what cannot be exported."""

import pytest

from analysis.__main__ import main


def test_a_trial_without_a_checkpoint_is_a_clear_error(writer, tmp_path, capsys):
    writer.trial([0.1])
    assert main(["export", "demo", "--storage", str(tmp_path), "--trial", "1"]) == 2
    assert "has not completed an epoch" in capsys.readouterr().err


@pytest.mark.parametrize(("trial", "problem"), [("9", "demo has no trial 9; it has 1 to 1"), (None, "no healthy")])
def test_trials_that_are_not_there(writer, tmp_path, capsys, trial, problem):
    writer.trial([0.1], verdicts={1: "COLLAPSED"})
    assert main(["export", "demo", "--storage", str(tmp_path), *(["--trial", trial] if trial else [])]) == 2
    assert problem in capsys.readouterr().err
