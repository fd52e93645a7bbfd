"""The domain-generalising VAE: its losses, annealing, held-out environment, weights from files and forecast."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import search_spaces
from trainables import checkpoint
from trainables.data.cache import prepare
from trainables.data.samples import Samples
from trainables.data.splitting import split
from trainables.data.store import open_dataset, write_dataset
from trainables.forecast import from_spectrum
from trainables.health import Verdict, judge
from trainables.loop import Trainer
from trainables.losses.kl import kl_per_dim
from trainables.models.vae_dg import (
    READER,
    Model,
    Outputs,
    annealing,
    binary_cross_entropy,
    encoder_note,
    kl_cycles,
    quadratic_form,
    term_weights,
)
from trainables.nets.resnet import ResNet
from trainables.schedules import Progress, cycle_ends
from trainables.vae import Batch

SPACE = search_spaces.load("vae_dg")
SMALL = {"encoder": "resnet18", "width": 4, "hidden_dim": 16, "latent_dim": 8, "image_size": 64, "batch_size": 16}
SIDE = 64
REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "fundus"


def config(**changes):
    return SPACE.documented() | SMALL | changes


def statistics(classes=3):
    return {"class_counts": np.full(classes, 50)}


def build(side=SIDE, seed=0, **changes) -> Model:
    torch.manual_seed(seed)
    return Model(config(**changes), (3, side, side), statistics())


def batch(count=6, side=SIDE, label=None, seed=0) -> Batch:
    x = torch.rand(count, 3, side, side, generator=generator(seed))
    return Batch(x, torch.arange(count) % 3 if label is None else torch.tensor(label))


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def outputs_of(logits, target, mu=None, logvar=None, scores=None, label=None) -> Outputs:
    count = len(target)
    latent = torch.zeros(count, 8)
    return Outputs(
        mu=latent if mu is None else mu,
        logvar=latent if logvar is None else logvar,
        z=latent,
        logits=logits,
        prediction=logits.sigmoid(),
        target=target,
        scores=torch.zeros(count, 3) if scores is None else scores,
        label=torch.zeros(count, dtype=torch.int64) if label is None else torch.tensor(label),
    )


@pytest.mark.parametrize("side", [64, 96, 224])
def test_shapes(side):
    model = build(side)
    outputs = model(batch(2, side), generator())
    assert outputs.mu.shape == outputs.logvar.shape == outputs.z.shape == (2, 8)
    assert outputs.prediction.shape == outputs.target.shape == (2, 3, side, side)
    assert outputs.scores.shape == (2, 3)
    sum(model.terms(outputs).values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    for image in model.panel(outputs.target, outputs.prediction.detach()):
        assert image.shape == (2, side, side, 3)
    assert torch.equal(model.panel(outputs.target, outputs.target)[0][1, 2, 3], outputs.target[1, :, 2, 3])


def test_the_documented_model():
    model = Model(SPACE.documented(), (3, 224, 224), statistics(classes=5))
    assert model.latent_dim == model.encoder.mu.out_features == 256
    assert [layer.out_features for layer in model.encoder.body if isinstance(layer, nn.Linear)] == [1024, 1024]
    assert sum(p.numel() for p in model.encoder.resnet.parameters()) == 23_508_032
    assert model.decoder.start == (256, 7, 7)
    up = [layer for layer in model.decoder.body if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.out_channels for layer in up] == [128, 64, 32, 16, 3]
    assert model.classifier.out_features == 5


def test_forward_encode_and_decode_agree():
    model = build().eval()
    outputs = model(batch(), generator())
    for found, expected in zip(model.encode(batch().x), (outputs.mu, outputs.logvar), strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(outputs.prediction, model.decode(outputs.z))
    assert torch.equal(outputs.prediction, outputs.logits.sigmoid())


def test_the_generator_draws_the_noise():
    model = build().eval()
    first = model(batch(), generator())
    assert torch.equal(first.prediction, model(batch(), generator()).prediction)
    other = model(batch(), generator(1))
    assert not torch.equal(first.z, other.z)
    assert torch.equal(first.scores, other.scores)  # those of the mean


def test_the_sample_is_classified_in_training_and_the_mean_in_evaluation():
    model = build()
    for trained in (True, False):
        model.train(trained)
        outputs = model(batch(), generator())
        torch.testing.assert_close(outputs.scores, model.classifier(outputs.z if trained else outputs.mu))
        assert not torch.equal(outputs.z, outputs.mu)


def test_the_encoder_sees_the_image_normalised_as_imagenet_s():
    model, seen = build().eval(), []
    model.encoder.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    x = torch.tensor([0.485, 0.456 + 0.224, 0.406 - 0.225])[:, None, None].expand(2, 3, SIDE, SIDE)
    outputs = model(Batch(x, torch.zeros(2, dtype=torch.int64)), generator())
    expected = torch.tensor([0.0, 1.0, -1.0])[:, None, None].expand(2, 3, SIDE, SIDE)
    torch.testing.assert_close(seen[0], expected, atol=1e-6, rtol=0)
    assert torch.equal(outputs.target, x)
    model.config["target"] = "normalised"
    torch.testing.assert_close(model(Batch(x, torch.zeros(2)), None).target, expected, atol=1e-6, rtol=0)
    assert torch.equal(model.fixed_target(x), x)


def test_the_decoder_reads_every_latent_dimension():
    z = torch.zeros(1, 8, requires_grad=True)
    build().eval().decode(z).square().sum().backward()
    assert (z.grad.abs() > 0).all()


def test_cross_entropy_is_pytorch_s():
    logits = 3 * torch.randn(4, 3, 8, 8, generator=generator()).double()
    target = torch.rand(4, 3, 8, 8, generator=generator(1)).double()
    found = binary_cross_entropy(logits, target)
    torch.testing.assert_close(found, F.binary_cross_entropy(logits.sigmoid(), target, reduction="none"))
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(logits, target, reduction="none"))


@pytest.mark.parametrize(
    ("logit", "target", "expected", "slope"),
    [
        (0.0, 0.3, math.log(2), 0.2),
        (math.log(4), 1.0, -math.log(0.8), -0.2),
        (math.log(4), 2.5, -2.5 * math.log(0.8) + 1.5 * math.log(0.2), 0.8 - 2.5),  # outside [0, 1] as inside
        (-math.log(4), -1.0, math.log(0.2) - 2 * math.log(0.8), 0.2 + 1),
        (80.0, 1.0, 0.0, 0.0),
        (80.0, 0.5, 40.0, 0.5),
        (200.0, 2.5, -150.0, 0.0),  # the floor of the logarithm limits it
        (-200.0, -1.0, -100.0, 0.0),
        (1e6, 0.0, 100.0, 0.0),
    ],
)
def test_cross_entropy_by_hand(logit, target, expected, slope):
    given = torch.tensor([logit], requires_grad=True)
    value = binary_cross_entropy(given, torch.tensor([target]))
    value.sum().backward()
    assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert given.grad.item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_loss_terms_by_hand():
    model = build()
    target = torch.rand(2, 3, SIDE, SIDE, generator=generator())
    scores, mu = torch.tensor([[0.0, math.log(2), 0.0], [5.0, 0.0, 0.0]]), torch.zeros(2, 8)
    mu[0, 0] = 4.0
    terms = model.terms(outputs_of(torch.zeros_like(target), target, mu, scores=scores, label=[1, -1]))
    assert list(terms) == ["reconstruction", "kl", "classification"]
    assert terms["reconstruction"].item() == pytest.approx(math.log(2), rel=1e-5)
    assert terms["kl"].item() == pytest.approx(8.0 / 16)  # 4² / 2 nats, over two samples and eight dimensions
    assert terms["classification"].item() == pytest.approx(math.log(2))  # of the sample that has a label


def test_a_sum_is_as_many_times_the_mean_as_there_are_values():
    mean, total = build(), build(reduction="sum")
    outputs = mean(batch(5), generator())
    means, sums = mean.terms(outputs), total.terms(outputs)
    assert (sums["reconstruction"] / means["reconstruction"]).item() == pytest.approx(5 * 3 * SIDE**2, rel=1e-5)
    assert (sums["kl"], sums["classification"]) == (means["kl"], means["classification"])


def test_a_batch_without_labels_has_no_classification():
    model = build()
    terms = model.loss_terms(batch(3, label=[-1, -1, -1]), generator())
    assert terms["classification"].item() == 0.0
    sum(terms.values()).backward()
    assert model.classifier.weight.grad.abs().max() == 0
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


@pytest.mark.parametrize("target", ["image", "normalised"])
def test_losses_are_exact_in_mixed_precision(target):
    model = build(target=target).eval()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(batch(), generator())
        terms = model.terms(outputs)
        assert model.decode(outputs.z).dtype == torch.float32
    for name in ("mu", "logvar", "z", "logits", "prediction", "scores"):
        assert getattr(outputs, name).dtype == torch.float32, name
    expected = model.terms(outputs)
    assert all(torch.equal(terms[name], expected[name]) for name in terms)
    full = model.terms(model(batch(), generator()))["reconstruction"]
    torch.testing.assert_close(terms["reconstruction"], full, rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("start", "end", "share", "weight"),
    [
        (0.0, 0.5, 0.001, 0.002),
        (0.0, 0.5, 0.25, 0.5),
        (0.0, 0.5, 0.5, 1.0),
        (0.0, 0.5, 1.0, 1.0),
        (0.1, 0.3, 0.09, 0.0),
        (0.1, 0.3, 0.1, 0.0),
        (0.1, 0.3, 0.15, 0.25),
        (0.1, 0.3, 0.3, 1.0),
        (0.0, 0.0, 0.001, 1.0),
        (0.2, 0.2, 0.199, 0.0),
        (0.2, 0.2, 0.2, 1.0),
        (0.0, 1.0, 0.75, 0.75),  # 1 is the whole budget, not a step
        (0.0, 5000, 0.125, 0.25),  # 1250 of 10,000 steps
        (0.0, 5000, 0.5, 1.0),
        (1000, 5000, 0.1, 0.0),
        (1000, 5000, 0.2, 0.25),
        (0.1, 5000, 0.2, 0.25),
        (0.0, 20_000, 1.0, 0.5),  # a budget that ends before the annealing
    ],
)
def test_annealing(start, end, share, weight):
    given = config(kl_anneal_start=start, kl_anneal_end=end, loss_multiplier_kl=2e-4)
    assert annealing(given, Progress(share, 10_000)) == pytest.approx(weight, abs=1e-12)
    assert term_weights(given, Progress(share, 10_000)) == {
        "reconstruction": 1.0,
        "kl": pytest.approx(2e-4 * weight, abs=1e-15),
        "classification": 0.1,
    }


@pytest.mark.parametrize(
    ("start", "end", "length", "share", "weight"),
    [
        (0.0, 0.1, 0.25, 0.05, 0.5),
        (0.0, 0.1, 0.25, 0.2, 1.0),
        (0.0, 0.1, 0.25, 0.25, 1.0),  # the last step of a cycle belongs to it
        (0.0, 0.1, 0.25, 0.26, 0.1),
        (0.0, 0.1, 0.25, 0.55, 0.5),
        (0.0, 0.1, 0.25, 1.0, 1.0),
        (0.05, 0.1, 0.25, 0.54, 0.0),
        (0.05, 0.1, 0.25, 0.575, 0.5),
        (0.0, 0.5, 0.25, 0.125, 0.5),  # no longer than the cycle
        (0.0, 0.5, 0.25, 0.5, 1.0),
        (0.0, 1000, 2500, 0.55, 0.5),
        (0.0, 0.5, 20_000, 0.25, 0.5),  # one cycle, longer than the budget
    ],
)
def test_cyclical_annealing(start, end, length, share, weight):
    given = config(kl_anneal_start=start, kl_anneal_end=end, kl_anneal_cyclical=True, kl_anneal_cycle_length=length)
    assert annealing(given, Progress(share, 10_000)) == pytest.approx(weight, abs=1e-9)


def test_cycles_are_counted_for_the_judge():
    assert kl_cycles(config(), 1000) == 1.0
    assert kl_cycles(config(kl_anneal_cyclical=True, kl_anneal_cycle_length=0.125), 1000) == 8.0
    assert kl_cycles(config(kl_anneal_cyclical=True, kl_anneal_cycle_length=400), 1000) == pytest.approx(2.5)
    assert kl_cycles(config(kl_anneal_cyclical=True, kl_anneal_cycle_length=4000), 1000) == 1.0


@pytest.mark.parametrize("length", [0.125, 0.25, 0.5])
def test_the_weight_is_full_where_a_cycle_is_judged(length):
    given = config(kl_anneal_cyclical=True, kl_anneal_cycle_length=length)
    ends = [epoch / 16 for epoch in range(1, 17) if cycle_ends(epoch / 16, 1 / 16, kl_cycles(given, 160))]
    assert len(ends) == 1 / length
    assert [annealing(given, Progress(share, 160)) for share in ends] == [1.0] * len(ends)


def test_measures():
    from torchmetrics.functional.image import structural_similarity_index_measure

    x = torch.rand(4, 3, SIDE, SIDE, generator=generator())
    worse = x.clone()
    worse[:, 0] = 1 - worse[:, 0]
    worse[:, 1] = worse[:, 1] * 0.5
    scores = torch.eye(3)[[0, 1, 2, 2]]
    measures = build().measures(outputs_of(x, x, scores=scores, label=[0, 1, 1, -1]), worse, x)
    assert measures["val/accuracy"].item() == pytest.approx(2 / 3)
    expected = structural_similarity_index_measure(worse[:, 1:2], x[:, 1:2], data_range=1.0)
    assert measures["val/ssim"].item() == pytest.approx(expected.item(), abs=1e-4)
    errors = (worse - x).square().mean(dim=(1, 2, 3))
    assert measures["val/psnr"].item() == pytest.approx((-10 * errors.log10()).mean().item(), rel=1e-5)
    blue = x.clone()
    blue[:, 2] = 0
    without_blue = build().measures(outputs_of(x, x), blue, x)
    assert without_blue["val/ssim"].item() == pytest.approx(1.0)
    assert without_blue["val/vessels"].item() == pytest.approx(1.0)
    assert without_blue["val/colour_difference"].item() > 20
    assert build().measures(outputs_of(x, x), x, x)["val/colour_difference"].item() == 0.0


def test_weights_of_a_file_are_taken_up_when_training_begins(tmp_path):
    theirs = ResNet("resnet18", 4)
    theirs.bn1.running_mean.fill_(0.5)
    torch.save(theirs.state_dict(), tmp_path / "imagenet.pth")
    model = build(encoder_weights=str(tmp_path / "imagenet.pth"), seed=1)
    assert not torch.equal(model.encoder.resnet.conv1.weight, theirs.conv1.weight)
    model.start_epoch(0.5)  # of a checkpoint
    assert not torch.equal(model.encoder.resnet.conv1.weight, theirs.conv1.weight)
    model.start_epoch(0.0)
    assert torch.equal(model.encoder.resnet.conv1.weight, theirs.conv1.weight)
    model.train()
    model(batch(), generator())
    assert torch.equal(model.encoder.resnet.bn1.running_mean, theirs.bn1.running_mean)  # frozen
    assert not torch.equal(model.decoder.body[0].running_mean, torch.zeros(16))
    assert model.encoder.resnet.conv1.weight.requires_grad


def test_random_weights_gather_batch_statistics():
    model = build().train()
    model(batch(), generator())
    assert not torch.equal(model.encoder.resnet.bn1.running_mean, torch.zeros(4))


@pytest.mark.parametrize(("weight", "variance"), [(1e-4, 0.0588), (5e-4, 0.294), (0.0, 0.0)])
def test_effective_variance_of_the_documented_configuration(weight, variance):
    x = np.random.default_rng(0).uniform(size=(2, 3, 224, 224)).astype(np.float32)
    form = quadratic_form(SPACE.documented() | {"loss_multiplier_kl": weight}, x, {})
    assert form.effective_variance == pytest.approx(variance, rel=1e-3)
    assert form.effective_variance == pytest.approx(weight * 3 * 224**2 / 256)


@pytest.mark.parametrize(("batch_size", "beta"), [(64, 3.05), (32, 6.1), (22, 8.9)])
def test_effective_variance_of_the_paper_s_code(batch_size, beta):
    """Its weight is 50,000, its reconstruction a sum over the batch."""
    x = np.random.default_rng(0).uniform(size=(2, 3, 64, 64)).astype(np.float32)
    changes = {"reduction": "sum", "loss_multiplier_kl": 50_000.0, "batch_size": batch_size}
    assert quadratic_form(SPACE.documented() | changes, x, {}).effective_variance == pytest.approx(beta, rel=0.01)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_quadratic_form_is_the_loss_to_the_second_order(reduction):
    """Of predictions around the mean image that do not know the image: there c is its mean."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 0.9, (16, 3, 64, 64))
    mean, direction = x.mean(axis=0), rng.standard_normal((3, 64, 64))
    given = config(reduction=reduction)
    ((weight, features),) = quadratic_form(given, x, {}).features
    root = features()[0] / x[0]  # 1 / √v

    def loss(prediction):
        logits = torch.from_numpy(np.log(prediction / (1 - prediction))).expand(*x.shape)
        term = build(reduction=reduction).terms(outputs_of(logits, torch.from_numpy(x)))["reconstruction"]
        return term.item() / (16 if reduction == "sum" else 1)

    def form(prediction):
        return weight * np.square((prediction - x) * root).reshape(16, -1).sum(axis=1).mean()

    for size in (1e-2, 1e-3):
        moved = mean + size * direction
        rise = loss(moved) - loss(mean)
        assert rise == pytest.approx(form(moved) - form(mean), rel=10 * size)


@pytest.mark.parametrize("beta", [0.3, 0.6, 1.5])
def test_forecast_against_a_trained_linear_vae(beta):
    """One latent, a decoder linear in it: it is used iff β is below the eigenvalue, and its KL is ½ ln(λ / β)."""
    rng = np.random.default_rng(0)
    mean, factor = rng.uniform(0.25, 0.75, 400), np.linspace(-1.6, 1.6, 65)
    factor /= factor.std()
    x = mean + 0.02 * factor[:, None] * rng.choice([-1.0, 1.0], 400)
    given = config(latent_dim=1) | {"loss_multiplier_kl": beta / x.shape[1]}
    form = quadratic_form(given, x.reshape(65, 400, 1, 1), {})
    assert form.effective_variance == pytest.approx(beta)
    spectrum = np.linalg.eigvalsh(np.cov(form.features[0][1]().reshape(65, -1).T, bias=True))[::-1][:1]
    assert spectrum[0] == pytest.approx(0.7, abs=0.1)
    forecast = from_spectrum(spectrum, form.effective_variance)
    assert forecast.collapsed == (beta > spectrum[0])
    assert trained_kl(x, mean, beta) == pytest.approx(forecast.kl_low, abs=0.03)


def trained_kl(x, mean, beta) -> float:
    """Raw KL, nats, of the best VAE with p = mean + direction · z and mu = gain · factor."""
    nodes, weights = (torch.from_numpy(values) for values in np.polynomial.hermite_e.hermegauss(9))
    x_NP, mean_P = torch.from_numpy(x), torch.from_numpy(mean)
    factor_N = torch.linalg.svd(x_NP - mean_P, full_matrices=False).U[:, 0] * math.sqrt(len(x))
    direction_P = (0.5 * (x_NP - mean_P) * factor_N[:, None]).mean(0).requires_grad_()
    gain, logvar = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.5, -0.1))
    optimiser = torch.optim.LBFGS([direction_P, gain, logvar], max_iter=500, line_search_fn="strong_wolfe")

    def kl():
        mu = gain * factor_N[:, None]
        return kl_per_dim(mu, logvar.expand_as(mu)).sum(dim=1).mean()

    def loss():
        optimiser.zero_grad()
        z_QN = gain * factor_N + (0.5 * logvar).exp() * nodes[:, None]
        p_QNP = (mean_P + z_QN[..., None] * direction_P).clamp(1e-6, 1 - 1e-6)
        bce_QN = F.binary_cross_entropy(p_QNP, x_NP.expand_as(p_QNP), reduction="none").sum(dim=2)
        value = (weights @ bce_QN).mean() / weights.sum() + beta * kl()
        value.backward()
        return value

    optimiser.step(loss)
    return kl().item()


@pytest.fixture(scope="module")
def fundus(tmp_path_factory):
    """90 images from three places; a square's brightness tells the class, its place varies."""
    rng = np.random.default_rng(0)
    x = np.full((90, 3, SIDE, SIDE), 40, np.uint8) + rng.integers(0, 12, (90, 3, SIDE, SIDE), dtype=np.uint8)
    for index, (row, column) in enumerate(rng.integers(0, SIDE - 24, (90, 2))):
        x[index, :, row : row + 24, column : column + 24] += np.uint8(60 + 100 * (index % 2))
        x[index] += np.uint8(10 * (index % 3))
    labels, places = ["01"[i % 2] for i in range(90)], ["abc"[i % 3] for i in range(90)]
    samples = Samples(x, "squares", labels, environments=places)
    path = tmp_path_factory.mktemp("squares") / "squares.arrow"
    write_dataset(path, samples, READER.statistics(samples, split(90).train))
    return open_dataset(path)


@pytest.fixture
def trainer(fundus):
    def make(epochs=2, base="documented", seed=0, **changes):
        given = getattr(SPACE, base)() | SMALL | {"learning_rate": 3e-3} | changes
        return Trainer("vae_dg", given, fundus, epochs, seed, "cpu")

    return make


def results(row):
    return {name: value for name, value in row.items() if not name.startswith("time/")}


def test_every_metric_is_there_and_finite(trainer):
    row = trainer().run_epoch()
    for name in ("accuracy", "ssim", "psnr", "elbo_gain", "reconstruction", "kl", "classification", "r2"):
        assert {f"val/{name}", f"environment/{name}"} <= set(row)
    assert all(math.isfinite(value) for value in row.values() if not isinstance(value, list))
    assert row["health/kl_constrained"] == row["health/kl_raw"]
    assert row["val/kl"] == pytest.approx(row["health/kl_raw"] / 8, rel=1e-4)
    assert set(SPACE.metrics) <= set(row)


def test_it_learns_to_tell_classes_and_to_reconstruct(trainer):
    one = trainer(12)
    rows = [one.run_epoch() for _ in range(12)]
    assert rows[-1]["val/accuracy"] > 0.8
    assert rows[-1]["val/psnr"] > rows[0]["val/psnr"] + 3
    assert rows[-1]["train/reconstruction"] < rows[0]["train/reconstruction"]


def test_the_environment_held_out_is_not_trained_on(trainer, fundus):
    one = trainer(test_environment=2)
    assert {fundus.environments[index] for index in [*one.train_index, *one.evaluation_index]} == {"a", "b"}
    assert {fundus.environments[index] for index in one.environment_index} == {"c"}


def test_the_same_seed_gives_the_same_numbers(trainer):
    first = results(trainer().run_epoch())
    assert results(trainer().run_epoch()) == first
    assert results(trainer(seed=1).run_epoch()) != first


def test_a_resumed_trial_gives_the_same_numbers(trainer, tmp_path):
    torch.save(ResNet("resnet18", 4).state_dict(), tmp_path / "imagenet.pth")
    changes = {"kl_anneal_cyclical": True, "encoder_weights": str(tmp_path / "imagenet.pth")}
    whole, first, second = (trainer(**changes) for _ in range(3))
    expected = [results(whole.run_epoch()) for _ in range(2)][1]
    first.run_epoch()
    checkpoint.save(tmp_path, first.state_dict())
    (tmp_path / "imagenet.pth").unlink()  # a checkpoint has weights of its own
    second.load_state_dict(checkpoint.load(tmp_path))
    assert results(second.run_epoch()) == expected
    loaded, x = checkpoint.load_model(tmp_path), batch().x
    assert torch.equal(loaded.encode(x)[0], first.model.eval().encode(x)[0])


@pytest.mark.parametrize("base", ["documented", "baseline"])
def test_without_kl_there_is_a_score_and_nothing_to_judge(trainer, base):
    one = trainer(3, base, loss_multiplier_kl=0.0)
    rows = [one.run_epoch() for _ in range(3)]
    for row in rows:
        assert row["schedule/kl_weight"] == row["schedule/kl_weight_final"] == 0.0
        assert all(math.isfinite(value) for value in row.values() if not isinstance(value, list))
    dead = [row | {"health/au": 0.0, "health/au_frac": 0.0, "health/kl_raw": 0.0, "health/mi": 0.0} for row in rows]
    assert judge(rows, 3).verdict is Verdict.IGNORES_Z  # the decoder has learnt nothing yet
    assert judge([row | {"health/z_gain": 0.5} for row in rows], 3).verdict is Verdict.HEALTHY
    assert not judge(dead, 3).verdict.condemned
    assert judge([row | {"schedule/kl_weight": 1e-4} for row in dead], 3).verdict is Verdict.COLLAPSED


def test_a_normalised_target_drives_pixels_to_black_and_white(trainer):
    """What the fix notes' "before" asks for, where the image has grey."""
    pixels = {}
    for target in ("image", "normalised"):
        one = trainer(12, target=target)
        for _ in range(12):
            row = one.run_epoch()
        assert math.isfinite(row["train/loss"])
        pixels[target] = one.pictures(one.evaluation_index)["reconstruction"]
    sure = {name: ((x < 0.05) | (x > 0.95)).float().mean().item() for name, x in pixels.items()}
    assert sure["image"] < 0.05
    assert sure["normalised"] > 0.5


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is absent")
def test_an_epoch_of_photographs(tmp_path):
    dataset = prepare(READER, str(REAL), tmp_path, {"image_size": 64, "subset": 20})
    row = Trainer("vae_dg", config(), dataset, 1, 0, "cpu").run_epoch()
    assert all(math.isfinite(value) for value in row.values() if not isinstance(value, list))
    assert 0 <= row["environment/accuracy"] <= 1


def test_the_note_tells_which_weights_the_encoder_starts_from():
    (random,) = build().notes
    assert "resnet18 starts from random weights" in random
    assert "--set encoder_weights=FILE" in random
    assert encoder_note(config(encoder_weights="r50.pth")) == "the resnet18 starts from the weights of r50.pth"
