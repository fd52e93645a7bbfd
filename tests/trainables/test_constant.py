"""The best constant against closed forms, where the loss is defined everywhere, for rates, and for probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, NegativeBinomial, Normal, Poisson
from torch.nn import functional as F

from trainables.constant import best_constant, curvature

COUNT, VALUES = 200, 5
GENERATOR = torch.Generator().manual_seed(0)
LEVELS = torch.tensor([0.02, 0.2, 0.5, 0.8, 0.97], dtype=torch.float64)
BITS = (torch.rand(COUNT, VALUES, generator=GENERATOR, dtype=torch.float64) < LEVELS).double()
COUNTS = torch.poisson(
    (torch.tensor([0.05, 1.0, 5.0, 40.0, 900.0], dtype=torch.float64)).expand(COUNT, -1), GENERATOR
)


def squared(c: Tensor, part: slice) -> Tensor:
    return (c - COUNTS[part]).square().sum()


def logits(c: Tensor, part: slice) -> Tensor:
    return F.binary_cross_entropy_with_logits(c, BITS[part], reduction="sum")


def probabilities(c: Tensor, part: slice) -> Tensor:
    return -Bernoulli(c).log_prob(BITS[part]).sum()


def rates(c: Tensor, part: slice) -> Tensor:
    return -Poisson(c).log_prob(COUNTS[part]).sum()


def log_rates(c: Tensor, part: slice) -> Tensor:
    return F.poisson_nll_loss(c, COUNTS[part], full=True, reduction="sum")


MEANS = {
    "squared": (squared, COUNTS.mean(dim=0)),
    "logits": (logits, BITS.mean(dim=0).logit()),
    "probabilities": (probabilities, BITS.mean(dim=0)),
    "rates": (rates, COUNTS.mean(dim=0)),
    "log rates": (log_rates, COUNTS.mean(dim=0).log()),
}


@pytest.mark.parametrize("name", MEANS)
def test_the_best_constant_is_the_mean_of_the_data(name: str) -> None:
    total, expected = MEANS[name]
    found = best_constant(total, (VALUES,), COUNT)
    assert found.converged
    torch.testing.assert_close(found.prediction, expected, rtol=1e-4, atol=1e-5)
    assert found.loss == pytest.approx(float(total(expected.expand(COUNT, -1), slice(0, COUNT))) / COUNT, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("squared", COUNTS - COUNTS.mean(dim=0)),
        ("logits", (BITS - BITS.mean(dim=0)) / (2 * BITS.mean(dim=0) * (1 - BITS.mean(dim=0))).sqrt()),
        ("rates", (COUNTS - COUNTS.mean(dim=0)) / (2 * COUNTS.mean(dim=0)).sqrt()),
    ],
)
def test_what_there_is_to_gain_has_the_closed_form(name: str, expected: Tensor) -> None:
    total, constant = MEANS[name]
    gradient_N, mean = curvature(total, constant, COUNT, block=64)
    torch.testing.assert_close(-gradient_N / (2 * mean).sqrt(), expected, rtol=1e-6, atol=1e-9)


def test_without_curvature_the_mean_square_of_the_gradient_stands_for_it() -> None:
    def absolute(c: Tensor, part: slice) -> Tensor:
        return 3.0 * (c - COUNTS[part]).abs().sum()

    _, mean = curvature(absolute, torch.full((VALUES,), 2.5, dtype=torch.float64), COUNT, block=64)
    torch.testing.assert_close(mean, torch.full((VALUES,), 9.0, dtype=torch.float64))


def test_a_scale_of_the_likelihood_is_fitted_with_the_constant() -> None:
    scale, other = nn.Parameter(torch.zeros((), dtype=torch.float64)), nn.Parameter(torch.ones(3))
    data = torch.randn(COUNT, VALUES, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 7 + 3

    def total(c: Tensor, part: slice) -> Tensor:
        return -Normal(c, scale.exp()).log_prob(data[part]).sum()

    found = best_constant(total, (VALUES,), COUNT, [scale, other])
    assert found.converged
    expected = data.std(dim=0, correction=0).square().mean().sqrt()
    assert float(scale.detach().exp()) == pytest.approx(float(expected), rel=1e-5)
    assert torch.equal(other, torch.ones(3)), "a parameter that the loss does not depend on has moved"


@pytest.mark.parametrize("seed", range(3))
def test_a_negative_binomial_of_counts_that_spread_less_is_a_poisson(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    bits = torch.rand((60, 40, 10), generator=generator, dtype=torch.float64) < 0.05 * (1 + seed)
    data, log_dispersion = bits.double().sum(dim=2), nn.Parameter(torch.zeros(40, dtype=torch.float64))

    def total(mean: Tensor, part: slice) -> Tensor:
        logits = mean.log() - log_dispersion
        return -NegativeBinomial(log_dispersion.exp(), logits=logits).log_prob(data[part]).sum()

    found = best_constant(total, (40,), len(data), [log_dispersion])
    assert found.converged
    spread = data.var(dim=0, correction=0) < data.mean(dim=0)  # otherwise a finite dispersion is better
    torch.testing.assert_close(found.prediction[spread], data.mean(dim=0)[spread], rtol=2e-3, atol=1e-3)
    limit = -Poisson(data.mean(dim=0)).log_prob(data).sum(dim=1).mean()
    assert limit - 0.01 * 40 < found.loss < limit + 1e-4 * 40


@pytest.mark.parametrize(("rate", "seed"), [(5, 1), (0.05, 1)])
def test_counts_at_the_edge_of_a_negative_binomial_have_a_best_constant(rate: float, seed: int) -> None:
    data = torch.from_numpy(np.random.default_rng(seed).poisson(rate, (60, 40)).astype(np.float64))
    data = data[data.sum(dim=1) > 0]
    log_dispersion = nn.Parameter(torch.zeros(40, dtype=torch.float64))

    def total(shares: Tensor, part: slice) -> Tensor:
        mean = (shares * data[part].sum(dim=1, keepdim=True)).clamp(min=1e-6)
        logits = mean.log() - log_dispersion
        return -NegativeBinomial(log_dispersion.exp(), logits=logits).log_prob(data[part]).sum()

    found = best_constant(total, (40,), len(data), [log_dispersion])
    assert found.converged
    poisson = Poisson(data.sum(dim=1, keepdim=True) * data.sum(dim=0) / data.sum())
    limit = -poisson.log_prob(data).sum(dim=1).mean()
    assert limit - 0.02 * 40 < found.loss < limit + 1e-4 * 40


def test_a_density_without_a_bound_does_not_converge() -> None:
    scale = nn.Parameter(torch.zeros(VALUES, dtype=torch.float64))
    data = torch.full((COUNT, VALUES), 2.0, dtype=torch.float64)

    def total(c: Tensor, part: slice) -> Tensor:
        return -Normal(c, scale.exp()).log_prob(data[part]).sum()

    assert not best_constant(total, (VALUES,), COUNT, [scale]).converged


def test_a_loss_that_is_never_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        best_constant(lambda c, part: c.sum() * torch.nan, (VALUES,), COUNT)
