"""Diagnostics against models whose posterior is known in closed form."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trainables import models
from trainables.diagnostics import (
    LatentStatistics,
    ReconstructionStatistics,
    active_units,
    elbo_gain,
    evaluate,
    mutual_information,
)
from trainables.kl import kl_per_dim
from trainables.vae import Batch, Vae

SIGMA2 = 0.5
EIGENVALUES = torch.tensor([4.0, 2.0, 0.4, 0.1], dtype=torch.float64)  # two above sigma2
COUNT = 512


class LinearVae(Vae):
    """Probabilistic PCA (Tipping and Bishop 1999) of data with diagonal covariance EIGENVALUES.

    Posterior of unit k: mean √(λ − σ²) / λ · x_k, variance σ² / λ; a unit with λ ≤ σ² is at the prior.
    """

    def __init__(self, collapsed: bool = False) -> None:
        super().__init__()
        loading = (EIGENVALUES - SIGMA2).clamp(min=0).sqrt()
        self.loading = loading
        self.read = torch.zeros_like(loading) if collapsed else loading / EIGENVALUES
        self.variance = torch.where(loading > 0, SIGMA2 / EIGENVALUES, torch.ones_like(loading))
        if collapsed:
            self.variance = torch.ones_like(loading)
        self.fixed_mean = torch.zeros(4, dtype=torch.float64)

    def forward(self, batch, generator):
        mu = batch.x * self.read
        z = mu + self.variance.sqrt() * torch.randn(mu.shape, generator=generator, dtype=mu.dtype)
        logvar = self.variance.log().expand_as(mu)
        return SimpleNamespace(mu=mu, logvar=logvar, z=z, prediction=self.decode(z))

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
    return evaluate(model, map(unlabelled, x.split([200, 200, 112])), torch.Generator().manual_seed(0))[0]


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
    assert metrics["health/recon_mu"] == pytest.approx(recon, rel=1e-6)
    assert metrics["val/mse_mean"] == pytest.approx(float(EIGENVALUES.sum()) / 4, rel=1e-6)
    assert metrics["health/recon_z0"] == pytest.approx(metrics["val/mse_mean"], rel=1e-9)
    assert metrics["health/z_gain"] == pytest.approx(1 - recon / metrics["val/mse_mean"], rel=1e-6)
    assert metrics["val/r2"] == pytest.approx(metrics["health/z_gain"], rel=1e-5)
    sampled = (2 * SIGMA2 + float(EIGENVALUES[~active].sum())) / 4
    assert metrics["val/mse"] == pytest.approx(sampled, rel=0.05)
    gain = 0.5 * math.log(metrics["val/mse_mean"] / metrics["val/mse"]) - kl / 4
    assert metrics["val/elbo_gain"] == pytest.approx(gain, rel=1e-6)
    decoded = ((EIGENVALUES - SIGMA2).clamp(min=0).square() / EIGENVALUES).sqrt()
    assert metrics["health/recon_delta"] == pytest.approx(float(decoded.square().mean().sqrt()), rel=1e-6)
    assert metrics["health/recon_std"] == pytest.approx(float(decoded.mean()), rel=1e-6)
    assert metrics["val/first"] == pytest.approx(0.0, abs=1e-9)  # only if batches weigh by their size


def test_an_encoder_at_the_prior(x):
    metrics = measured(LinearVae(collapsed=True), x)
    assert metrics["health/au"] == 0
    assert metrics["health/kl_raw"] == pytest.approx(0.0, abs=1e-12)
    assert metrics["health/mi"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["health/z_gain"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["health/recon_delta"] == 0.0
    assert metrics["val/elbo_gain"] < 0


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
    assert mutual_information(mu, logvar, z) == pytest.approx(total / 7, rel=1e-9)


def test_mutual_information_is_at_most_the_log_of_the_samples():
    mu = 1000.0 * torch.arange(50.0)[:, None]
    logvar = torch.zeros(50, 1)
    assert mutual_information(mu, logvar, mu) == pytest.approx(math.log(50), abs=1e-9)
    assert mutual_information(torch.zeros(50, 1), logvar, mu) == pytest.approx(0.0, abs=1e-9)


def test_mutual_information_uses_at_most_512_samples():
    mu = 1000.0 * torch.arange(700.0)[:, None]
    assert mutual_information(mu, torch.zeros(700, 1), mu) == pytest.approx(math.log(512), abs=1e-9)


def test_raw_kl_is_mutual_information_plus_marginal_kl():
    latent = LatentStatistics()
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        mu, z = torch.randn(2, 20, 5, generator=generator)
        latent.add(SimpleNamespace(mu=mu, logvar=torch.full_like(mu, -1.0), z=z))
    metrics = latent.metrics()
    assert metrics["health/marginal_kl"] > 0.01
    assert metrics["health/kl_raw"] == pytest.approx(metrics["health/mi"] + metrics["health/marginal_kl"])
    assert metrics["health/kl_raw"] == pytest.approx(float(latent.kl_per_dim().sum()))
    assert latent.mu().shape == (60, 5)


@pytest.mark.parametrize(
    ("mean", "model", "rate", "dims", "gain"),
    [
        (1.0, math.exp(-2.0), 0.0, 10, 1.0),
        (1.0, math.exp(-2.0), 5.0, 10, 0.5),
        (1.0, 1.0, 3.0, 10, -0.3),
        (4.0, 1.0, 0.0, 7, math.log(2.0)),
    ],
)
def test_elbo_gain(mean, model, rate, dims, gain):
    assert elbo_gain(mean, model, rate, dims) == pytest.approx(gain)


@pytest.mark.parametrize("error", [0.0, -1.0, math.nan, math.inf])
def test_elbo_gain_of_an_impossible_error_is_nan(error):
    assert math.isnan(elbo_gain(1.0, error, 0.0, 10))


def test_reconstruction_of_the_training_mean_gains_nothing():
    statistics = ReconstructionStatistics()
    target = torch.randn(30, 2, 3, generator=torch.Generator().manual_seed(0))
    constant = torch.zeros_like(target)
    statistics.add(target, dict.fromkeys(("mean", "mu", "z", "zero"), constant), target.numel())
    assert statistics.metrics(0.0, ["mean"])["val/elbo_gain"] == pytest.approx(0.0, abs=1e-12)
    assert statistics.metrics(0.0, ["mean"])["health/recon_std"] == 0.0
    assert statistics.metrics(6.0, ["mean"])["val/elbo_gain"] == pytest.approx(-1.0)


def test_what_reaches_the_decoder_past_the_latent_earns_nothing():
    statistics = ReconstructionStatistics()
    target = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    good, bad = 0.9 * target, torch.zeros_like(target)
    predictions = {"mean": bad, "mu": good, "z": good, "zero": bad, "shuffled": good}
    statistics.add(target, predictions, target.numel())
    metrics = statistics.metrics(3.0, ["mean", "zero", "shuffled"])
    assert metrics["val/elbo_gain"] == pytest.approx(-0.5)  # the rate alone
    assert metrics["health/z_gain"] == pytest.approx(0.0)
    assert metrics["health/recon_shuffled"] == pytest.approx(metrics["health/recon_mu"])


def test_only_the_values_that_count_enter_the_mean():
    statistics = ReconstructionStatistics()
    target = torch.cat([torch.ones(5, 2), torch.zeros(5, 2)], dim=1)  # the second half is masked out
    half, nothing = 0.5 * target, torch.zeros_like(target)
    statistics.add(target, {"mean": nothing, "mu": half, "z": half, "zero": nothing}, dims=10)
    assert statistics.mse("mean") == pytest.approx(1.0)
    assert statistics.metrics(0.0, ["mean"])["val/elbo_gain"] == pytest.approx(np.log(2.0))


def test_no_loss_weight_rescales_the_score(few, config):
    module = models.load("imc_vae")
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
        found.append(evaluate(model, [unlabelled(x)], torch.Generator().manual_seed(0))[0])
    assert found[0] == found[1]
    assert found[0]["val/elbo_gain"] == found[2]["val/elbo_gain"]
    assert found[2]["health/kl_constrained"] > found[0]["health/kl_constrained"] + 8
    assert found[0]["health/kl_raw"] == found[2]["health/kl_raw"]
