"""The parts of the KL against closed forms and full enumeration."""

import math
from itertools import combinations, permutations

import pytest
import torch

from trainables.losses.total_correlation import (
    EXACT_SAMPLES,
    batch_weights,
    corrected_total_correlation,
    decompose,
    exact_decomposition,
    exact_weights,
    gaussian_total_correlation,
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


def test_the_stratified_estimate_of_the_density_is_unbiased():
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


def independent(count, units, noise, seed):
    """Posteriors of independent units, z of unit variance."""
    return posteriors(count, torch.eye(units).tolist(), noise, seed)


@pytest.mark.parametrize("noise", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("count", [18, 64, 256, 1000])
def test_independent_units_have_no_total_correlation_however_few_the_samples(count, noise):
    units = 128
    found = [gaussian_total_correlation(*independent(count, units, noise, seed)[:2]) for seed in range(8)]
    assert max(map(abs, found)) < 0.1 * units / count
    assert sum(found) / len(found) == pytest.approx(0.0, abs=0.03 * units / count)


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_the_corrected_mixture_reads_nothing_of_independent_units_where_the_plain_one_reads_much(noise):
    mu, logvar, z = independent(18, 128, min(noise, 0.999), 3)
    assert abs(corrected_total_correlation(mu, logvar, z)) < 0.1 * 128 / 18
    if noise < 1.0:
        assert exact_decomposition(mu, logvar, z).total_correlation > 100


@pytest.mark.parametrize(("units", "rho"), [(2, 0.8), (6, 0.5), (20, 0.3)])
def test_the_total_correlation_of_gaussian_units_tends_to_its_closed_form(units, rho):
    correlation = torch.full((units, units), rho, dtype=torch.float64).fill_diagonal_(1.0)
    expected = -0.5 * torch.logdet(correlation).item()
    far, near = (
        torch.tensor(
            [gaussian_total_correlation(*posteriors(count, correlation.tolist(), 0.3, seed)[:2]) for seed in range(5)]
        ).sub(expected).abs().mean().item()
        for count in (100, 20_000)
    )  # fmt: skip
    assert near < 0.02 * expected
    assert near < far < 0.4 * expected


def test_scales_and_levels_of_the_units_do_not_matter():
    mu, logvar, _ = posteriors(400, correlated(0.5), 0.3)
    scale, shift = torch.tensor([100.0, 0.01]), torch.tensor([-3.0, 7.0])
    moved = gaussian_total_correlation(mu * scale + shift, logvar + 2 * scale.log())
    assert moved == pytest.approx(gaussian_total_correlation(mu, logvar))


def ring(noise):
    """The total correlation of two units on a circle of radius 1 with that noise, by integration."""
    side = torch.linspace(-2.5, 2.5, 251, dtype=torch.float64)
    angle = torch.linspace(0, 2 * math.pi, 361, dtype=torch.float64)[:-1]
    along = [(-((side[:, None] - mean) / noise).square() / 2).exp() for mean in (angle.cos(), angle.sin())]
    joint = along[0] @ along[1].T
    joint = joint / joint.sum()
    return torch.special.xlogy(joint, joint / (joint.sum(1, keepdim=True) * joint.sum(0))).sum().item()


def test_dependence_without_correlation_is_seen_by_the_mixture_alone():
    noise, found = 0.2, []
    for seed in range(5):
        angle = 2 * math.pi * torch.rand(400, generator=generator(seed), dtype=torch.float64)
        mu = torch.stack([angle.cos(), angle.sin()], dim=1)
        logvar = torch.full_like(mu, 2 * math.log(noise))
        z = mu + noise * torch.randn(mu.shape, generator=generator(seed + 100), dtype=torch.float64)
        assert abs(gaussian_total_correlation(mu, logvar)) < 0.02
        found.append(corrected_total_correlation(mu, logvar, z))
    assert sum(found) / len(found) == pytest.approx(ring(noise), rel=0.1)


@pytest.mark.parametrize("total", [0.5, 1.2])
def test_the_corrected_mixture_finds_the_total_correlation_of_overlapping_posteriors(total):
    found = [corrected_total_correlation(*posteriors(512, correlated(total), 0.15, seed)) for seed in range(0, 20, 2)]
    assert sum(found) / len(found) == pytest.approx(total, abs=0.1)


@pytest.mark.parametrize("mu", [torch.zeros(50, 8), torch.randn(50, 8) * torch.eye(8)[0], torch.randn(1, 8)])
def test_units_that_do_not_vary_depend_on_nothing(mu):
    assert gaussian_total_correlation(mu, torch.zeros_like(mu)) == 0.0
