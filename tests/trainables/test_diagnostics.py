"""Diagnostics against models whose posterior is known in closed form."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trainables import definition
from trainables.diagnostics import (
    DRAWS,
    MEANS,
    Decodes,
    LatentStatistics,
    active_units,
    evaluate,
    mutual_information,
)
from trainables.losses.kl import kl_per_dim
from trainables.vae import Batch, Vae

SIGMA2 = 0.5
EIGENVALUES = torch.tensor([4.0, 2.0, 0.4, 0.1], dtype=torch.float64)  # two above sigma2
COUNT = 512


class LinearVae(Vae):
    """Probabilistic PCA (Tipping and Bishop 1999) of data with diagonal covariance EIGENVALUES.

    Posterior of unit k: mean √(λ − σ²) / λ · x_k, variance σ² / λ; a unit with λ ≤ σ² is at the prior.
    """

    def __init__(self, collapsed: bool = False) -> None:
        super().__init__({}, (len(EIGENVALUES),), {})
        loading = (EIGENVALUES - SIGMA2).clamp(min=0).sqrt()
        self.loading = loading
        self.read = torch.zeros_like(loading) if collapsed else loading / EIGENVALUES
        self.variance = torch.where(loading > 0, SIGMA2 / EIGENVALUES, torch.ones_like(loading))
        if collapsed:
            self.variance = torch.ones_like(loading)

    def encode(self, x):
        mu = x * self.read
        return mu, self.variance.log().expand_as(mu)

    def forward(self, batch, generator):
        mu, logvar = self.encode(batch.x)
        z = mu + self.variance.sqrt() * torch.randn(mu.shape, generator=generator, dtype=mu.dtype)
        return SimpleNamespace(mu=mu, logvar=logvar, z=z, prediction=self.decode(z), target=batch.x)

    def decode(self, z):
        return z * self.loading

    def terms(self, outputs):
        return {"kl": kl_per_dim(outputs.mu, outputs.logvar).sum(dim=1).mean()}

    def measures(self, outputs, prediction, target):
        return {"val/first": target[:, 0].mean()}


@pytest.fixture(scope="module")
def x():
    """Gaussian data whose sample mean is 0 and whose sample covariance is EIGENVALUES, exactly."""
    raw = np.random.default_rng(0).standard_normal((COUNT, 4))
    raw -= raw.mean(axis=0)
    left, _, right = np.linalg.svd(raw, full_matrices=False)
    return torch.from_numpy(left @ right * math.sqrt(COUNT)) * EIGENVALUES.sqrt()


def unlabelled(x):
    return Batch(x, torch.full((len(x),), -1))


def measured(model, x):
    batches = map(unlabelled, x.split([200, 200, 112]))
    return evaluate(model, batches, torch.Generator().manual_seed(0), len(x))[0]


def test_probabilistic_pca(x):
    metrics = measured(LinearVae(), x)
    active = EIGENVALUES > SIGMA2
    ratio = EIGENVALUES[active] / SIGMA2
    kl = float(0.5 * ratio.log().sum())
    recon = float((SIGMA2**2 / EIGENVALUES[active]).sum() + EIGENVALUES[~active].sum()) / 4
    assert metrics["health/au"] == 2
    assert metrics["health/au_frac"] == 0.5
    assert metrics["health/dims"] == 4
    assert metrics["health/kl_raw"] == pytest.approx(kl, rel=1e-5)
    assert metrics["health/kl_constrained"] == pytest.approx(kl, rel=1e-5)
    assert metrics["health/mi"] == pytest.approx(kl, abs=0.12)  # here q(z) is the prior: KL(q(z) ‖ p) = 0
    assert metrics["health/marginal_kl"] == pytest.approx(0.0, abs=0.12)
    assert metrics["health/mu_var_mean"] == pytest.approx(float((1 - 1 / ratio).sum()) / 4, rel=1e-5)
    assert metrics["health/logvar_mean"] == pytest.approx(float(-ratio.log().sum()) / 4, rel=1e-5)
    assert metrics["health/z_std"] == pytest.approx(1.0, abs=0.05)
    left = torch.where(active, SIGMA2 / EIGENVALUES, 1.0) * x[:MEANS]  # what decoded means leave of a sample
    assert metrics["health/recon_mu"] == pytest.approx(float(left.square().mean()), rel=1e-6)
    constant = EIGENVALUES * COUNT / (COUNT - 1)
    assert metrics["val/mse_constant"] == pytest.approx(float(constant.mean()), rel=1e-6)
    assert metrics["health/recon_z0"] == pytest.approx(float(EIGENVALUES.mean()), rel=1e-6)
    # decoded samples: σ² below and σ²(1 − σ²/λ) of noise on top, where a unit is active
    noise = torch.where(active, SIGMA2 * (EIGENVALUES - SIGMA2) / EIGENVALUES, 0.0)
    sampled = torch.where(active, SIGMA2**2 / EIGENVALUES, EIGENVALUES) + noise
    assert metrics["val/mse"] == pytest.approx(float(sampled.mean()), rel=0.05)
    assert metrics["health/draws"] == DRAWS
    # two draws that mirror each other at mu: a linear decoder's mean of them is that of mu
    assert metrics["health/recon_mean"] == pytest.approx(recon, rel=1e-6)
    assert metrics["val/r2"] == pytest.approx(1 - metrics["health/recon_mean"] / float(EIGENVALUES.mean()), rel=1e-5)
    # another sample's z: the decodes have variance λ − σ² about the same mean
    swapped = EIGENVALUES + (EIGENVALUES - SIGMA2).clamp(min=0)
    assert metrics["val/mse_swapped"] == pytest.approx(float(swapped.mean()), rel=0.05)
    assert metrics["health/z_gain"] == pytest.approx(1 - metrics["val/mse"] / metrics["val/mse_swapped"], rel=1e-9)
    gain = float((constant / sampled).log().sum()) / 8 - kl / 4
    assert metrics["val/elbo_gain"] == pytest.approx(gain, abs=0.02)
    decoded = ((EIGENVALUES - SIGMA2).clamp(min=0).square() / EIGENVALUES).sqrt()
    response = torch.where(active, 1 - SIGMA2 / EIGENVALUES, 0.0) * x[:MEANS]
    assert metrics["health/recon_delta"] == pytest.approx(float(response.square().mean().sqrt()), rel=1e-6)
    assert metrics["health/recon_std"] == pytest.approx(float(decoded.mean()), rel=1e-6)
    assert metrics["val/first"] == pytest.approx(0.0, abs=1e-9)  # only if batches weigh by their size


def test_a_model_that_decodes_its_mean_out_of_training_is_judged_by_samples(x):
    class Deterministic(LinearVae):
        def forward(self, batch, generator):
            mu, logvar = self.encode(batch.x)
            return SimpleNamespace(mu=mu, logvar=logvar, z=mu, prediction=self.decode(mu), target=batch.x)

    metrics, sampled = measured(Deterministic(), x), measured(LinearVae(), x)
    assert metrics["val/mse"] == pytest.approx(sampled["val/mse"], rel=0.05)
    assert metrics["val/mse"] > 1.2 * metrics["health/recon_mean"]
    assert metrics["health/z_std"] == pytest.approx(1.0, abs=0.05)


def test_an_encoder_at_the_prior(x):
    metrics = measured(LinearVae(collapsed=True), x)
    assert metrics["health/au"] == 0
    assert metrics["health/kl_raw"] == pytest.approx(0.0, abs=1e-12)
    assert metrics["health/mi"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["health/z_gain"] == pytest.approx(0.0, abs=0.005)
    assert metrics["health/mi"] == metrics["health/marginal_kl"] == 0.0
    assert metrics["val/elbo_gain"] <= 0  # decodes are noise of the prior, swapped or not


def test_evaluation_repeats_with_the_same_noise(x):
    assert measured(LinearVae(), x) == measured(LinearVae(), x)


def test_active_units_use_the_population_variance():
    mu = torch.tensor([[0.0, 0.0, 5.0], [0.21, 0.19, 5.0]])  # variances 0.011, 0.009, 0
    assert active_units(mu).tolist() == [True, False, False]


def test_mutual_information_against_the_double_loop():
    generator = torch.Generator().manual_seed(1)
    mu, noise = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
    logvar = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    z = mu + noise * torch.exp(0.5 * logvar)
    total = 0.0
    for i in range(7):
        density = []
        for j in range(7):
            density.append(
                math.prod(
                    math.exp(-0.5 * (z[i, k] - mu[j, k]) ** 2 / math.exp(logvar[j, k]))
                    / math.sqrt(2 * math.pi * math.exp(logvar[j, k]))
                    for k in range(3)
                )
            )
        total += math.log(density[i]) - math.log(sum(density) / 7)
    kl = float(kl_per_dim(mu, logvar).sum(dim=1).mean())
    assert 0 < total / 7 < min(kl, math.log(7))  # or the bounds would decide
    assert mutual_information(mu, logvar, z[None]) == pytest.approx(total / 7, rel=1e-9)
    assert mutual_information(mu, logvar, torch.stack([z, z])) == pytest.approx(total / 7, rel=1e-9)


def test_mutual_information_never_exceeds_the_kl_nor_falls_below_0():
    generator = torch.Generator().manual_seed(3)
    for scale in (0.0, 0.01, 0.1, 1.0):
        mu = scale * torch.randn(40, 16, generator=generator, dtype=torch.float64)
        logvar = scale * torch.randn(40, 16, generator=generator, dtype=torch.float64)
        z = mu + torch.randn(1, 40, 16, generator=generator, dtype=torch.float64) * torch.exp(0.5 * logvar)
        information = mutual_information(mu, logvar, z)
        assert 0 <= information <= float(kl_per_dim(mu, logvar).sum(dim=1).mean())


def test_mutual_information_is_at_most_the_log_of_the_samples():
    mu = 1000.0 * torch.arange(50.0)[:, None]
    logvar = torch.zeros(50, 1)
    assert mutual_information(mu, logvar, mu[None]) == pytest.approx(math.log(50), abs=1e-9)
    assert mutual_information(torch.zeros(50, 1), logvar, mu[None]) == pytest.approx(0.0, abs=1e-9)


def test_mutual_information_uses_at_most_512_samples():
    mu = 1000.0 * torch.arange(700.0)[:, None]
    assert mutual_information(mu, torch.zeros(700, 1), mu[None]) == pytest.approx(math.log(512), abs=1e-9)


def test_raw_kl_is_mutual_information_plus_marginal_kl():
    latent = LatentStatistics()
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        mu, z = torch.randn(2, 20, 5, generator=generator)
        latent.add(SimpleNamespace(mu=mu, logvar=torch.full_like(mu, -1.0)), Decodes([z], z, z=[mu + z, mu - z]))
    metrics = latent.metrics()
    assert metrics["health/marginal_kl"] > 0.01
    assert metrics["health/kl_raw"] == pytest.approx(metrics["health/mi"] + metrics["health/marginal_kl"])
    assert metrics["health/kl_raw"] == pytest.approx(float(latent.kl_per_dim().sum()))
    assert latent.mu.shape == (60, 5)
    assert latent.z.shape == (2, 60, 5)
    assert len(latent.by_dimension()["latent/kl"]) == len(latent.by_dimension()["latent/mu_var"]) == 5
    assert sum(latent.by_dimension()["latent/kl"]) == pytest.approx(metrics["health/kl_raw"])


def test_no_loss_weight_rescales_the_score(few, config):
    module = definition.load("imc_vae")
    x = torch.from_numpy(few.x[few.val])
    found = []
    torch.manual_seed(0)
    state = module.Model(config(), few.shape, few.statistics).state_dict()
    for changes in (
        {},
        {"kld_loss_scale": 5e-3, "cosine_loss_weight": 0.0, "gradient_loss_weight": 2.0, "perm_loss_scale": 1.5},
        {"kld_free_bits": 4.0},
    ):
        model = module.Model(config(**changes), few.shape, few.statistics)
        model.load_state_dict(state)
        found.append(evaluate(model, [unlabelled(x)], torch.Generator().manual_seed(0), len(x))[0])
    assert found[0] == found[1]
    assert found[0]["val/elbo_gain"] == found[2]["val/elbo_gain"]
    assert found[2]["health/kl_constrained"] > found[0]["health/kl_constrained"] + 8
    assert found[0]["health/kl_raw"] == found[2]["health/kl_raw"]
