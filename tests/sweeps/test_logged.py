"""What may be required: what the model logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.completion import complete
from sweeps.config import ConfigError
from sweeps.options import SweepOptions
from sweeps.preparation import prepare
from tests.sweeps.conftest import ROOT


def prepared(storage: Path, *required: str, **options: float) -> None:
    prepare(complete(SweepOptions(model="imc_vae", storage=str(storage), subset=64, require=required, **options)))


def test_a_model_that_does_not_log_it_is_refused_with_what_it_logs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        prepared(tmp_path, "health/codebook_usage>=0.1", "val/ssim>=0.5", "memory/device_peak_mib<=9", "health/au>=1")
    codebook, ssim, device = error.value.problems
    assert codebook.startswith("--require health/codebook_usage>=0.1: imc_vae does not log health/codebook_usage; it")
    assert "health/au, " in codebook
    assert "val/elbo_gain, " in ssim
    assert device == "--require memory/device_peak_mib<=9: logged on a GPU alone: --gpus-per-trial"


def test_what_every_trial_logs_may_be_required(tmp_path: Path) -> None:
    required = ("val/elbo_gain>=0", "memory/rss_mib<=9e4", "time/epoch_seconds<=60", "memory/device_peak_mib<=9")
    prepared(tmp_path, *required, gpus_per_trial=0.5)


def test_how_trials_are_ranked_and_stopped_is_said_where_it_is_not_plain(tmp_path: Path) -> None:
    def said(**options: str) -> tuple[str, ...]:
        required = ("health/au>=1",) if options else ()
        config = complete(
            SweepOptions(model="imc_vae", storage=str(tmp_path), subset=64, require=required, **options)
        )
        return prepare(config).said[1:]

    assert said() == ()
    assert said(metric="val/elbo_gain,val/cosine_similarity") == (
        "Ranked are trials with health/au>=1 at the epoch whose weights are kept.",
        "val/elbo_gain alone decides who is stopped; the front of all metrics is of those that finish.",
    )
    assert len(said(metric="val/elbo_gain,val/cosine_similarity", scheduler="none")) == 1


def test_nobody_knows_what_a_loop_of_ones_own_will_log(tmp_path: Path) -> None:
    model = (ROOT / "examples" / "my_vae.py").read_text()
    (tmp_path / "looped.py").write_text(f"{model}\n\ndef train(config, monitor): ...\n")
    (tmp_path / "plain.py").write_text(model)

    def ready(name: str) -> None:
        asked = SweepOptions(
            model=str(tmp_path / name), storage=str(tmp_path), metric="val/elbo_gain", require=("val/other>=1",)
        )
        prepare(complete(asked))

    ready("looped.py")
    with pytest.raises(ConfigError, match="does not log val/other"):
        ready("plain.py")
