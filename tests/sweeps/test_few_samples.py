"""Few samples in many dimensions, where a constant is hard to beat: what is proclaimed best makes use of z."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import sweep, tables
from sweeps.exit_codes import ExitCode
from tests.sweeps.conftest import Sweeps

EMBEDDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "imc" / "embeddings.parquet"


@pytest.mark.slow
@pytest.mark.skipif(not EMBEDDINGS.exists(), reason=f"{EMBEDDINGS} is absent")
def test_the_best_of_a_sweep_of_embeddings_uses_z_or_there_is_none(sweeps: Sweeps) -> None:
    small = ("latent_dim=64", "hidden_dim=64", "layers=1", "batch_size=16")
    code, output = sweeps.run(
        *("imc_vae", "--data", str(EMBEDDINGS), "--trials", "12", "--epochs", "16", "--scheduler", "none"),
        *("--search", "random", "--name", "few"),
        *(word for value in small for word in ("--set", value)),
        tiny=False,
    )
    best = tables.best_trial(sweep.load(sweeps.folder("few")))
    if best is None:
        assert code == ExitCode.NO_HEALTHY_TRIAL, output
    else:
        assert (code, best.metric("health/z_gain") >= 0.01) == (ExitCode.FINISHED, True), output
    for trial in sweep.load(sweeps.folder("few")).trials:
        assert trial.metric("health/z_gain") > 0 or trial.metric("val/elbo_gain") <= 1e-9
