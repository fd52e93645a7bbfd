"""vae3d: loss terms by hand, measures, schedule, forecast."""

import math

import numpy as np
import pytest
import torch

import search_spaces
from trainables.diagnostics import Decodes, LatentStatistics
from trainables.losses.kl import kl_per_dim
from trainables.models.vae3d import Model, Outputs, kl_cycles, mean_correlation, quadratic_form, term_weights
from trainables.schedules import END, Progress
from trainables.vae import Batch

SHAPE = (2, 16, 16, 16)


def statistics(shape=SHAPE) -> dict[str, np.ndarray]:
    names = ("t1", "t1ce", "t2", "flair")[: shape[0]]
    return {"modalities": np.array(names), "train_count": np.array(100)}


def config(**changes):
    return search_spaces.load("vae3d").documented() | {"width": 16, "z_dim": 6} | changes


def build(shape=SHAPE, **changes) -> Model:
    torch.manual_seed(0)
    return Model(config(**changes), shape, statistics(shape))


def volumes(count=3, shape=SHAPE, seed=0):
    return torch.randn(count, *shape, generator=generator(seed))


def batch(x) -> Batch:
    return Batch(x, torch.full((len(x),), -1))


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs_of(mu, logvar, prediction=None, target=None) -> Outputs:
    empty = torch.zeros(len(mu), *SHAPE)
    return Outputs(mu, logvar, mu, *(empty if x is None else x for x in (prediction, target)))


@pytest.mark.parametrize("shape", [(4, 32, 32, 32), (1, 16, 16, 16)])
def test_shapes_and_gradients(shape):
    model = build(shape)
    outputs = model(batch(volumes(2, shape)), generator())
    assert outputs.mu.shape == outputs.logvar.shape == outputs.z.shape == (2, 6)
    assert outputs.prediction.shape == outputs.target.shape == (2, *shape)
    sum(model.terms(outputs).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_forward_and_encode_agree():
    model, x = build().eval(), volumes()
    outputs = model(batch(x), generator())
    torch.testing.assert_close((outputs.mu, outputs.logvar), model.encode(x))
    torch.testing.assert_close(outputs.prediction, model.decode(outputs.z))
    assert torch.equal(outputs.z, model(batch(x), generator()).z)
    assert not torch.equal(outputs.z, model(batch(x), generator(1)).z)


def test_the_reconstruction_is_the_mean_over_voxels_and_modalities():
    target, prediction = volumes(), volumes(seed=1)
    terms = build().terms(outputs_of(torch.zeros(3, 6), torch.zeros(3, 6), prediction, target))
    expected = (prediction - target).double().square().sum() / (3 * 2 * 16**3)
    assert terms["reconstruction"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_free_bits_floor_the_mean_over_the_batch():
    mu = torch.zeros(2, 6)
    mu[0, 0] = 2.0  # 2 nats in one sample, 0 in the other: 1 in the mean
    mu[:, 1] = math.sqrt(0.2)  # 0.1 nats in both
    terms = build(free_bits=0.3).terms(outputs_of(mu, torch.zeros(2, 6)))
    assert terms["kl"].item() == pytest.approx(1.0 + 5 * 0.3)
    raw = build(free_bits=0.0).terms(outputs_of(mu, torch.zeros(2, 6)))["kl"]
    assert raw.item() == pytest.approx(kl_per_dim(mu, torch.zeros(2, 6)).sum(dim=1).mean().item())


@pytest.mark.parametrize(("share", "weight"), [(0.0625, 0.5), (0.125, 1.0), (0.25, 1.0), (0.3125, 0.5), (1.0, 1.0)])
def test_the_kl_weight_rises_in_every_cycle(share, weight):
    expected = {"reconstruction": 1.0, "kl": pytest.approx(2.0 * weight)}
    assert term_weights(config(kl_beta=2.0, kl_cycles=4), Progress(share, 100)) == expected


def test_cycles():
    assert kl_cycles(config(kl_cycles=2), 100) == 2.0


def test_measures_name_the_modalities():
    shape = (4, 16, 16, 16)
    model, x = build(shape), volumes(3, shape)
    x[:, 1] *= 3.0
    decoded, sampled = x + 0.3 * volumes(3, shape, 1), x + 0.6 * volumes(3, shape, 1)
    outputs = Outputs(torch.zeros(3, 6), torch.zeros(3, 6), torch.zeros(3, 6), sampled, x)
    found = model.measures(outputs, decoded, x)
    names = {f"val/{kind}/{name}" for kind in ("ssim", "psnr") for name in ("t1", "t1ce", "t2", "flair")}
    assert set(found) == names | {"val/ssim", "val/psnr", "val/ssim_sampled", "val/psnr_sampled"}
    for kind in ("ssim", "psnr"):
        each = torch.stack([found[f"val/{kind}/{name}"] for name in ("t1", "t1ce", "t2", "flair")])
        assert found[f"val/{kind}"].item() == pytest.approx(each.mean().item())
    assert found["val/psnr"] - found["val/psnr_sampled"] == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert found["val/ssim"] > found["val/ssim_sampled"]
    assert found["val/psnr/t1ce"] > found["val/psnr/t1"]  # the same error in a wider range


@torch.no_grad()
def test_set_measures():
    model, x = build().eval(), volumes(4)
    latent = LatentStatistics()
    mu, logvar = model.encode(x)
    latent.add(Outputs(mu, logvar, mu, x, x), Decodes([x], x, z=[mu]))
    found = model.set_measures(x, latent, generator())
    assert found["health/latent_correlation"] == pytest.approx(
        (torch.corrcoef(mu.T).abs().sum().item() - 6) / 30, abs=1e-4
    )
    moved = torch.cat([model.encode(x.roll(1, dims=axis))[0] - mu for axis in (2, 3, 4)])
    assert found["health/shift_sensitivity"] == pytest.approx(moved.square().mean().sqrt().item())
    assert model.set_measures(torch.ones(4, *SHAPE), latent, generator())["health/shift_sensitivity"] < 1e-6


def test_constant_units_correlate_with_none():
    mu = torch.tensor([[1.0, 2.0, 5.0], [2.0, 4.0, 5.0], [4.0, 8.0, 5.0]])
    assert mean_correlation(mu) == pytest.approx(2 / 6)
    assert mean_correlation(mu[:, :1]) == 0.0


@pytest.mark.parametrize("side", [16, 32])
def test_quadratic_form_is_the_loss(side):
    """Weight and features on the difference of two data sets equal the model's own term for that error."""
    first, second = (volumes(3, (2, side, side, side), seed).numpy() for seed in (0, 1))
    ((weight, one),) = quadratic_form(config(), first, {}).features
    ((_, two),) = quadratic_form(config(), second, {}).features
    outputs = outputs_of(torch.zeros(3, 6), torch.zeros(3, 6), torch.from_numpy(second), torch.from_numpy(first))
    expected = build().terms(outputs)["reconstruction"].item()
    assert weight * np.square(two() - one()).sum() / 3 == pytest.approx(expected, rel=1e-4)


def test_effective_variance_of_the_documented_configuration():
    documented = search_spaces.load("vae3d").documented()
    x = np.broadcast_to(np.float32(0), (2, 4, 128, 128, 128))
    form = quadratic_form(documented, x, {})
    assert form.effective_variance == 4 * 128**3 / 2 == pytest.approx(4.2e6, rel=2e-3)
    assert (form.free_bits, form.latent_dim) == (0.3, 128)
    assert form.kl_weight == term_weights(documented, END)["kl"]


def test_a_few_steps_learn_what_varies():
    """Volumes with one bright half: which half is in z, the mean volume knows nothing of it."""
    side = torch.arange(24) % 2
    x = 0.05 * volumes(24)
    x[side == 0, :, :8] += 1.0
    x[side == 1, :, 8:] += 1.0
    model = build(width=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(60):
        terms = model.loss_terms(batch(x[:12]), generator(step))
        optimizer.zero_grad()
        (terms["reconstruction"] + 1e-3 * terms["kl"]).backward()
        optimizer.step()
    with torch.no_grad():
        decoded = model.eval().decode(model.encode(x[12:])[0])
    assert (decoded - x[12:]).square().mean() < 0.25 * (x[12:] - x[:12].mean(dim=0)).square().mean()
