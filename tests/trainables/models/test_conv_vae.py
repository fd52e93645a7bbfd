"""conv_vae: shapes, the rounds' failures and their fixes, terms against closed forms, training."""

import math

import numpy as np
import pytest
import torch

import search_spaces
from trainables import definition
from trainables.data.samples import Samples
from trainables.data.splitting import split
from trainables.data.store import open_dataset, write_dataset
from trainables.diagnostics import LatentStatistics, evaluate
from trainables.loop import Trainer
from trainables.losses.images import l1_ssim, multi_scale, spectral
from trainables.losses.kl import kl_per_dim
from trainables.models.conv_vae import Model, Outputs, quadratic_form, term_weights
from trainables.nets.blocks import DownBlock, SelfAttention, UpBlock
from trainables.schedules import Progress
from trainables.vae import Batch

SPACE = search_spaces.load("conv_vae").on_embedded()
ROUNDS = {
    comparison.name.removeprefix("+ "): comparison.after
    for comparison in search_spaces.studies("conv_vae")[0].comparisons(SPACE)
} | {"before": SPACE.baseline()}
SMALL = {"width": 2, "image_size": 32, "batch_size": 16}


def images(count=48, side=32, seed=0) -> np.ndarray:
    """One bright disc of random place and size on a dark, noisy ground, (N, 1, S, S) float32."""
    rng = np.random.default_rng(seed)
    centre, radius = 0.3 + 0.4 * rng.random((count, 2, 1, 1)), 0.1 + 0.15 * rng.random((count, 1, 1))
    position = (np.arange(side) + 0.5) / side
    distance = np.hypot(position[:, None] - centre[:, 0], position - centre[:, 1])
    disc = 0.8 / (1 + np.exp((distance - radius) * side)) + 0.05 * np.abs(rng.standard_normal(distance.shape))
    return np.minimum(disc, 1.0)[:, None].astype(np.float32)


def small(name="round 6", **changes) -> dict:
    return ROUNDS[name] | SMALL | changes


def build(config: dict, side: int | None = None, seed=0) -> Model:
    side = side or config["image_size"]
    torch.manual_seed(seed)
    return Model(config, (1, side, side), {})


def batch(x: np.ndarray) -> Batch:
    return Batch(torch.from_numpy(x), torch.full((len(x),), -1))


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("side", [32, 64, 128])
@pytest.mark.parametrize("name", ["before", "round 6"])
def test_the_latent_is_8_by_8_whatever_the_side(name, side):
    model = build(small(name, image_size=side))
    x = images(3, side)
    outputs = model(batch(x), generator())
    dims = 64 * ROUNDS[name]["latent_channels"]
    assert model.latent_dim == dims
    assert outputs.mu.shape == outputs.logvar.shape == outputs.z.shape == (3, dims)
    assert outputs.prediction.shape == (3, 1, side, side)
    assert 0 <= outputs.prediction.min() <= outputs.prediction.max() <= 1
    assert torch.equal(outputs.target, torch.from_numpy(x))
    sum(model.terms(outputs).values()).backward()
    assert [key for key, value in model.named_parameters() if value.grad is None] == []


def test_five_stages_and_attention_of_256_channels_at_full_size():
    model = build(search_spaces.load("conv_vae").documented(), 256)
    for part, hidden in ((model.encoder, torch.zeros(1, 1, 256, 256)), (model.decoder, torch.zeros(1, 8, 8, 8))):
        assert sum(isinstance(layer, DownBlock | UpBlock) for layer in part.body) == 5
        for layer in part.body.eval():
            hidden = layer(hidden)
            if isinstance(layer, SelfAttention):
                assert hidden.shape == (1, 256, 16, 16)
    assert sum(isinstance(layer, SelfAttention) for layer in model.modules()) == 2


def test_without_attention_there_is_none():
    model = build(small(attention=False))
    assert not any(isinstance(layer, SelfAttention) for layer in model.modules())


@pytest.mark.parametrize("seed", range(3))
def test_kaiming_on_the_heads_explodes_the_kl(seed):
    """Round 1 at its own width and batch of 8: mu beyond ±30, exp(logvar) beyond 1e6, KL beyond 1e6."""
    model = build(ROUNDS["round 1"] | {"width": 32, "image_size": 32}, seed=seed)
    outputs = model(batch(images(8)), generator())
    kl = float(model.terms(outputs)["kl"].detach())
    assert float(outputs.mu.detach().abs().max()) > 20
    assert float(outputs.logvar.detach().max()) > 20
    assert kl > 1e5 or not math.isfinite(kl)


@pytest.mark.parametrize("width", [4, 32])
@pytest.mark.parametrize("seed", range(3))
def test_heads_near_zero_start_at_the_prior(width, seed):
    """Round 2's log of step 0: mu in [-0.08, 0.07], logvar in [-0.07, 0.09], KL 0.0001."""
    model = build(ROUNDS["round 2"] | {"width": width, "image_size": 32}, seed=seed)
    outputs = model(batch(images(8)), generator())
    assert float(outputs.mu.detach().abs().max()) < 0.2
    assert float(outputs.logvar.detach().abs().max()) < 0.2
    assert 2e-5 < float(model.terms(outputs)["kl"].detach()) < 5e-4


def test_the_clamp_bounds_what_kaiming_explodes():
    model = build(ROUNDS["round 1"] | SMALL | {"width": 32, "logvar_clamp": 10.0})
    outputs = model(batch(images(8)), generator())
    assert float(outputs.logvar.detach().abs().max()) == 10.0
    assert float(model.terms(outputs)["kl"].detach()) < 0.5 * (math.exp(10) + 70**2)


def test_the_image_head_does_not_start_saturated():
    """Step 0 of round 2: 0.228 = (0.5 − x)² on mostly dark images."""
    model = build(ROUNDS["round 2"] | SMALL | {"width": 32})
    prediction = model(batch(images(16)), generator()).prediction.detach()
    assert 0.3 < float(prediction.mean()) < 0.7
    assert float(prediction.std()) < 0.25


def test_attention_changes_nothing_at_first():
    """With every other weight equal, the network with attention is the one without, whatever the initialisation."""
    without, x = build(small(attention=False)), torch.from_numpy(images(4))
    with_attention = build(small())
    kept, state = iter(without.state_dict().values()), with_attention.state_dict()
    attention = [name for name, layer in with_attention.named_modules() if isinstance(layer, SelfAttention)]
    for key in state:
        if not key.startswith(tuple(f"{name}." for name in attention)):
            state[key] = next(kept)
    with_attention.load_state_dict(state)
    for model in (without, with_attention):
        model.eval()
    torch.testing.assert_close(with_attention.encode(x)[0], without.encode(x)[0])
    z = torch.randn(4, without.latent_dim, generator=generator())
    torch.testing.assert_close(with_attention.decode(z), without.decode(z))


def outputs_of(prediction, target, mu, logvar) -> Outputs:
    return Outputs(mu, logvar, mu, prediction, target)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_terms_by_hand(reduction):
    model = build(small(reduction=reduction, reconstruction="mse", loss_scales=1, free_bits=0.0))
    target = torch.zeros(2, 1, 32, 32)
    mu, logvar = torch.zeros(2, 512), torch.zeros(2, 512)
    mu[0, 0] = 4.0  # 8 nats in one of 2 × 512
    terms = model.terms(outputs_of(target + 0.5, target, mu, logvar))
    pixels, latents = (1024, 512) if reduction == "sum" else (1, 1)
    assert terms["reconstruction"].item() == pytest.approx(0.25 * pixels)
    assert terms["spectral"].item() == pytest.approx(0.5 * 32 / (32 * 17) * pixels, rel=1e-5)
    assert terms["kl"].item() == pytest.approx(8.0 / 1024 * latents)


def test_free_bits_floor_every_sample_and_dimension():
    """The log's clamp(kl_per_dim, min=0.25).mean(): 0.25 at the prior, and no borrowing between samples."""
    model = build(small(free_bits=0.25))
    target = torch.zeros(2, 1, 32, 32)
    mu, logvar = torch.zeros(2, 512), torch.zeros(2, 512)
    assert model.terms(outputs_of(target, target, mu, logvar))["kl"].item() == pytest.approx(0.25)
    mu[0] = 1.0  # 0.5 nats of every dimension in one sample, 0.25 in the other
    assert model.terms(outputs_of(target, target, mu, logvar))["kl"].item() == pytest.approx(0.375)
    rng = generator()
    mu, logvar = torch.randn(2, 2, 512, generator=rng).unbind()
    expected = kl_per_dim(mu, logvar).clamp(min=0.25).mean()
    torch.testing.assert_close(model.terms(outputs_of(target, target, mu, logvar))["kl"], expected)


def test_terms_are_the_losses_of_the_configuration():
    model = build(small())
    x = torch.from_numpy(images(4))
    outputs = model(Batch(x, torch.zeros(4)), generator())
    terms = model.terms(outputs)
    assert list(terms) == ["reconstruction", "spectral", "kl"]
    torch.testing.assert_close(terms["reconstruction"], multi_scale("l1_ssim", outputs.prediction, x, 3))
    torch.testing.assert_close(terms["spectral"], spectral(outputs.prediction, x))
    one_scale = build(small(loss_scales=1)).terms(outputs)["reconstruction"]
    torch.testing.assert_close(one_scale, l1_ssim(outputs.prediction, x))


@pytest.mark.parametrize(
    ("warmup", "share", "expected"), [(0.0, 0.01, 0.5), (0.2, 0.1, 0.25), (0.2, 0.2, 0.5), (0.4, 0.3, 0.375)]
)
def test_term_weights(warmup, share, expected):
    weights = term_weights(small(kl_warmup=warmup), Progress(share, 100))
    assert weights == {"reconstruction": 1.0, "spectral": 0.1, "kl": pytest.approx(expected)}


def test_validation_decodes_the_mean_or_a_sample_but_training_and_score_a_sample():
    x = batch(images(4))
    for sampled in (True, False):
        model = build(small(sample_in_eval=sampled)).eval()
        outputs = model(x, generator())
        assert not torch.equal(outputs.z, outputs.mu)
        torch.testing.assert_close(outputs.prediction, model.decode(outputs.z if sampled else outputs.mu))
        decodes = model.decodes(outputs, 3, generator())
        assert len(decodes.samples) == len(decodes.z) == 3
        for z, sample in zip(decodes.z, decodes.samples, strict=True):
            torch.testing.assert_close(sample, model.decode(z))
        torch.testing.assert_close(model.decoded_mean(outputs, 2), model.decode(outputs.mu[:2]))
        torch.testing.assert_close(decodes.zero[0], model.decode(torch.zeros_like(outputs.mu[:1]))[0])
        model.train()
        prediction = model(x, generator()).prediction
        assert not torch.allclose(prediction, model.decode(model.encode(x.x)[0]), atol=1e-6)


def test_the_score_does_not_depend_on_how_validation_decodes():
    x = [batch(images(24))]
    scores = []
    for sampled in (True, False):
        metrics, _ = evaluate(build(small(sample_in_eval=sampled)), x, generator(), 24)
        scores.append((metrics["val/elbo_gain"], metrics["val/reconstruction"]))
    assert scores[0][0] == pytest.approx(scores[1][0], rel=1e-5)
    assert scores[0][1] != scores[1][1]


def test_measures_are_those_of_torchmetrics():
    from torchmetrics.functional.image import structural_similarity_index_measure

    target, prediction = torch.from_numpy(images(5)), torch.from_numpy(images(5, seed=1))
    found = build(small()).measures(None, prediction, target)
    error = (prediction - target).square().flatten(1).mean(dim=1)
    assert found["val/psnr"].item() == pytest.approx(float((-10 * error.log10()).mean()), rel=1e-5)
    assert found["val/l1"].item() == pytest.approx(float((prediction - target).abs().mean()), rel=1e-5)
    expected = structural_similarity_index_measure(prediction, target, data_range=1.0)
    assert found["val/ssim"].item() == pytest.approx(float(expected), rel=1e-4)


def test_set_measures_repeat_and_count_the_floored_kl_in_nats():
    model = build(small(free_bits=0.25, reduction="mean")).eval()
    x = batch(images(16))
    outputs, latent = model(x, generator()), LatentStatistics()
    latent.add(outputs, model.decodes(outputs, 1, None))
    with torch.no_grad():
        first, second = (model.set_measures(x.x, latent, generator(7)) for _ in range(2))
    assert first == second
    floored = kl_per_dim(outputs.mu, outputs.logvar).clamp(min=0.25).sum(dim=1).mean()
    assert first["health/kl_constrained"] == pytest.approx(float(floored.detach()), rel=1e-5)
    assert first["health/kl_floor_frac"] == 1.0  # heads near zero start below the free bits
    assert 0 <= first["val/sample_diversity"] < 0.5  # an untrained decoder paints one image
    assert all(math.isfinite(value) for value in first.values())


def test_generated_images_come_in_parts_and_only_from_the_generator():
    model = build(small(batch_size=3)).eval()
    with torch.no_grad():
        generated = model.generate(8, generator())
        assert torch.equal(generated, model.generate(8, generator()))
        assert not torch.equal(generated, model.generate(8, generator(1)))
    assert generated.shape == (8, 1, 32, 32)


@pytest.mark.parametrize(
    ("name", "changes", "variance"),
    [
        ("before", {}, 0.0005),
        ("round 1", {}, 32.0),
        ("round 2", {}, 32.0),
        ("round 3", {}, 32.0),
        ("changed before round 5", {"reconstruction": "mse"}, 3.2),
        ("round 5", {"reconstruction": "mse"}, 32.0),
        ("round 6", {"reconstruction": "mse"}, 32.0),
    ],
)
def test_effective_variance_of_the_rounds(name, changes, variance):
    """Of a squared error, at 256 × 256: kl_weight_max / latents · pixels / 2, and kl_weight_max / 2 of sums."""
    x = np.zeros((2, 1, 256, 256), np.float32)
    form = quadratic_form(ROUNDS[name] | changes, x, {})
    assert form.effective_variance == pytest.approx(variance)
    assert form.latent_dim == 64 * ROUNDS[name]["latent_channels"]
    assert form.free_bits == ROUNDS[name]["free_bits"]


def test_effective_variance_of_l1():
    """The residual of standard deviation s makes one squared error weigh 1 / (√(2π) s) as much as in an MSE."""
    x = images(64)
    spread = float(np.sqrt(x.var(axis=0).mean()))
    l1, squared = (quadratic_form(small(reconstruction=name), x, {}) for name in ("l1_ssim", "mse"))
    expected = math.sqrt(2 * math.pi) * spread * squared.effective_variance
    assert l1.effective_variance == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_quadratic_form_is_the_loss(reduction):
    """Weights and features on the difference of two data sets equal the model's own MSE for that error."""
    config = small(reconstruction="mse", loss_scales=2, reduction=reduction, spectral_loss_weight=0.0)
    first, second = images(24), images(24, seed=1)
    forms = [quadratic_form(config, x, {}).features for x in (first, second)]
    total = sum(
        weight * np.square(one() - two()).reshape(24, -1).sum(axis=1).mean()
        for (weight, one), (_, two) in zip(*forms, strict=True)
        if weight
    )
    latent = torch.zeros(24, 512)
    outputs = outputs_of(torch.from_numpy(second), torch.from_numpy(first), latent, latent)
    assert total == pytest.approx(build(config).terms(outputs)["reconstruction"].item(), rel=1e-4)


def test_the_forecast_condemns_what_no_direction_of_the_data_pays_for():
    from trainables.forecast import Forecaster

    forecaster = Forecaster(definition.load("conv_vae"), images(64), {})
    healthy = forecaster.forecast(small(free_bits=0.0))
    hopeless = forecaster.forecast(small(free_bits=0.0, kl_weight_max=1e4))
    assert (healthy.collapsed, hopeless.collapsed) == (False, True)
    assert healthy.au > 3
    floored = forecaster.forecast(small(free_bits=0.05, kl_weight_max=1e4))
    assert (floored.au, floored.kl_high) == (0, pytest.approx(512 * 0.05))


def test_panel():
    target, prediction = torch.from_numpy(images(3)), torch.full((3, 1, 32, 32), 1.5)
    shown, decoded = build(small()).panel(target, prediction)
    assert shown.shape == decoded.shape == (3, 32, 32, 3)
    assert torch.equal(shown[..., 2], target[:, 0])
    assert decoded.max() == 1.0


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    """300 discs of 32 × 32 as bytes."""
    x = np.rint(255 * images(300)).astype(np.uint8)
    samples = Samples(x, "discs")
    path = tmp_path_factory.mktemp("discs") / "discs.arrow"
    write_dataset(path, samples, definition.load("conv_vae").reader.statistics(samples, split(300).train))
    return open_dataset(path)


@pytest.fixture(scope="module")
def trained(discs):
    """A few epochs of rounds of the log, each trained once: trainer and rows."""
    cache = {}

    def train(name: str, epochs=5, **changes):
        key = (name, epochs, *changes.items())
        if key not in cache:
            trainer = Trainer("conv_vae", small(name, learning_rate=2e-3, **changes), discs, epochs, 0, "cpu")
            cache[key] = trainer, [trainer.run_epoch() for _ in range(epochs)]
        return cache[key]

    return train


def test_the_documented_configuration_learns(trained):
    _, rows = trained("round 6")
    last = rows[-1]
    assert last["val/elbo_gain"] > 0.5
    assert last["health/au"] > 10
    assert last["health/z_gain"] > 0.8
    assert last["val/reconstruction"] < 0.5 * rows[0]["val/reconstruction"]


def test_before_the_first_round_it_is_an_autoencoder_that_cannot_generate(trained):
    """Sums: a far larger KL than documented, and prior samples that are further from the data."""
    before, documented = trained("before")[1][-1], trained("round 6")[1][-1]
    assert before["health/kl_raw"] > 3 * documented["health/kl_raw"]
    assert before["val/generation_gap"] > documented["val/generation_gap"]


def test_transposed_convolution_leaves_a_checkerboard_and_resizing_none(trained):
    transposed, resized = trained("round 2", 4)[1][-1], trained("round 3", 4)[1][-1]
    assert transposed["health/checkerboard"] > 0.5
    assert abs(resized["health/checkerboard"]) < 0.1


def test_a_hopeless_kl_weight_collapses(trained):
    from trainables.health import Verdict, judge

    _, rows = trained("round 6", 4, kl_weight_max=1e4, free_bits=0.0)
    assert rows[-1]["health/au"] == 0
    assert rows[-1]["val/elbo_gain"] < 0.05
    assert judge(rows, len(rows)).verdict is Verdict.COLLAPSED


def test_training_of_round_1_starts_with_an_exploded_kl(trained):
    exploded, fixed = (trained(name, 1, width=8)[1][0]["train/kl"] for name in ("round 1", "round 2"))
    assert not exploded < 1e4  # NaN too
    assert fixed < 1.0


def test_a_resumed_trial_goes_on_to_the_same_numbers(trained, discs):
    _, rows = trained("round 6", 2)
    first, second = (Trainer("conv_vae", small(learning_rate=2e-3), discs, 2, 0, "cpu") for _ in range(2))
    first.run_epoch()
    second.load_state_dict(first.state_dict())
    resumed = second.run_epoch()
    untimed = [name for name in rows[1] if not name.startswith("time/")]
    assert {name: resumed[name] for name in untimed} == {name: rows[1][name] for name in untimed}
