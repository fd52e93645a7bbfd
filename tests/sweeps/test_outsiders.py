"""What every command says of a search that another script ran and `sweeps.recorder` wrote down."""

from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest
from optuna.pruners import MedianPruner

from analysis.__main__ import main as analysis
from sweeps import ablate, api, run
from sweeps.health_pruner import HealthPruner
from tests.sweeps.test_health_pruner import EPOCHS, objective

RECORD = "the record of a search that another script ran (HealthPruner(MedianPruner)), which alone has its code"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with Optuna that was cut off in its last trial."""
    folder = tmp_path_factory.mktemp("results") / "own"
    pruner = HealthPruner(MedianPruner(n_startup_trials=3), folder=str(folder), epochs=EPOCHS)
    train = objective(pruner)
    study = optuna.create_study(pruner=pruner, sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(train, n_trials=10)
    with pytest.raises(KeyboardInterrupt):
        study.optimize(lambda trial: interrupted(pruner, trial), n_trials=1)
    pruner.close()
    return folder


def interrupted(pruner: HealthPruner, trial: optuna.Trial) -> float:
    import torch

    from trainables.monitor import Monitor

    mu = torch.randn(64, 4)
    pruner.tell(trial, Monitor(EPOCHS).epoch(mu, mu - 3), 1.0)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (run, ["--resume", "own"]),
        (run, ["--resume", "own", "--tracking-uri", "tensorboard:tb", "--trials", "20"]),
        (run, ["--trial", "own:2"]),
        (run, ["--trial", "own:99"]),
        (run, ["imc_vae", "--name", "own"]),
        (ablate, ["--resume", "own"]),
        (ablate, ["imc_vae", "--name", "own", "--vary", "kl_warmup=0,0.1"]),
    ],
)
def test_nothing_is_trained_in_its_folder(
    command, arguments: list[str], own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in own.rglob("*") if path.is_file()}
    monkeypatch.setattr(sys, "argv", [command.__name__, *arguments, "--storage", str(own.parent)])
    assert command.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    option = next(each for each in arguments if each in ("--resume", "--trial", "--name"))
    assert line.startswith(f"error: {option} own: own is {RECORD}")
    assert (
        f"python -m analysis report {own}, python -m analysis replay {own} and python -m sweeps.tracking {own}"
        in line
    )
    assert {path: path.read_bytes() for path in own.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("which", [[], ["--trial", "2"]], ids=["best", "trial"])
def test_it_has_no_weights_to_export(which: list[str], own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert analysis(["export", str(own), *which]) == 2
    assert f"error: own is {RECORD}" in capsys.readouterr().err


def test_from_python_it_is_read_and_never_resumable(own: Path) -> None:
    result = api.load("own", str(own.parent))
    assert result.best is not None
    assert len(result.trials) == 11
    assert not result.resumable
    with pytest.raises(ValueError, match="another script ran"):
        result.model()


def test_it_is_reported_and_replayed_in_its_own_words(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert analysis(["report", str(own), "--format", "md"]) == 0
    assert analysis(["replay", str(own), "--scheduler", "none"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "A sweep recorded so has no such gap: HealthFirst or HealthPruner with nothing behind." in said
    assert "Recorded with a script of one's own: in random order" in said
    assert "--scheduler none" not in said
    assert "--search" not in said
