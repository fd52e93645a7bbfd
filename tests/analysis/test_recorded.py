"""The study that comes with the repository: whole, health-annotated, and read as any other sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

import analysis
from analysis import report
from analysis.__main__ import main
from analysis.sweep import Outcome, load

FOLDER = Path(analysis.__file__).parent / "recorded"
RECORDED = sorted(FOLDER.iterdir())


def test_three_seeds_of_two_models():
    assert [folder.name for folder in RECORDED] == [
        f"{model}-{seed}" for model in ("conv_vae", "imc_vae") for seed in (0, 1, 2)
    ]


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_every_trial_was_trained_to_its_end(folder: Path):
    sweep = load(folder)
    assert {trial.epochs for trial in sweep.trials} == {sweep.epochs}
    assert "<html" in report.render(sweep)


def test_some_trials_collapsed_and_most_did_not():
    for model in ("conv_vae", "imc_vae"):
        outcomes = [trial.outcome for seed in (0, 1, 2) for trial in load(FOLDER / f"{model}-{seed}").trials]
        assert outcomes.count(Outcome.COLLAPSED) >= 5
        assert outcomes.count(Outcome.FINISHED) > len(outcomes) / 2


def test_the_replay_runs_out_of_the_box(capsys: pytest.CaptureFixture[str]):
    main(["replay", *map(str, RECORDED[:1]), "--orders", "20"])
    assert "health-asha" in capsys.readouterr().out
