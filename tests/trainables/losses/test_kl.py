"""KL terms against closed forms."""

import math

import pytest
import torch

from trainables.losses.kl import antithetic, free_bits, kl_per_dim, sample


@pytest.mark.parametrize(
    ("mu", "variance", "kl"),
    [
        (0.0, 1.0, 0.0),
        (2.0, 1.0, 2.0),
        (0.0, math.e, 0.5 * (math.e - 2.0)),
        (0.0, 0.25, 0.5 * (0.25 - 1.0 + math.log(4.0))),
        (-1.0, 0.5, 0.5 * (1.0 + 0.5 - 1.0 + math.log(2.0))),
    ],
)
def test_kl_of_a_gaussian(mu, variance, kl):
    found = kl_per_dim(torch.tensor([[mu]]), torch.tensor([[math.log(variance)]]))
    assert found.item() == pytest.approx(kl, abs=1e-6)


def test_kl_agrees_with_torch_distributions():
    generator = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    posterior = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
    prior = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    torch.testing.assert_close(kl_per_dim(mu, logvar), torch.distributions.kl_divergence(posterior, prior))


KL = [[0.1, 3.0], [0.7, 1.0]]


@pytest.mark.parametrize(
    ("floor", "over", "total"),
    [
        (0.0, "sample", 2.4),  # (3.1 + 1.7) / 2
        (0.5, "sample", (0.5 + 3.0 + 0.7 + 1.0) / 2),
        (2.0, "sample", (2.0 + 3.0 + 2.0 + 2.0) / 2),
        (0.0, "batch_mean", 0.4 + 2.0),
        (0.5, "batch_mean", 0.5 + 2.0),
        (5.0, "batch_mean", 10.0),
        (5.0, "sample", 10.0),
    ],
)
def test_free_bits(floor, over, total):
    assert free_bits(torch.tensor(KL), floor, over).item() == pytest.approx(total)


def test_the_floor_of_a_collapsed_posterior_is_free_bits_times_dimensions():
    zeros = torch.zeros(3, 128)
    for over in ("sample", "batch_mean"):
        assert free_bits(kl_per_dim(zeros, zeros), 0.05, over).item() == pytest.approx(6.4)


@pytest.mark.parametrize(
    ("over", "gradient"),
    [("sample", [[0.0, 0.5], [0.5, 0.5]]), ("batch_mean", [[0.0, 0.5], [0.0, 0.5]])],
)
def test_no_gradient_below_the_floor(over, gradient):
    kl = torch.tensor(KL, requires_grad=True)
    free_bits(kl, 0.5, over).backward()
    assert kl.grad.tolist() == gradient


def test_a_floor_may_be_a_tensor():
    assert free_bits(torch.tensor(KL), torch.tensor(0.5)).item() == pytest.approx(2.6)


def test_sample_has_the_moments_of_the_posterior_and_repeats_by_seed():
    mu = torch.tensor([[3.0, -1.0]]).expand(20_000, 2)
    logvar = torch.tensor([[math.log(4.0), math.log(0.01)]]).expand(20_000, 2)
    z = sample(mu, logvar, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.mean(0), torch.tensor([3.0, -1.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), torch.tensor([2.0, 0.1]), rtol=0.02, atol=0)
    assert torch.equal(z, sample(mu, logvar, torch.Generator().manual_seed(0)))
    assert not torch.equal(z, sample(mu, logvar, torch.Generator().manual_seed(1)))


def test_gradients_flow_through_a_sample():
    mu, logvar = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)
    z = sample(mu, logvar, torch.Generator().manual_seed(0))
    z.sum().backward()
    assert torch.equal(mu.grad, torch.ones(4, 3))
    torch.testing.assert_close(logvar.grad, 0.5 * z.detach())


def test_antithetic_draws_mirror_each_other_and_each_is_of_the_posterior():
    mu, logvar = torch.tensor([[1.0, -2.0]]).expand(20_000, 2), torch.tensor([0.5, -1.0]).expand(20_000, 2)
    z = antithetic(mu, logvar, 4, torch.Generator().manual_seed(0))
    for first, second in (z[:2], z[2:]):
        torch.testing.assert_close(first + second, 2 * mu)
    assert not torch.equal(z[0], z[2])
    for draw in z:
        torch.testing.assert_close(draw.mean(dim=0), mu[0], atol=0.03, rtol=0)
        torch.testing.assert_close(draw.var(dim=0), logvar[0].exp(), atol=0, rtol=0.05)


def test_the_first_antithetic_draw_may_be_given():
    mu, logvar, first = torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3, 2)
    z = antithetic(mu, logvar, 3, torch.Generator().manual_seed(0), first)
    assert z[0] is first
    assert torch.equal(z[1], -first)
    assert len(z) == 3
