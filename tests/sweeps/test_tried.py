"""Configurations of the user's own: how they are written, and every way in which they cannot be run."""

from __future__ import annotations

from pathlib import Path

import pytest

import search_spaces
from sweeps import plan
from sweeps.completion import complete, resumed
from sweeps.config import ConfigError, SweepConfig
from sweeps.forecasting import NoForecast
from sweeps.options import SweepOptions
from sweeps.records import record
from sweeps.searchers import make
from tests.sweeps.test_run_state import start
from tests.sweeps.test_run_state import sweep as run_of


def configured(storage: Path, *tried: str, **options) -> SweepConfig:
    return complete(SweepOptions(model="imc_vae", storage=str(storage), tried=tried, **options))


def refusals(storage: Path, *tried: str, **options) -> list[str]:
    with pytest.raises(ConfigError) as error:
        configured(storage, *tried, **options)
    return error.value.problems


def test_what_is_not_named_is_as_documented(tmp_path: Path) -> None:
    config = configured(tmp_path, "latent_dim=64,kld_loss_scale=0.02", "weight_decay=0.3")
    documented = config.search_space().documented()
    assert config.tried == [
        documented | {"latent_dim": 64, "kld_loss_scale": 0.02},
        documented | {"weight_decay": 0.3},
    ]


def test_a_file_has_a_table_for_each(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(
        '[wide]\nlatent_dim = 64\nkld_loss_scale = 0.02\n["as in the thesis"]\ngrad_clip_norm = "none"\nlayers = 1\n'
    )
    config = configured(tmp_path, str(tmp_path / "good.toml"), "weight_decay=0.3")
    documented = config.search_space().documented()
    assert config.tried == [
        documented | {"latent_dim": 64, "kld_loss_scale": 0.02},
        documented | {"grad_clip_norm": None, "layers": 1},
        documented | {"weight_decay": 0.3},
    ]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('latent_dim = 64\n[wrong]\nlatent_dim = 0\nlayers = "many"\n')
    file, none = tmp_path / "bad.toml", tmp_path / "none.toml"
    problems = refusals(
        tmp_path, "latent_dimension=3,kl_warmup=7", "latent_dim", "layers=2,layers=1", "latent_dim=64", str(file),
        str(none), set=("latent_dim=32",), trials=1,
    )  # fmt: skip
    told = "\n".join(problems)
    assert "--try latent_dimension=3,kl_warmup=7: imc_vae has no hyperparameter 'latent_dimension'" in told
    assert "--try latent_dimension=3,kl_warmup=7: kl_warmup=7: expected 0 to" in told
    assert "--try latent_dim: expected name=value,… or a file that ends in .toml" in told
    assert "--try layers=2,layers=1: layers is named 2 times" in told
    assert "--try latent_dim=64: latent_dim=64: --set fixes it in every trial" in told
    assert f"--try {file}: latent_dim: expected a table for every configuration" in told
    assert f"--try {file} [wrong]: layers=many: expected" in told
    assert f"--try {none}: cannot be read" in told
    assert "--trials 1: expected at least" in told


def test_a_twin_is_refused(tmp_path: Path) -> None:
    space = search_spaces.load("imc_vae").on_embedded()
    same = f"latent_dim={space['latent_dim'].default}"
    assert refusals(tmp_path, same) == [
        f"--try {same}: it is the documented configuration, which runs anyway; leave it out"
    ]
    assert refusals(tmp_path, "weight_decay=0.3", "weight_decay=0.30") == [
        "--try weight_decay=0.30: it is that of --try weight_decay=0.3, which runs anyway; leave it out"
    ]


def test_what_is_prepared_once_cannot_be_tried(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--try image_size=64: image_size=64: data is prepared once"):
        complete(SweepOptions(model="conv_vae", storage=str(tmp_path), tried=("image_size=64",)))


def test_they_are_the_first_trials_of_the_plan_and_the_sweep_and_after_a_resume(tmp_path: Path) -> None:
    config = configured(tmp_path, "weight_decay=0.3", "latent_dim=64", trials=8, name="run", epochs=9)
    planned = plan.first_trials(config, config.search_space(), NoForecast())
    origins = ["tried", "tried", "documented", "baseline", "search", "search", "search", "search"]
    assert [row["origin"] for row in planned] == origins
    assert [row["config"] for row in planned[:2]] == config.tried
    run = run_of(tmp_path, trials=8, tried=("weight_decay=0.3", "latent_dim=64"))
    assert [start(run) for _ in range(3)] == [1, 2, 3]
    again = run_of(tmp_path, trials=8, tried=("weight_decay=0.3", "latent_dim=64"))
    assert [start(again) for _ in range(8)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [each.origin for each in again.records.values()] == origins
    assert [each.config for each in again.records.values()][:2] == config.tried


def test_the_record_keeps_them(tmp_path: Path) -> None:
    config = configured(tmp_path, "grad_clip_norm=none,layers=1")
    written = record.SweepRecord(config.name, "5eeb", config.model, config)
    assert record.of({**written.to_dict()}).config == config
    assert record.of({**written.to_dict()}).unread == ()
    with pytest.raises(ConfigError, match="--try: cannot change on a resume"):
        resumed(config, SweepOptions(tried=("weight_decay=0.3",)))


@pytest.mark.parametrize("name", ["grid", "random", "tpe"])
def test_the_search_begins_after_them(name: str, tmp_path: Path) -> None:
    space = search_spaces.load("imc_vae").on_embedded()
    alone = make(name, space, 0, ["val/elbo_gain"], ["max"])
    behind = make(name, space, 0, ["val/elbo_gain"], ["max"], first=5)
    assert behind.ahead == alone.ahead + 2
    if name == "grid":
        assert behind.suggest(5) == alone.suggest(3)
