"""dip_vae_sbd: penalties, their schedule, phases, and diagnostics that collapse cannot flatter."""

import numpy as np
import pytest
import torch

import search_spaces
from trainables.data.cache import prepare
from trainables.diagnostics import Decodes, LatentStatistics
from trainables.forecast import Forecaster
from trainables.losses.covariance import aggregate_covariance
from trainables.models import dip_vae_sbd, vae3d
from trainables.models.dip_vae_sbd import Model, Outputs, quadratic_form, term_weights
from trainables.schedules import Progress
from trainables.vae import Batch

SHAPE = (2, 16, 16, 16)
STATISTICS = {"modalities": np.array(["t1", "t2"])}


def config(**changes):
    return search_spaces.load("dip_vae_sbd").documented() | {"width": 16, "z_dim": 6} | changes


def build(**changes) -> Model:
    torch.manual_seed(0)
    return Model(config(**changes), SHAPE, STATISTICS)


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def volumes(count=4, seed=0):
    return torch.randn(count, *SHAPE, generator=generator(seed))


def batch(x) -> Batch:
    return Batch(x, torch.full((len(x),), -1))


def test_the_terms_are_those_of_vae3d_and_the_covariance():
    model = build()
    outputs = model(batch(volumes()), generator())
    terms = model.terms(outputs)
    plain = vae3d.Model.terms(model, outputs)
    assert list(terms) == ["reconstruction", "kl", "cov_offdiag", "cov_diag"]
    assert all(torch.equal(terms[name], plain[name]) for name in plain)
    covariance = aggregate_covariance(outputs.mu, outputs.logvar)
    diagonal = covariance.diagonal()
    off_diagonal = covariance.square().sum() - diagonal.square().sum()
    assert terms["cov_offdiag"].item() == pytest.approx(off_diagonal.item(), rel=1e-3)
    assert terms["cov_diag"].item() == pytest.approx((diagonal - 1).square().sum().item())
    sum(terms.values()).backward()
    assert model.encoder.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("changes", "share", "ramp"),
    [
        ({"lambda_start": 0.0, "lambda_cov_annealing": 0.2, "pretrain": 0.0}, 0.1, 0.5),
        ({"lambda_start": 0.0, "lambda_cov_annealing": 0.2, "pretrain": 0.0}, 0.2, 1.0),
        ({"lambda_start": 0.3, "lambda_cov_annealing": 0.2, "pretrain": 0.0}, 0.3, 0.0),
        ({"lambda_start": 0.3, "lambda_cov_annealing": 0.2, "pretrain": 0.0}, 0.4, 0.5),
        ({"lambda_start": 0.0, "lambda_cov_annealing": 0.2, "pretrain": 0.4}, 0.4, 0.0),
        ({"lambda_start": 0.0, "lambda_cov_annealing": 0.2, "pretrain": 0.4}, 0.5, 0.5),
        ({"lambda_start": 0.0, "lambda_cov_annealing": 0.0, "pretrain": 0.0}, 0.01, 1.0),
        ({"lambda_start": 1.0, "lambda_cov_annealing": 0.0, "pretrain": 0.0}, 1.0, 0.0),
    ],
)
def test_the_penalties_start_late_and_rise(changes, share, ramp):
    weights = term_weights(config(lambda_od=20.0, lambda_d_ratio=0.1, kl_beta=2.0, **changes), Progress(share, 100))
    assert weights == {
        "reconstruction": 1.0,
        "kl": 2.0,
        "cov_offdiag": pytest.approx(20.0 * ramp),
        "cov_diag": pytest.approx(2.0 * ramp),
    }


def test_pre_training_uses_the_plain_decoder_and_no_penalty():
    model, x = build(pretrain=0.5, decoder="film"), volumes()
    for share, name in ((0.0, "conv"), (0.5, "film")):
        model.start_epoch(share)
        outputs = model.train()(batch(x), generator())
        assert torch.equal(outputs.prediction, model.decoder.decoders[name](outputs.z))
        model.zero_grad()
        sum(model.terms(outputs).values()).backward()
        other = model.decoder.decoders["film" if name == "conv" else "conv"]
        assert all(p.grad is None for p in other.parameters())
    assert term_weights(config(pretrain=0.5), Progress(0.5, 100))["cov_offdiag"] == 0.0


@pytest.mark.parametrize("decoder", search_spaces.load("dip_vae_sbd")["decoder"].choices)
def test_every_decoder_trains(decoder):
    model = build(decoder=decoder, pretrain=0.0)
    sum(model.loss_terms(batch(volumes()), generator()).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@torch.no_grad()
def set_measures(mu, logvar):
    latent = LatentStatistics()
    latent.add(Outputs(mu, logvar, mu, mu, mu), Decodes([mu], mu, z=[mu]))
    return build().eval().set_measures(volumes(), latent, generator())


def test_the_two_halves_of_the_covariance_are_told_apart():
    mu = torch.randn(100, 6, generator=generator())
    collapsed = set_measures(torch.zeros(100, 6), torch.zeros(100, 6))
    informed = set_measures(mu, torch.full((100, 6), -4.0))
    assert collapsed["health/cov_mu_diag_mean"] == collapsed["health/cov_mu_offdiag"] == 0.0
    assert collapsed["health/mean_posterior_var"] == 1.0
    assert informed["health/cov_mu_diag_mean"] == pytest.approx(mu.var(dim=0, correction=0).mean().item(), rel=1e-5)
    assert informed["health/mean_posterior_var"] == pytest.approx(np.exp(-4))
    covariance = torch.cov(mu.T, correction=0)
    expected = (covariance - covariance.diagonal().diag()).square().sum().item()
    assert informed["health/cov_mu_offdiag"] == pytest.approx(expected, rel=1e-4)
    assert {"health/latent_correlation", "health/shift_sensitivity"} <= set(informed)


@pytest.mark.parametrize("batch", [4, 16])
def test_the_penalty_of_independent_units(batch):
    """Chance covariances of a batch: E Cov² = m_i m_j (B − 1) / B², and on the diagonal m² (2 B − 1) / B²."""
    penalties = {"lambda_od": 3.0, "lambda_d_ratio": 0.1, "lambda_start": 0.0, "pretrain": 0.0}
    form = quadratic_form(config(z_dim=64, batch_size=batch, **penalties), volumes().numpy(), STATISTICS)
    carried = np.linspace(0.9, 0.1, 64)
    pairs = carried.sum() ** 2 - np.square(carried).sum()
    diagonal = np.square(carried).sum() * (2 * batch - 1) / batch**2
    assert form.penalty(carried) == pytest.approx(3.0 * pairs * (batch - 1) / batch**2 + 0.3 * diagonal, rel=0.2)
    assert form.penalty(np.zeros(64)) == pytest.approx(0.0, abs=1e-6)


def test_without_penalties_there_is_nothing_to_pay():
    assert quadratic_form(config(lambda_start=1.0), volumes().numpy(), STATISTICS).penalty is None


def test_the_audited_run_is_forecast_to_collapse(tmp_path):
    """It was forecast 128 of 128 units, for its free bits."""
    space = search_spaces.load("dip_vae_sbd").on_embedded()
    settings = space.data_settings() | {"image_size": 16, "subset": 64, "strict": False}
    data = prepare(dip_vae_sbd.READER, None, tmp_path, settings)
    forecaster = Forecaster.of(dip_vae_sbd, data)
    assert forecaster.forecast(space.baseline()).au == 0
    weak = space.baseline() | {"kl_beta": 1e-4}
    units = [forecaster.forecast(weak | {"lambda_od": weight}).au for weight in (0.0, 1e-3, 1e-1, 10.0)]
    assert units == sorted(units, reverse=True)
    assert units[0] > 10
    assert units[-1] == 0, "its penalties alone forbid what its KL would allow"


def test_quadratic_form_is_that_of_vae3d():
    x = volumes().numpy()
    form = quadratic_form(config(kl_beta=3.0, free_bits=0.4), x, STATISTICS)
    plain = vae3d.quadratic_form(config(kl_beta=3.0, free_bits=0.4), x, STATISTICS)
    assert (form.effective_variance, form.free_bits, form.latent_dim) == (3.0 * x[0].size / 2, 0.4, 6)
    assert form.unit_weight == plain.unit_weight
    assert dip_vae_sbd.READER is vae3d.READER
