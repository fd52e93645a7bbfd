"""The settings of a sweep: defaults, and every problem at once."""

from pathlib import Path

import pytest

import search_spaces
from sweeps.completion import complete, extended, resumed
from sweeps.config import ConfigError, SweepConfig
from sweeps.options import AblationOptions, ExtendOptions, ResumeOptions, SweepOptions


@pytest.fixture(autouse=True)
def _no_server(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)


def make(**options) -> SweepConfig:
    return complete(SweepOptions(model="imc_vae", **options))


def problems(**options) -> list[str]:
    with pytest.raises(ConfigError) as error:
        make(**options)
    assert str(error.value) == "\n".join(error.value.problems)
    return error.value.problems


def test_defaults(tmp_path):
    config = make()
    assert (config.search, config.scheduler, config.seed) == ("tpe", "health-asha", 0)
    assert (config.metric, config.mode) == (["val/elbo_gain"], ["max"])
    assert (config.gpus_per_trial, config.cpus_per_trial, config.max_concurrent) == (0.0, 1.0, None)
    assert (config.time_budget, config.data) == (None, None)
    assert config.storage == str(tmp_path / "results")
    assert config.folder == tmp_path / "results" / config.name
    assert config.name.startswith("imc_vae-2")
    assert config.tracking_uri == f"sqlite:///{tmp_path}/results/mlflow.db"
    assert SweepConfig(**config.to_dict()) == config


def test_embedded_data_get_a_budget_for_a_laptop(tmp_path):
    space = search_spaces.load("imc_vae")
    embedded, own = make(), make(data="digits")
    assert (embedded.trials, embedded.epochs) == (space.demo_trials, space.demo_epochs)
    assert (own.trials, own.epochs) == (space.trials, space.epochs)
    assert (make(trials=3, epochs=1).trials, make(trials=3, epochs=1).epochs) == (3, 1)


def test_data(tmp_path):
    Path("grids.npy").touch()
    assert make(data="grids.npy").data == str(tmp_path / "grids.npy")
    assert make(data="digits").data == "digits"


def test_the_environment_names_the_tracking_server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert make().tracking_uri == "http://tracker:5000"
    assert make(tracking_uri="sqlite:////x.db").tracking_uri == "sqlite:////x.db"


def test_set_and_space_reach_the_search_space():
    space = make(set=("latent_dim=64",), space=("batch_size=16..64",)).search_space()
    assert space.documented()["latent_dim"] == 64
    assert space["batch_size"].range_text == "[16, 64]"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("2d", 172_800), (" 5m ", 300)]
)
def test_durations(text, seconds):
    assert make(time_budget=text).time_budget == seconds


@pytest.mark.parametrize("text", ["0", "-5", "5x", "soon", "", "1h30m", "nan"])
def test_impossible_durations(text):
    assert problems(time_budget=text) == [f"--time-budget {text}: expected a duration such as 90s, 30m or 1.5h"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "--trials 0: expected at least 1"),
        ({"epochs": 0}, "--epochs 0: expected at least 1"),
        ({"seed": -1}, "--seed -1: expected 0 or more"),
        ({"search": "bayes"}, "--search bayes: expected one of grid, random, tpe"),
        ({"scheduler": "pbt"}, "--scheduler pbt: unknown scheduler 'pbt'; expected one of asha, asha-stopping, "),
        ({"scheduler": "asha:eta=1"}, "--scheduler asha:eta=1: eta=1: expected a whole number from 2"),
        ({"gpus_per_trial": -0.5}, "--gpus-per-trial -0.5: expected 0 or more"),
        ({"cpus_per_trial": 0.0}, "--cpus-per-trial 0: expected more than 0"),
        ({"max_concurrent": 0}, "--max-concurrent 0: expected at least 1"),
        ({"name": "../up"}, "--name ../up: expected letters"),
        ({"name": ".hidden"}, "--name .hidden: expected letters"),
        ({"mode": "best"}, "--mode best: expected max or min"),
        ({"metric": "train/loss"}, "--metric train/loss: expected one of val/elbo_gain"),
        ({"metric": "val/mse", "mode": "min,max"}, "--mode min,max: expected one per metric of val/mse"),
        ({"tracking_uri": "https://me:secret@host/"}, "--tracking-uri: expected no user name or password"),
        ({"set": ("depth=3",)}, "--set depth=3: imc_vae has no hyperparameter 'depth'"),
        ({"space": ("kl_warmup=0..2",)}, "--space kl_warmup=2: expected 0 to 1"),
    ],
)
def test_each_problem(options, message):
    (found,) = problems(**options)
    assert found.startswith(message)


def test_the_password_is_not_repeated():
    assert "secret" not in "".join(problems(tracking_uri="https://me:secret@host/"))


def test_fixing_everything_leaves_nothing_to_search():
    fixed = tuple(
        f"{p.name}={p.range_text.strip('{[').split(',')[0]}" for p in search_spaces.load("imc_vae").searched
    )
    assert problems(set=fixed) == ["--set fixes every hyperparameter: leave at least one to search"]


def test_all_problems_at_once():
    found = problems(
        trials=0, epochs=-1, search="x", time_budget="soon", set=("a=1", "latent_dim=x"), space=("b=1..2",), name="/"
    )
    assert len(found) == 8


def test_several_metrics():
    config = make(metric="val/elbo_gain,val/mse", mode="max,min")
    assert (config.metric, config.mode) == (["val/elbo_gain", "val/mse"], ["max", "min"])
    assert make(metric="val/r2,val/elbo_gain").mode == ["max", "max"]


def test_the_model_is_required_and_known():
    with pytest.raises(ConfigError, match=r"MODEL is missing: .* one of .*imc_vae"):
        complete(SweepOptions())
    with pytest.raises(ConfigError, match=r"unknown model 'imc'; known models: .*imc_vae"):
        complete(SweepOptions(model="imc"))


def test_a_resume_keeps_the_sweep():
    config = make(name="one", seed=5, epochs=7, set=("latent_dim=64",), time_budget="1h")
    again = resumed(config, ResumeOptions())
    assert again.to_dict() == config.to_dict() | {"time_budget": None}


def test_a_resume_may_change_resources_and_limits():
    config = make(name="one", trials=5)
    again = resumed(config, ResumeOptions(time_budget="5m", max_concurrent=1, tracking_uri="http://t:1"))
    assert (again.trials, again.time_budget, again.max_concurrent) == (5, 300.0, 1)
    assert again.tracking_uri == "http://t:1"
    assert again.name == "one"


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"epochs": 9}, "--epochs"),
        ({"seed": 3}, "--seed"),
        ({"seed": 0}, "--seed"),
        ({"search": "random"}, "--search"),
        ({"scheduler": "asha"}, "--scheduler"),
        ({"metric": "val/r2"}, "--metric"),
        ({"mode": "min"}, "--mode"),
        ({"set": ("latent_dim=8",)}, "--set"),
        ({"space": ("latent_dim=8,16",)}, "--space"),
        ({"name": "two"}, "--name"),
    ],
)
def test_a_resume_refuses_what_would_change_the_comparison(options, flag):
    config = make(name="one", seed=5)
    with pytest.raises(ConfigError) as error:
        resumed(config, SweepOptions(**options))
    assert error.value.problems == [f"{flag}: cannot change on a resume; start a new sweep with --name instead"]


def test_a_resume_reports_every_problem_at_once():
    with pytest.raises(ConfigError) as error:
        resumed(make(name="one"), SweepOptions(model="vq_vae", epochs=9, trials=60, time_budget="soon"))
    assert [problem.partition(":")[0] for problem in error.value.problems] == [
        "--epochs", "--trials", "MODEL vq_vae", "--time-budget soon",
    ]  # fmt: skip
    assert "--extend NAME --trials N goes on with more" in error.value.problems[1]


def test_an_extension_has_more_trials_and_is_otherwise_a_resume(tmp_path):
    config = make(name="one", trials=5, seed=5)
    again = extended(config, ExtendOptions(trials=9, max_concurrent=1, storage=str(tmp_path)))
    assert again.to_dict() == config.to_dict() | {
        "trials": 9, "max_concurrent": 1, "storage": str(tmp_path), "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
    }  # fmt: skip


def test_an_extension_refuses_every_problem_at_once():
    with pytest.raises(ConfigError) as error:
        extended(make(name="one", trials=5), SweepOptions(trials=5, seed=3, max_concurrent=0))
    assert error.value.problems == [
        "--seed: cannot change on a resume; start a new sweep with --name instead",
        "--trials 5: expected more than the 5 that one has already",
        "--max-concurrent 0: expected at least 1",
    ]
    with pytest.raises(ConfigError, match="--trials is missing: expected more than the 5 that one has already"):
        extended(make(name="one", trials=5), ExtendOptions())
    ablation = complete(AblationOptions(model="imc_vae", name="pairs"))
    with pytest.raises(ConfigError, match="--extend pairs: an ablation has as many trials as its variants and seeds"):
        extended(ablation, ExtendOptions(trials=999))


def test_a_sweep_that_was_moved_goes_on_where_it_is_now(tmp_path):
    config = make(name="one", storage=str(tmp_path / "old"))
    again = resumed(config, ResumeOptions(storage=str(tmp_path / "new")))
    assert again.folder == tmp_path / "new" / "one"


LOOP = """
from search_spaces import Parameter, SearchSpace
SPACE = SearchSpace("mine", (Parameter("beta", "log", 1.0, low=0.1, high=9.0),)METRICS)
def train(config, monitor): ...
"""


def loop(tmp_path: Path, metrics: str = "", **options) -> SweepConfig:
    name = f"loop{len(metrics)}.py"
    (tmp_path / name).write_text(LOOP.replace("METRICS", metrics))
    return complete(SweepOptions(model=name, **options))


def test_a_loop_of_ones_own_says_what_it_is_ranked_by(tmp_path):
    stated = loop(tmp_path, ', metrics=("val/nelbo",), mode="min"')
    assert (stated.metric, stated.mode, stated.trials, stated.epochs) == (["val/nelbo"], ["min"], 50, 100)
    assert [parameter.name for parameter in stated.search_space().parameters] == ["beta"]  # none of our loop's
    assert loop(tmp_path, metric="val/elbo_gain").metric == ["val/elbo_gain"]
    with pytest.raises(ConfigError) as error:
        loop(tmp_path)
    assert "--metric is missing: mine trains by its own loop" in str(error.value)
    with pytest.raises(
        ConfigError, match="--metric train/loss: expected a name with val/, test/ or health/; a train"
    ):
        loop(tmp_path, metric="train/loss")


def test_what_a_loop_of_ones_own_cannot_heed_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        loop(tmp_path, metric="val/nelbo", data="digits", subset=3, strict=True, steps=9)
    told = "mine trains by its own loop"
    assert error.value.problems == [
        f"--steps 9: {told}; give the budget in --epochs",
        *(f"--{name}: {told}, which reads its data itself; leave it out" for name in ("data", "subset", "strict")),
    ]


def test_what_is_required_is_checked_at_once():
    assert make(require=("health/au>=32", "memory/rss_mib<=4e3")).require == ["health/au>=32", "memory/rss_mib<=4e3"]
    told = "expected METRIC>=NUMBER or METRIC<=NUMBER in quotes, as in 'health/au>=32'"
    assert problems(require=("health/au", "train/loss<=1")) == [
        f"--require health/au: {told}",
        "--require train/loss<=1: expected a metric of val/, test/, environment/, health/, memory/, time/; "
        "a training loss cannot be required",
    ]
    with pytest.raises(ConfigError, match="--require: cannot change on a resume"):
        resumed(make(name="one"), SweepOptions(require=("health/au>=1",)))
