"""The study that comes with the repository: whole, read as any other sweep, and what the program promises of a sweep
holds on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import analysis
from analysis import report
from analysis.__main__ import main
from analysis.sweep import Sweep, Trial, load
from trainables.collapse import ignores_z
from trainables.health import Verdict

FOLDER = Path(analysis.__file__).parent / "recorded"
RECORDED = sorted(path for path in FOLDER.iterdir() if path.is_dir())
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def sweeps() -> list[Sweep]:
    return [load(folder) for folder in RECORDED]


@pytest.fixture(scope="module")
def trials(sweeps: list[Sweep]) -> list[Trial]:
    return [trial for sweep in sweeps for trial in sweep.trials]


def column(sweep: Sweep, name: str) -> np.ndarray:
    return sweep.log[name].to_numpy(zero_copy_only=False)


def test_the_held_out_environment_of_an_older_record_has_its_name_of_today(sweeps: list[Sweep]) -> None:
    for sweep in sweeps:
        names = {*sweep.log.column_names, *(name for trial in sweep.trials for name in trial.metrics)}
        assert not any(name.startswith("test/") for name in names)
        assert ("environment/accuracy" in names) is (sweep.model == "vae_dg")


def collapsed(trial: Trial) -> bool:
    return trial.metric("health/au") == 0 and ignores_z(trial.metric("health/z_gain"))


def test_four_models_by_three_seeds():
    models = ("conv_vae", "imc_vae", "vae3d", "vae_dg")
    assert [folder.name for folder in RECORDED] == [f"{model}-{seed}" for model in models for seed in range(3)]


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_the_best_trials_have_settled(folder: Path):
    """Over the last fifth of the budget the five best gain little, the best is the best already, the order stays."""
    sweep = load(folder)
    reached = {}
    for trial, curve in sweep.curve("val/elbo_gain").items():
        early = curve[curve[:, 0] <= 0.8 * sweep.epochs, 1]
        reached[trial] = (np.nanmax(early), np.nanmax(curve[:, 1]))
    healthy = np.array([reached[trial.number] for trial in sweep.trials if trial.healthy])
    best = healthy[np.argsort(-healthy[:, 1])[:5]]
    gains = best[:, 1] - best[:, 0]
    assert gains.max() <= 0.03
    assert healthy[:, 0].argmax() == healthy[:, 1].argmax()
    assert scipy.stats.spearmanr(*healthy.T).statistic >= 0.95


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_every_trial_was_trained_to_its_end(folder: Path):
    sweep = load(folder)
    assert {trial.epochs for trial in sweep.trials} == {sweep.epochs}
    assert "<html" in report.render(sweep)


def test_more_than_a_quarter_of_the_trials_is_sick(trials: list[Trial]):
    sick = [trial for trial in trials if not trial.healthy]
    assert 0.25 * len(trials) <= len(sick) <= 2 * len(trials) / 3
    assert sum(map(collapsed, trials)) >= 10


def test_no_trial_without_active_units_or_use_for_z_scores_above_0(trials: list[Trial]):
    for trial in trials:
        if trial.metric("health/au") == 0 or trial.metric("health/z_gain") <= 0:
            assert trial.metric("val/elbo_gain") <= TOLERANCE, (trial.number, trial.metric("health/z_gain"))


def test_nearly_all_that_end_collapsed_are_condemned_and_hardly_any_that_end_healthy(trials: list[Trial]):
    ended_collapsed = [trial for trial in trials if collapsed(trial)]
    caught = [trial for trial in ended_collapsed if trial.verdict is Verdict.COLLAPSED]
    assert len(caught) >= 0.95 * len(ended_collapsed)
    wrong = [trial for trial in trials if trial.condemned_at is not None and trial.healthy]
    assert len(wrong) <= 0.02 * len(trials)


def test_what_scores_above_0_uses_z(trials: list[Trial]):
    above = [trial for trial in trials if trial.metric("val/elbo_gain") > 0]
    assert len(above) > 20
    assert all(trial.metric("health/z_gain") > 0.01 for trial in above)


def test_information_is_bounded_in_every_epoch(sweeps: list[Sweep]):
    for sweep in sweeps:
        kl, information = column(sweep, "health/kl_raw"), column(sweep, "health/mi")
        assert (information >= 0).all()
        assert (information <= kl + TOLERANCE).all()
        assert (column(sweep, "health/marginal_kl") >= -TOLERANCE).all()


def test_the_reconstruction_is_no_worse_than_the_samples_averaged(sweeps: list[Sweep]):
    for sweep in sweeps:
        assert (column(sweep, "health/recon_mean") <= column(sweep, "val/mse") + TOLERANCE).all()


def test_the_replay_runs_out_of_the_box(capsys: pytest.CaptureFixture[str]):
    main(["replay", *map(str, RECORDED[:1]), "--orders", "20"])
    assert "health-asha" in capsys.readouterr().out


def test_the_card_tells_how_to_load_them(monkeypatch: pytest.MonkeyPatch):
    card = (FOLDER / "README.md").read_text()
    monkeypatch.chdir(FOLDER.parents[1])
    told: dict[str, dict[str, object]] = {}
    exec(card.partition("```python\n")[2].partition("```")[0], told)
    assert sorted(told["curves"]) == [folder.name for folder in RECORDED]
    assert all({"val/elbo_gain", "health/au", "verdict"} <= set(curve.columns) for curve in told["curves"].values())
