"""The covariance of the aggregate posterior, against samples and by hand."""

import pytest
import torch

from trainables.losses.covariance import aggregate_covariance, covariance, diagonal_penalty, off_diagonal_penalty


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_by_hand():
    mu = torch.tensor([[1.0, 0.0], [-1.0, 2.0], [0.0, 1.0]])
    logvar = torch.tensor([[1.0, 4.0], [2.0, 1.0], [3.0, 1.0]]).log()
    expected = torch.tensor([[2 / 3 + 2.0, -2 / 3], [-2 / 3, 2 / 3 + 2.0]])
    found = aggregate_covariance(mu, logvar)
    torch.testing.assert_close(found, expected)
    assert off_diagonal_penalty(found).item() == pytest.approx(2 * (2 / 3) ** 2)
    assert diagonal_penalty(found).item() == pytest.approx(2 * (5 / 3) ** 2)


def test_it_is_the_covariance_of_samples_of_the_aggregate_posterior():
    mu = torch.randn(50, 4, generator=generator()) @ torch.randn(4, 4, generator=generator(1))
    logvar = torch.randn(50, 4, generator=generator(2))
    z = mu + torch.randn(40_000, 50, 4, generator=generator(3)) * torch.exp(0.5 * logvar)
    sampled = torch.cov(z.flatten(0, 1).T, correction=0)
    torch.testing.assert_close(aggregate_covariance(mu, logvar), sampled, atol=0.03, rtol=0.01)


def test_a_collapsed_posterior_has_no_penalty():
    whole = aggregate_covariance(torch.full((16, 8), 3.0), torch.zeros(16, 8))
    assert (off_diagonal_penalty(whole).item(), diagonal_penalty(whole).item()) == (0.0, 0.0)


def test_few_samples_make_independent_units_look_correlated():
    units, batch, variance = 32, 8, 0.25
    mu = variance**0.5 * torch.randn(2000, batch, units, generator=generator())
    penalty = torch.stack([off_diagonal_penalty(covariance(part)) for part in mu]).mean().item()
    assert penalty == pytest.approx(units * (units - 1) * variance**2 * (batch - 1) / batch**2, rel=0.05)


def test_autocast_does_not_lower_the_precision():
    mu, logvar = torch.randn(16, 8, generator=generator()) + 10.0, torch.zeros(16, 8)
    expected = aggregate_covariance(mu, logvar)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(aggregate_covariance(mu, logvar), expected)
        low = (mu - mu.mean(dim=0)).T @ (mu - mu.mean(dim=0)) / 16
    assert (low.float() - covariance(mu)).abs().max() > 1e-3


def test_the_penalties_pull_the_covariance_to_the_identity():
    mu = (torch.randn(64, 1, generator=generator()) @ torch.ones(1, 4)).requires_grad_()
    logvar = torch.full((64, 4), -2.0, requires_grad=True)
    optimizer = torch.optim.Adam([mu, logvar], lr=0.05)
    for _ in range(300):
        whole = aggregate_covariance(mu, logvar)
        optimizer.zero_grad()
        (off_diagonal_penalty(whole) + diagonal_penalty(whole)).backward()
        optimizer.step()
    torch.testing.assert_close(aggregate_covariance(mu, logvar), torch.eye(4), atol=1e-2, rtol=0)
