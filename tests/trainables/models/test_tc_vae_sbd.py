"""tc_vae_sbd: the weight of the total correlation, the data set's size, the exact parts."""

import math

import numpy as np
import pytest
import torch

import search_spaces
from trainables.diagnostics import Decodes, LatentStatistics
from trainables.losses.kl import sample
from trainables.losses.total_correlation import exact_decomposition, total_correlation
from trainables.models import vae3d
from trainables.models.tc_vae_sbd import Model, Outputs, quadratic_form, term_weights
from trainables.schedules import Progress
from trainables.vae import Batch

SHAPE = (2, 16, 16, 16)
STATISTICS = {
    "modalities": np.array(["t1", "t2"]),
    "train_count": np.array(50),
}


def config(**changes):
    return search_spaces.load("tc_vae_sbd").documented() | {"width": 16, "z_dim": 6} | changes


def build(**changes) -> Model:
    torch.manual_seed(0)
    return Model(config(**changes), SHAPE, STATISTICS)


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count=4) -> Batch:
    return Batch(torch.randn(count, *SHAPE, generator=generator()), torch.full((count,), -1))


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_the_terms_are_those_of_vae3d_and_the_total_correlation(estimator):
    model = build(tc_estimator=estimator)
    outputs = model(batch(), generator())
    terms, plain = model.terms(outputs), vae3d.Model.terms(model, outputs)
    assert list(terms) == ["reconstruction", "kl", "tc"]
    assert all(torch.equal(terms[name], plain[name]) for name in plain)
    expected = total_correlation(outputs.mu, outputs.logvar, outputs.z, 50, estimator)
    assert torch.equal(terms["tc"], expected)
    assert terms["tc"].requires_grad


@pytest.mark.parametrize(
    ("changes", "share", "weight"),
    [
        ({"tc_warmup": 0.0, "pretrain": 0.0}, 0.01, 4.0),
        ({"tc_warmup": 0.4, "pretrain": 0.0}, 0.1, 1.0),
        ({"tc_warmup": 0.4, "pretrain": 0.2}, 0.2, 0.0),
        ({"tc_warmup": 0.4, "pretrain": 0.2}, 0.3, 1.0),
        ({"tc_warmup": 0.4, "pretrain": 0.2}, 0.6, 4.0),
    ],
)
def test_the_extra_weight_of_the_total_correlation_rises_after_pre_training(changes, share, weight):
    expected = {"reconstruction": 1.0, "kl": 1.0, "tc": pytest.approx(weight)}
    assert term_weights(config(tc_beta=5.0, **changes), Progress(share, 100)) == expected


def test_with_tc_beta_one_it_is_a_plain_vae():
    assert term_weights(config(tc_beta=1.0), Progress(1.0, 100))["tc"] == 0.0


@torch.no_grad()
def test_exact_parts_of_the_evaluation_set():
    rho = 0.9
    spread = torch.eye(6)
    spread[1, 0], spread[1, 1] = rho, math.sqrt(1 - rho**2)
    mu = torch.randn(500, 6, generator=generator()) @ spread.T
    logvar = torch.full((500, 6), -1.0)
    latent = LatentStatistics()
    z = sample(mu, logvar, generator(1))
    latent.add(Outputs(mu, logvar, z, mu, mu), Decodes([mu], mu, z=[z]))
    found = build().eval().set_measures(batch().x, latent, generator())
    exact = exact_decomposition(latent.mu, latent.logvar, latent.z[0])
    assert found["health/dw_kl"] == pytest.approx(exact.dimension_kl.item())
    correlation = rho / (1 + math.exp(-1))  # of z: var of mu is 1, that of the noise exp(−1)
    truth = -0.5 * math.log(1 - correlation**2)
    assert found["health/tc"] == pytest.approx(truth, abs=0.1)
    assert found["health/tc_mixture"] == pytest.approx(truth, abs=0.15)
    only_one = LatentStatistics()
    only_one.add(Outputs(torch.zeros(500, 6), torch.zeros(500, 6), mu, mu, mu), Decodes([mu], mu, z=[mu]))
    collapsed = build().eval().set_measures(batch().x, only_one, generator())
    assert collapsed["health/tc"] == 0.0
    assert collapsed["health/tc_mixture"] == pytest.approx(0.0, abs=1e-9)
    assert collapsed["health/dw_kl"] == pytest.approx(0.0, abs=1e-9)


def test_the_model_trains_in_both_phases():
    model = build(pretrain=0.5)
    for share, name in ((0.0, "conv"), (0.5, "sbd")):
        model.start_epoch(share)
        model.zero_grad()
        sum(model.train().loss_terms(batch(), generator()).values()).backward()
        trained = {key for key, part in model.decoder.decoders.items() if next(part.parameters()).grad is not None}
        assert trained == {name}


def test_the_estimate_of_independent_units_is_not_free():
    """From a few samples total correlation and information look alike; a collapsed posterior has neither."""
    form = quadratic_form(config(tc_beta=3.0, tc_warmup=0.0, pretrain=0.0), batch().x.numpy(), STATISTICS)
    assert form.penalty(np.zeros(6)) == pytest.approx(0.0, abs=1e-4)
    assert form.penalty(np.full(6, 0.99)) > form.penalty(np.full(6, 0.9)) > 0.1
    assert quadratic_form(config(tc_beta=1.0), batch().x.numpy(), STATISTICS).penalty is None


def test_quadratic_form_weighs_a_nat_with_one():
    x = batch().x.numpy()
    form = quadratic_form(config(free_bits=0.4), x, STATISTICS)
    assert (form.effective_variance, form.free_bits, form.latent_dim) == (x[0].size / 2, 0.4, 6)
