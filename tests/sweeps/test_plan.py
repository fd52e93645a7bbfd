"""The plan as it is shown."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from sweeps import plan, searchers
from sweeps.completion import complete
from sweeps.config import SweepConfig
from sweeps.cost import Cost
from sweeps.forecasting import NoForecast
from sweeps.kl_weight import KlWeight
from sweeps.options import SweepOptions
from sweeps.plan import Plan

SURVEY = {"collapsed": 0.25, "likely": 0.4, "au_25": 0.0, "au_50": 4.0, "au_75": 9.0}
ANSWER = KlWeight("kld_loss_scale", 1e-3, 1e-4, 5e-3, 0.2, {1: 0.2, 8: 0.1}, 0.05)


def forecast(collapsed: bool, probability: float | None, high: float | None = 30.0) -> dict:
    numbers = {"sigma2": 9.2, "lambda1": 12.0, "au": 0 if collapsed else 4, "kl_low": 3.2, "kl_high": high}
    return numbers | {"collapsed": collapsed, "collapse_probability": probability, "basis": "recorded"}


@pytest.fixture
def config(tmp_path: Path) -> SweepConfig:
    return complete(SweepOptions(model="imc_vae", trials=4, name="x", storage=str(tmp_path)))


def planned(config: SweepConfig, *forecasts: dict | None, **changes) -> Plan:
    documented = config.search_space().documented()
    rows = [
        {"trial": number, "origin": "search", "config": documented | {"learning_rate": 1e-4}, "forecast": found}
        for number, found in enumerate(forecasts, 1)
    ]
    basis = "the recorded sweeps of imc_vae"
    return replace(Plan("imc_vae", "embedded", 4, 10, 2, rows, SURVEY, ANSWER, basis, {}, 1.0, 60.0, 1e6), **changes)


def shown(whole: Plan, config: SweepConfig, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(plan.render(whole, config))
    return console.file.getvalue()


def test_where_theory_and_training_part_is_told_with_what_it_means(config: SweepConfig):
    text = shown(planned(config, forecast(False, 0.9), forecast(True, 0.1), forecast(True, 0.8)), config, 200)
    rows = [line.split() for line in text.splitlines() if "search" in line and "learning_rate" in line]
    assert [" ".join(row[2:4]) for row in rows[:2]] == ["at risk", "may hold"]
    assert rows[2][2:5] == ["collapses", "0.80", "0"]
    assert "at risk: the data pay for active units" in text
    assert "Warm the KL up longer or start its weight lower" in text
    assert "may hold: the data pay for no unit" in text
    healthy = shown(planned(config, forecast(False, 0.1)), config, 200)
    assert "at risk" not in healthy
    assert "may hold" not in healthy


def test_the_kl_is_an_interval_or_unbounded(config: SweepConfig):
    text = shown(planned(config, forecast(False, 0.1), forecast(False, None, high=None)), config, 200)
    assert "3–30" in text
    assert "3–∞" in text


def test_the_kl_weight_is_named(config: SweepConfig):
    text = shown(planned(config, forecast(False, 0.1)), config, 200)
    assert "kld_loss_scale above 0.2 collapses" in text
    assert "8 up to 0.1" in text
    assert "likelier end of training at this budget from 0.05 on" in text


def test_what_no_trial_was_like_is_told(config: SweepConfig):
    text = shown(planned(config, forecast(False, 0.1), outside={"ln(1 + free nats)": 0.25}), config, 200)
    assert "Outside those trials, and answered as the nearest of them: ln(1 + free nats) (25% of the space)." in text
    assert "Outside" not in shown(planned(config, forecast(False, 0.1)), config, 200)


def test_theory_alone_says_so(config: SweepConfig):
    text = shown(planned(config, forecast(True, None), basis=""), config, 200)
    assert "theory alone" in text
    assert "probability" not in text


def test_it_fits_a_narrow_terminal_and_loses_nothing(config: SweepConfig):
    text = shown(planned(config, forecast(False, 0.9)), config)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "learning_rate" in text


@pytest.mark.parametrize(("search", "shown"), [("random", 14), ("grid", 14), ("tpe", 10)])
def test_the_trials_are_those_that_the_search_will_suggest(tmp_path: Path, search: str, shown: int):
    config = complete(SweepOptions(model="imc_vae", trials=14, name="x", storage=str(tmp_path), search=search))
    space = config.search_space()
    trials = plan.first_trials(config, space, NoForecast())
    assert [trial["trial"] for trial in trials] == list(range(1, shown + 1))
    live = searchers.make(search, space, config.seed, config.metric, config.mode)
    assert [trial["config"] for trial in trials[2:]] == [live.suggest(number) for number in range(3, shown + 1)]


def test_what_confirming_the_best_costs_is_in_the_plan(tmp_path: Path):
    def of(confirm: int) -> tuple[SweepConfig, Plan]:
        options = SweepOptions(model="imc_vae", trials=6, epochs=10, name="x", storage=str(tmp_path), confirm=confirm)
        config = complete(options)
        forecaster = SimpleNamespace(forecast=lambda values: None, collapse=None, effective=None)
        return config, plan.make(config, "embedded", forecaster, Cost(2.0, 1e6), slots=2)

    config, whole = of(2)
    assert (whole.total_seconds, whole.disk_bytes) == (2.0 * 10 * (6 + 15) / 2, 21e6)
    text = shown(replace(whole, survey=None), config, 300)
    assert (
        "At its end the best 2 configurations and the documented one are trained with 5 further seeds: at most 15"
        in text
    )
    config, search = of(0)
    assert (search.total_seconds, search.disk_bytes) == (2.0 * 10 * 6 / 2, 6e6)
    assert "The best are not confirmed with further seeds" in shown(replace(search, survey=None), config, 300)
