"""Which KL weight for my data: against data whose critical weights are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import search_spaces
from search_spaces.space import Parameter, SearchSpace
from sweeps import kl_weight
from trainables import definition
from trainables.collapse import FEATURES, fit
from trainables.data.cache import prepare
from trainables.forecast import Budget, Forecaster
from trainables.forms import QuadraticForm

EIGENVALUES = np.geomspace(100.0, 0.1, 40)
BETA = Parameter("beta", "log", default=1.0, baseline=1.0, low=0.5, high=2.0, doc="", source="")
SPACE = SearchSpace("toy", (BETA, Parameter("rate", "fixed", default=1e-3, baseline=1e-3, doc="", source="")))


def forecaster(scale: float = 10.0, penalty=None, collapse=None) -> Forecaster:
    """σ² = scale · beta on Gaussian data with EIGENVALUES."""
    x = np.random.default_rng(0).standard_normal((256, 40)) * np.sqrt(EIGENVALUES)

    def quadratic_form(config, x, statistics):
        return QuadraticForm("x", ((0.5, lambda: x),), 0.5, scale * config["beta"], 0.0, 40, penalty)

    definition = SimpleNamespace(quadratic_form=quadratic_form, term_weights=lambda config, at: {"kl": 1.0})
    return Forecaster(definition, x, {}, Budget(256, 10), collapse)


def space(**changes) -> SearchSpace:
    rest = tuple(Parameter(name, "fixed", default=1, baseline=1, doc="", source="") for name in ("batch_size",))
    rate = replace(SPACE["rate"], name="learning_rate")
    return replace(SPACE, parameters=(replace(BETA, **changes), rate, *rest), kl_weight="beta")


def test_the_critical_weight_is_where_sigma2_is_the_largest_eigenvalue():
    answer = kl_weight.find(space(), forecaster())
    assert answer.critical == pytest.approx(100.0 / 10.0, rel=0.2)
    assert answer.units[8] == pytest.approx(EIGENVALUES[7] / 10.0, rel=0.2)
    assert answer.units[32] == pytest.approx(EIGENVALUES[31] / 10.0, rel=0.35)  # small directions are mistaken
    assert set(answer.units) == {1, 8, 32}
    assert (answer.even, answer.beyond) == (None, False)


def test_the_answer_is_where_the_forecast_turns():
    asked = forecaster()
    answer = kl_weight.find(space(), asked)
    for count, weight in answer.units.items():
        config = space().documented()
        assert asked.forecast(config | {"beta": weight}).au >= count
        assert asked.forecast(config | {"beta": weight * kl_weight.PRECISION**2}).au < count


@pytest.mark.parametrize("default", [1e-4, 1.0, 1e4])
def test_the_answer_does_not_depend_on_where_the_search_begins(default: float):
    found = kl_weight.find(space(default=default), forecaster()).critical
    assert found == pytest.approx(kl_weight.find(space(), forecaster()).critical, rel=0.02)


def test_a_range_beyond_the_critical_weight_is_told():
    answer = kl_weight.find(space(), forecaster(scale=1000.0))
    assert answer.beyond
    told = kl_weight.warning(answer)
    assert told.startswith("beta (0.5 to 2) lies wholly beyond the critical weight 0.")
    assert f"--space beta={answer.critical / 100:.2g}..{answer.critical:.2g}" in told
    assert told in kl_weight.sentences(answer)
    assert kl_weight.warning(kl_weight.find(space(), forecaster())) == ""


def test_a_fixed_weight_is_a_range_of_one():
    answer = kl_weight.find(space(kind="fixed", default=20.0), forecaster())
    assert (answer.low, answer.high, answer.beyond) == (20.0, 20.0, True)
    assert kl_weight.warning(answer).startswith("beta (20) lies wholly beyond")


def test_penalties_can_forbid_every_weight():
    answer = kl_weight.find(space(), forecaster(penalty=lambda carried: 1e6 * float(np.square(carried).sum())))
    assert answer.critical is None
    assert answer.beyond
    assert "at no KL weight do these data keep a unit active" in kl_weight.warning(answer)


def test_the_weight_from_which_collapse_is_the_likelier_end():
    """Learnt from trials that collapsed where σ² > λ₁ / e²: far below the critical weight."""
    rng = np.random.default_rng(0)
    seen = np.column_stack([rng.uniform(-8, 4, 400), *(rng.standard_normal(400) for _ in FEATURES[1:])])
    learnt = fit(seen, (seen[:, 0] > -2).astype(float), ("toy",))
    answer = kl_weight.find(space(), forecaster(collapse=learnt))
    assert answer.even < answer.critical / 2
    told = " ".join(kl_weight.sentences(answer))
    assert "collapse becomes the likelier end of training" in told
    assert "between the two, training tends to miss the optimum" in told


def test_collapse_may_be_the_likelier_end_whatever_the_weight():
    rng = np.random.default_rng(0)
    always = fit(rng.standard_normal((100, 5)), (np.arange(100) > 0).astype(float), ("toy",))
    answer = kl_weight.find(space(), forecaster(collapse=always))
    assert answer.even == 0.0
    assert any("whatever the weight" in line for line in kl_weight.sentences(answer))


def test_no_weight_at_which_collapse_is_likely():
    rng = np.random.default_rng(0)
    never = fit(rng.standard_normal((100, 5)), (np.arange(100) == 0).astype(float), ("toy",))
    answer = kl_weight.find(space(), forecaster(collapse=never))
    assert math.isinf(answer.even)
    assert any("no weight makes collapse the likelier end" in line for line in kl_weight.sentences(answer))


def test_a_space_that_names_no_weight_has_no_answer():
    assert kl_weight.find(replace(space(), kl_weight=None), forecaster()) is None
    assert kl_weight.sentences(None) == []


def test_the_documented_range_of_vae3d_is_beyond_what_brains_bear(tmp_path: Path):
    known = search_spaces.load("vae3d").on_embedded()
    settings = known.data_settings() | {"image_size": 16, "subset": 96, "strict": False}
    model = definition.load("vae3d")
    data = prepare(model.reader, None, tmp_path, settings)
    answer = kl_weight.find(known, Forecaster.of(model, data))
    assert (answer.low, answer.high) == (0.1, 4.0)
    assert 1e-3 < answer.critical < 0.1


@pytest.mark.parametrize("name", search_spaces.names())
def test_spaces_name_a_weight_that_scales_the_kl(name: str):
    known = search_spaces.load(name)
    if known.kl_weight is None:
        assert name in ("vq_vae", "tc_vae_sbd")
        return
    x = np.zeros((4, *{"imc_vae": (2, 2, 3), "conv_vae": (1, 32, 32), "vae_dg": (3, 32, 32)}.get(name, (1, 8, 8, 8))))
    x = x.astype(np.float32) + np.linspace(0.1, 0.9, 4, dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    flat = {"channel_mean": np.zeros(3), "channel_std": np.ones(3), "std_floor": 1e-6, "train_count": 4}
    config = known.documented()
    form = definition.load(name).quadratic_form
    one, two = (form(config | {known.kl_weight: weight}, x, flat).kl_weight for weight in (1.0, 2.0))
    assert two == pytest.approx(2 * one)
