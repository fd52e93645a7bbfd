"""The parts of the KL against closed forms and full enumeration."""

import math
from itertools import combinations, permutations

import pytest
import torch

from trainables.total_correlation import (
    EXACT_SAMPLES,
    batch_weights,
    decompose,
    exact_decomposition,
    exact_weights,
    log_normal,
    total_correlation,
)


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def posteriors(count, covariance, noise, seed=0):
    """mu, logvar and a draw z of posteriors whose aggregate is N(0, covariance)."""
    covariance = torch.tensor(covariance, dtype=torch.float64)
    units = len(covariance)
    spread = torch.linalg.cholesky(covariance - noise**2 * torch.eye(units, dtype=torch.float64))
    mu = torch.randn(count, units, generator=generator(seed), dtype=torch.float64) @ spread.T
    z = mu + noise * torch.randn(count, units, generator=generator(seed + 1), dtype=torch.float64)
    return mu, torch.full_like(mu, 2 * math.log(noise)), z


def correlated(total):
    """The covariance of two units with unit variance and that total correlation."""
    rho = math.sqrt(1 - math.exp(-2 * total))
    return [[1.0, rho], [rho, 1.0]]


CASES = [correlated(0.0), correlated(0.5), [[2.0, 1.0], [1.0, 0.8]]]


@pytest.mark.parametrize("covariance", CASES)
def test_exact_parts_of_a_known_aggregate_posterior(covariance):
    noise = 0.3
    parts = [exact_decomposition(*posteriors(EXACT_SAMPLES, covariance, noise, seed)) for seed in range(0, 40, 2)]
    mutual_information, total, dimension = torch.tensor(parts).mean(dim=0).tolist()
    matrix = torch.tensor(covariance)
    variances = matrix.diagonal()
    log_det = torch.logdet(matrix).item()
    assert mutual_information == pytest.approx(0.5 * log_det - 2 * math.log(noise), abs=0.1)
    assert total == pytest.approx(0.5 * (variances.log().sum().item() - log_det), abs=0.07)
    assert dimension == pytest.approx(0.5 * (variances - 1 - variances.log()).sum().item(), abs=0.05)


@pytest.mark.parametrize("batch", [64, 256])
def test_a_total_correlation_of_two_is_found_from_batches(batch):
    mu, logvar, z = posteriors(20_000, correlated(2.0), 0.09)
    found = [
        total_correlation(*(x[start : start + batch] for x in (mu, logvar, z)), samples=len(mu)).item()
        for start in range(0, len(mu) - batch, batch)
    ]
    assert sum(found) / len(found) == pytest.approx(2.0, abs=0.25)


def test_the_parts_add_up_to_the_kl_at_the_draws():
    mu, logvar, z = posteriors(100, [[2.0, 1.0], [1.0, 1.0]], 0.5)
    kl = (log_normal(z, mu, logvar) - log_normal(z, torch.zeros_like(z), torch.zeros_like(z))).sum(dim=1).mean()
    for weights in (exact_weights(100), batch_weights(100, 1000), batch_weights(100, 1000, "weighted")):
        assert sum(decompose(mu, logvar, z, weights)).item() == pytest.approx(kl.item())


def mixtures(estimator):
    """q(z_i) of sample 0 estimated from every batch of 3 out of 6, and as it is."""
    mu, logvar, z = posteriors(6, correlated(0.5), 0.4)
    q_66 = log_normal(z[:, None], mu[None], logvar[None]).sum(dim=2).exp()
    weights = batch_weights(3, 6, estimator).double().exp()
    found = [(weights[0] * q_66[0, [0, *others]]).sum() for others in combinations(range(1, 6), 2)]
    return torch.stack(found).mean().item(), q_66[0].mean().item(), q_66[0]


def test_the_stratified_estimate_is_unbiased():
    found, truth, _ = mixtures("stratified")
    assert found == pytest.approx(truth, rel=1e-6)


def test_the_weighted_estimate_counts_the_own_posterior_too_often():
    found, _, q_6 = mixtures("weighted")
    assert found == pytest.approx((q_6[0] + 2 * q_6[1:].mean()).item() / (6 * 3), rel=1e-6)


def test_stratified_weights_are_those_of_the_paper_in_any_order():
    samples, batch = 10, 5
    others = batch - 1
    paper = [1 / others] * (others - 1) + [(samples - others) / (samples * others)]
    orders = torch.tensor(list(permutations(paper)))
    weights = batch_weights(batch, samples).exp()
    torch.testing.assert_close(weights.diagonal(), torch.full((batch,), 1 / samples))
    torch.testing.assert_close(weights[0, 1:], orders.mean(dim=0))
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(batch))


def test_with_the_whole_data_set_stratified_is_exact_and_weighted_off_by_a_constant():
    parts = posteriors(50, [[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]], 0.3)
    exact = exact_decomposition(*parts)
    close = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(torch.stack(decompose(*parts, batch_weights(50, 50))), torch.stack(exact), **close)
    off = math.log(50)
    weighted = decompose(*parts, batch_weights(50, 50, "weighted"))
    expected = (exact[0] + off, exact[1] + 2 * off, exact[2] - 3 * off)
    torch.testing.assert_close(torch.stack(weighted), torch.stack(expected), **close)


def test_a_collapsed_encoder_has_neither_information_nor_total_correlation():
    mu, logvar = torch.full((64, 16), 0.2), torch.zeros(64, 16)
    z = mu + torch.randn(64, 16, generator=generator())
    for parts in (exact_decomposition(mu, logvar, z), decompose(mu, logvar, z, batch_weights(64, 1000))):
        assert parts.mutual_information.item() == pytest.approx(0.0, abs=1e-4)
        assert parts.total_correlation.item() == pytest.approx(0.0, abs=1e-4)
    weighted = decompose(mu, logvar, z, batch_weights(64, 1000, "weighted"))
    assert weighted.mutual_information.item() == pytest.approx(math.log(1000), abs=1e-3)
    assert weighted.total_correlation.item() == pytest.approx(15 * math.log(1000), abs=1e-2)


def test_a_batch_of_one_has_no_total_correlation():
    mu, logvar, z = posteriors(1, correlated(0.5), 0.4)
    assert total_correlation(mu, logvar, z, 100).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_descending_it_decorrelates(estimator):
    mu, logvar, _ = (x.float() for x in posteriors(128, correlated(1.0), 0.2))
    mu.requires_grad_()
    optimizer = torch.optim.Adam([mu], lr=0.02)
    before = torch.corrcoef(mu.detach().T)[0, 1].item()
    noise = generator(5)
    for _ in range(100):
        z = mu + 0.2 * torch.randn(mu.shape, generator=noise)
        optimizer.zero_grad()
        total_correlation(mu, logvar, z, 128, estimator).backward()
        optimizer.step()
    assert abs(torch.corrcoef(mu.detach().T)[0, 1].item()) < 0.5 * before


def test_autocast_does_not_lower_the_precision():
    mu, logvar, z = (x.float() for x in posteriors(16, correlated(0.5), 0.3))
    expected = total_correlation(mu, logvar, z, 100)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(total_correlation(mu, logvar, z, 100), expected)
