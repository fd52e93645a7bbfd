"""The score in nats against likelihoods whose best constant and ELBO are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, NegativeBinomial, Normal
from torch.nn import functional as F

from trainables.data.cache import prepare
from trainables.definition import load
from trainables.diagnostics import evaluate
from trainables.forecast import Forecaster
from trainables.likelihood import LikelihoodError, constant_nll
from trainables.loop import Trainer
from trainables.vae import Batch, Vae

EXAMPLES = Path(__file__).parents[2] / "examples"

COUNT, VALUES, LATENT = 96, 6, 2
LOG_2PI = math.log(2 * math.pi)


class Linear(Vae):
    """A linear encoder and decoder, so that every likelihood has the same mean."""

    nats = "reconstruction"

    def __init__(self, use: float = 1.0) -> None:
        super().__init__({}, (VALUES,), {})
        self.into, self.out = nn.Linear(VALUES, LATENT), nn.Linear(LATENT, VALUES)
        with torch.no_grad():
            self.out.weight.mul_(use)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = self.into(x)
        return mu, torch.full_like(mu, -1.0)

    def decode(self, z: Tensor) -> Tensor:
        return self.out(z)


class Gaussian(Linear):
    def reconstruction(self, prediction: Tensor, target: Tensor) -> Tensor:
        return -Normal(prediction, 1.0).log_prob(target).sum(dim=1)


class Bits(Linear):
    def reconstruction(self, prediction: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(prediction, target, reduction="none").sum(dim=1)


class Counts(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.log_total = nn.Parameter(torch.zeros(VALUES))

    def reconstruction(self, prediction: Tensor, target: Tensor) -> Tensor:
        total = self.log_total.exp()
        return -NegativeBinomial(total, logits=prediction - self.log_total).log_prob(target).sum(dim=1)


class Scaled(Linear):
    """A Gaussian whose deviation is known of every sample."""

    def reconstruction(self, prediction: Tensor, target: Tensor, deviation: Tensor) -> Tensor:
        return -Normal(prediction, deviation[:, None]).log_prob(target).sum(dim=1)


class Unbounded(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(VALUES))

    def reconstruction(self, prediction: Tensor, target: Tensor) -> Tensor:
        return -Normal(prediction, self.log_scale.exp()).log_prob(target).sum(dim=1)


def gaussian() -> Tensor:
    return torch.randn(COUNT, VALUES, generator=torch.Generator().manual_seed(0)) * 2 + 1


def bits() -> Tensor:
    return (torch.rand(COUNT, VALUES, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def measured(model: Vae, x: Tensor, constant: float) -> dict[str, Any]:
    batches = [Batch(part, torch.full((len(part),), -1)) for part in x.split(32)]
    return evaluate(model, batches, torch.Generator().manual_seed(0), len(x), constant_nll=constant)[0]


def test_a_likelihood_reads_the_fields_of_its_samples() -> None:
    """With one deviation for all it is the Gaussian of that scale; a sample's own weighs it in the constant."""
    x, ones = gaussian(), torch.ones(COUNT)
    model, plain = Scaled(), Gaussian()
    plain.load_state_dict(model.state_dict())
    constant = constant_nll(model, x, {"deviation": ones})
    assert constant == pytest.approx(constant_nll(plain, x), rel=1e-9)
    index = torch.arange(COUNT).split(32)
    batches = [Batch(x[part], torch.full((len(part),), -1), {"deviation": ones[part]}) for part in index]
    row = evaluate(model, batches, torch.Generator().manual_seed(0), COUNT, constant_nll=constant)[0]
    assert row["val/elbo_gain"] == pytest.approx(measured(plain, x, constant)["val/elbo_gain"], rel=1e-6)
    certain = torch.where(torch.arange(COUNT) < COUNT // 2, 1.0, 1e3)
    half = constant_nll(plain, x[: COUNT // 2])
    wide = VALUES * (math.log(1e3) + LOG_2PI / 2)
    assert constant_nll(model, x, {"deviation": certain}) == pytest.approx((half + wide) / 2, rel=0.01)


def test_the_gaussian_constant_is_that_of_the_population() -> None:
    x = gaussian()
    spread = float(x.double().var(dim=0, correction=0).sum())
    expected = 0.5 * (spread * COUNT / (COUNT - 1) + VALUES * LOG_2PI)
    assert constant_nll(Gaussian(), x) == pytest.approx(expected, rel=1e-9)


def test_the_constant_of_bits_is_their_entropy_and_what_flatters_it() -> None:
    x = bits()
    share = x.double().mean(dim=0)
    entropy = float(Bernoulli(share).entropy().sum())
    assert constant_nll(Bits(), x) == pytest.approx(entropy + VALUES / 2 / (COUNT - 1), rel=1e-6)


def test_the_reference_is_the_same_whatever_a_trial_has_learnt() -> None:
    """The prototype evaluated it with the trial's own dispersion."""
    x = torch.poisson(torch.full((COUNT, VALUES), 4.0), torch.Generator().manual_seed(0))
    fresh, trained = Counts(), Counts()
    with torch.no_grad():
        trained.log_total.add_(3.0)
        trained.out.bias.add_(2.0)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    assert constant_nll(trained, x) == pytest.approx(constant_nll(fresh, x), rel=1e-5)
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items()), (
        "the trial was changed"
    )


def test_a_density_without_a_bound_is_refused_with_its_cure() -> None:
    x = gaussian()
    x[:, 0] = 2.0
    with pytest.raises(LikelihoodError, match="has no bound where values of the data are constant"):
        constant_nll(Unbounded(), x)


def test_the_score_is_the_elbo_over_that_of_the_constant() -> None:
    x, model = gaussian(), Gaussian()
    constant = constant_nll(model, x)
    row = measured(model, x, constant)
    squared = row["val/mse"] * VALUES
    assert row["val/nll"] == pytest.approx(0.5 * (squared + VALUES * LOG_2PI), rel=1e-5)
    assert row["val/elbo"] == pytest.approx(-(row["val/nll"] + row["health/rate"]) / VALUES, rel=1e-9)
    reference = min(constant, row["val/nll_swapped"])
    assert row["val/elbo_gain"] == pytest.approx(reference / VALUES + row["val/elbo"], rel=1e-9)


@pytest.mark.parametrize("kind", [Gaussian, Bits])
def test_a_decoder_that_ignores_z_never_scores_above_zero(kind: type[Linear]) -> None:
    x = gaussian() if kind is Gaussian else bits()
    model = kind(use=0.0)
    row = measured(model, x, 1e6)  # whatever constant it is compared with
    assert row["val/nll_swapped"] == pytest.approx(row["val/nll"], rel=1e-5)
    assert row["val/elbo_gain"] == pytest.approx(-row["health/rate"] / VALUES, abs=1e-5)
    assert row["val/elbo_gain"] < 0


def test_a_model_that_uses_z_beats_the_constant() -> None:
    z = torch.randn(COUNT, LATENT, generator=torch.Generator().manual_seed(2))
    model = Gaussian()
    with torch.no_grad():
        model.out.weight.copy_(torch.eye(VALUES)[:, :LATENT] * 5)
        model.out.bias.zero_()
        model.into.weight.copy_(torch.eye(VALUES)[:LATENT] / 5)
        model.into.bias.zero_()
    model.encode = lambda x: (model.into(x), torch.full((len(x), LATENT), -4.0))  # type: ignore[method-assign]
    x = z @ model.out.weight.detach().T
    row = measured(model, x, constant_nll(model, x))
    assert row["val/nll_swapped"] > row["val/nll"] + 1
    assert row["val/elbo_gain"] > 0
    assert np.isfinite(list(row.values())).all()


@pytest.mark.parametrize("name", ["my_vae", "my_counts"])
def test_the_examples_are_scored_in_their_nats_and_forecast(name: str, tmp_path: Path) -> None:
    definition = load(str(EXAMPLES / f"{name}.py"))
    dataset = prepare(definition.reader, None, tmp_path)
    documented = definition.space.documented()
    rows = [
        Trainer(str(EXAMPLES / f"{name}.py"), documented | change, dataset, 2, 0, "cpu").run_epoch()
        for change in ({}, {"latent_dim": 2 if name == "my_counts" else 16, "learning_rate": 1e-2})
    ]
    assert rows[0]["val/nll_constant"] == rows[1]["val/nll_constant"], "trials are compared with different constants"
    assert rows[0]["val/nll"] != rows[1]["val/nll"]
    assert all(math.isfinite(row["val/elbo_gain"]) for row in rows)
    values = math.prod(dataset.shape)
    for row in rows:
        reference = min(row["val/nll_constant"], row["val/nll_swapped"])
        assert row["val/elbo_gain"] == pytest.approx(reference / values + row["val/elbo"], rel=1e-9)
    forecast = Forecaster.of(definition, dataset).forecast(documented)
    assert forecast is not None
    assert 1 <= forecast.au <= documented["latent_dim"]
    heavy = Forecaster.of(definition, dataset).forecast(documented | {"kl_weight": 1e6})
    assert heavy is not None
    assert heavy.collapsed
