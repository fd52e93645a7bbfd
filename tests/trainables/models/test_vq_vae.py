"""vq_vae: scales, content, skip connections, terms and measures against hand computation; a short training."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.functional.regression import pearson_corrcoef

import search_spaces
from trainables import checkpoint
from trainables.data.cache import prepare
from trainables.data.crops import PADDING, robust_scaled
from trainables.diagnostics import evaluate
from trainables.loop import Trainer
from trainables.models.vq_vae import (
    READER,
    Model,
    Outputs,
    content_scale,
    details,
    pearson,
    psnr,
    quadratic_form,
    ssim,
    swapped_codes,
    term_weights,
)
from trainables.nets.codebook import NO_CODE, Quantised
from trainables.schedules import END
from trainables.vae import Batch

METHODS = ("robust", "zscore", "minmax")
SPACE = search_spaces.load("vq_vae")
SMALL = {"width": 8, "embedding_dim": 16, "num_embeddings": 32, "batch_size": 8, "image_size": 32}
BEFORE_FIXES = ("stride_first", "skip_connections", "ema", "reset_dead_codes", "reduction", "normalize_method")


def config(base=None, **changes):
    return (base or SPACE.documented()) | SMALL | {"learning_rate": 1e-3} | changes


def cells(count=6, channels=2, side=32, seed=0) -> np.ndarray:
    """Discs of random texture, each of another gain, on a background of zeros."""
    rng = np.random.default_rng(seed)
    x = np.zeros((count, channels + 1, side, side), np.float32)
    rows, columns = np.indices((side, side)) - (side - 1) / 2
    for sample in x:
        sample[-1] = np.hypot(rows, columns * rng.uniform(1.0, 1.4)) < rng.uniform(0.25, 0.5) * side
        waves = np.sin(rows * rng.uniform(0.1, 0.5) + columns * rng.uniform(0.1, 0.5) + rng.uniform(0, 6))
        sample[:-1] = rng.uniform(10, 1000) * (3.0 + waves + 0.2 * rng.standard_normal((channels, side, side)))
        sample[:-1] *= sample[-1]
    return x


def build(x, **changes) -> Model:
    torch.manual_seed(0)
    return Model(config(**changes), x.shape[1:], {})


def unlabelled(x) -> Batch:
    x = torch.as_tensor(x)
    return Batch(x, torch.full((len(x),), -1))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# scales


def test_robust_scale_is_that_of_the_reader():
    x = cells()
    x[0, 0] = 7.0  # constant
    x[1, 0] += 5000.0 * x[1, -1]  # little contrast: the background is far away
    found = build(x).fixed_target(torch.from_numpy(x))
    expected = np.stack([robust_scaled(sample) * sample[-1] for sample in x])
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3)
    shift = content_scale(torch.from_numpy(x), "robust").shift
    np.testing.assert_allclose(shift[2, 1, 0, 0], np.percentile(x[2, 1][x[2, -1] > 0], 5), rtol=1e-5)


def test_scales_of_the_content():
    x = torch.from_numpy(cells())
    content = x[:, -1:].expand(-1, 2, -1, -1) > 0
    for method, low, high in (("zscore", None, None), ("minmax", 0.0, 1.0)):
        scaled = content_scale(x, method).apply(x[:, :-1])
        for sample, mask in zip(scaled.flatten(0, 1), content.flatten(0, 1), strict=True):
            values = sample[mask]
            if method == "minmax":
                assert (float(values.min()), float(values.max())) == (pytest.approx(low), pytest.approx(high))
            else:
                assert float(values.mean()) == pytest.approx(0.0, abs=1e-4)
                assert float(values.std(correction=0)) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_scaling_is_undone(method):
    x = torch.from_numpy(cells())
    scale = content_scale(x, method)
    torch.testing.assert_close(scale.undo(scale.apply(x[:, :-1])), x[:, :-1], rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("method", METHODS)
def test_gain_and_offset_of_a_camera_do_not_matter(method):
    x = torch.from_numpy(cells())
    other = x.clone()
    other[:, :-1] = (3.0 * x[:, :-1] + 100.0) * torch.where(x[:, -1:] > 0, 1.0, 0.0)
    first, second = (content_scale(each, method).apply(each[:, :-1]) * x[:, -1:] for each in (x, other))
    torch.testing.assert_close(first, second, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_prediction_maps_onto_the_fixed_target(method):
    x = cells()
    model, batch = build(x, normalize_method=method), torch.from_numpy(x)
    target = model(unlabelled(x)).target
    fixed = model.fixed_target(batch)
    torch.testing.assert_close(model.to_fixed(target, batch), fixed, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model.to_fixed(target + 0.1, batch), fixed, atol=0.05, rtol=0.05)  # offsets are given
    assert (model.to_fixed(1.5 * target, batch) - fixed).abs().mean() > 0.005
    outside = (batch[:, -1:] == 0).expand_as(fixed)
    assert not fixed[outside].any()
    assert not model.to_fixed(target + 5.0, batch)[outside].any()


@pytest.mark.parametrize("method", METHODS)
def test_channels_without_contrast_stay_finite(method):
    x = cells()
    x[:, 0] = 1000.0 * x[:, -1]
    model = build(x, normalize_method=method)
    outputs = model(unlabelled(x))
    terms = model.terms(outputs)
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    target = model.fixed_target(outputs.x)
    assert not target[:, 0].any()
    measures = model.measures(outputs, model.to_fixed(outputs.prediction, outputs.x), target)
    assert all(torch.isfinite(value) for value in measures.values())


@pytest.mark.parametrize("ema", [True, False])
def test_the_vq_loss_is_the_codes_part_of_the_loss(ema):
    x = cells()
    model = build(x, ema=ema, commitment_cost=0.3).eval()
    outputs = model(unlabelled(x))
    target = model.fixed_target(outputs.x)
    terms, weights = model.terms(outputs), term_weights(model.config, END)
    expected = sum(weights[name] * terms[name] for name in ("commitment", "codebook") if name in terms)
    assert model.measures(outputs, target, target)["val/vq_loss"].item() == pytest.approx(expected.item())


def test_measures_do_not_change_with_a_camera_s_offset_and_gain():
    x = cells()
    moved = x.copy()
    moved[:, :-1] = 3.0 * x[:, :-1] + 700.0
    found = []
    for each in (x, moved):
        model = build(each).eval()
        outputs = model(unlabelled(each))
        target = model.fixed_target(outputs.x)
        blurred = torch.nn.functional.avg_pool2d(target, 3, stride=1, padding=1) * model.content(outputs.x)
        found.append({name: value.item() for name, value in model.measures(outputs, blurred, target).items()})
    assert found[0]["val/ssim"] < 0.99
    for name in ("val/ssim", "val/psnr", "val/pearson"):
        assert found[0][name] == pytest.approx(found[1][name], abs=1e-3)


def padded(x):
    """The same with a margin of 3 pixels marked as padding, bright there."""
    x = x.copy()
    x[:, -1, :3] = x[:, -1, -3:] = PADDING
    x[:, :-1, :3] = x[:, :-1, -3:] = 500.0
    return x


@pytest.mark.parametrize("method", METHODS)
def test_padding_is_reflected_or_zero(method):
    x = padded(cells())
    black = x.copy()
    black[:, :-1] *= x[:, -1:] != PADDING
    reflected, zeros = (build(x, normalize_method=method, padding=padding) for padding in ("reflect", "zeros"))
    target = {name: model(unlabelled(x)).target for name, model in (("reflect", reflected), ("zeros", zeros))}
    assert torch.equal(target["zeros"], reflected(unlabelled(black)).target)
    assert not torch.equal(target["zeros"], target["reflect"])
    inside = torch.from_numpy(x[:, -1:] != PADDING).expand_as(target["zeros"])
    assert torch.equal(target["zeros"][inside], target["reflect"][inside])


def test_padding_has_no_weight_in_the_fixed_space():
    x = padded(cells())
    model = build(x).eval()
    outputs = model(unlabelled(x))
    background = x.copy()
    background[:, -1] = np.maximum(x[:, -1], 0)
    same = torch.from_numpy(background)
    assert torch.equal(model.fixed_target(outputs.x), model.fixed_target(same))
    assert torch.equal(model.content(outputs.x), model.content(same))
    fixed = model.to_fixed(torch.ones_like(outputs.target), outputs.x)
    assert torch.equal(fixed != 0, (outputs.x[:, -1:] > 0).expand_as(fixed))
    assert torch.equal(
        model.terms(outputs)["reconstruction"], model.terms(model(unlabelled(background)))["reconstruction"]
    )


def test_the_activation_is_that_of_every_layer():
    x = cells()
    kinds = {"relu": torch.nn.ReLU, "leaky_relu": torch.nn.LeakyReLU}
    for name, kind in kinds.items():
        modules = list(build(x, activation=name).modules())
        found = [module for module in modules if isinstance(module, tuple(kinds.values()))]
        assert len(found) == 10
        assert {type(module) for module in found} == {kind}


# codes, skips, decoding


def test_only_positions_with_content_have_codes():
    x = cells()
    x[0, -1] = 0
    x[0, -1, 5, 9] = 1  # a single pixel
    outputs = build(x)(unlabelled(x))
    assert outputs.codes.shape == (6, 64)
    assert torch.equal((outputs.codes[0] != NO_CODE).nonzero().flatten(), torch.tensor([1 * 8 + 2]))
    cell = torch.from_numpy(x[:, -1]).reshape(6, 8, 4, 8, 4).amax(dim=(2, 4)).flatten(1) > 0
    assert torch.equal(outputs.codes != NO_CODE, cell)


@pytest.mark.parametrize("skips", ["none", "features", "details"])
def test_decoding_the_codes_gives_the_prediction(skips):
    x = cells()
    model = build(x, skip_connections=skips).eval()
    outputs = model(unlabelled(x))
    assert torch.equal(model.encode(torch.from_numpy(x)), outputs.codes)
    torch.testing.assert_close(
        model.decode_codes(outputs.codes, outputs.skips), outputs.prediction, atol=1e-4, rtol=1e-3
    )
    assert (outputs.skips is None) == (skips == "none")
    alone = model.decode_codes(outputs.codes)
    assert alone.shape == outputs.prediction.shape
    assert torch.allclose(alone, outputs.prediction, atol=1e-4) == (skips == "none")


def test_details_are_what_the_grid_cannot_hold():
    flat = torch.full((1, 3, 16, 16), 2.5)
    assert details(flat, (8, 8)).abs().max() < 1e-5
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    assert details(ramp, (8, 8))[..., 2:-2].abs().max() < 1e-5  # but for the borders
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1.0
    torch.testing.assert_close(details(board[None, None], (8, 8)), board[None, None])


def test_the_score_is_of_the_decoder_without_skips():
    x = cells()
    for skips in ("none", "details", "features"):
        model = build(x, skip_connections=skips).eval()
        outputs = model(unlabelled(x))
        decodes = model.decodes(outputs, 4, generator())
        assert torch.equal(decodes.reconstruction, outputs.prediction)
        (alone,) = decodes.samples
        torch.testing.assert_close(alone, model.decode_codes(outputs.codes))
        assert torch.allclose(alone, outputs.prediction, atol=1e-4) == (skips == "none")
        torch.testing.assert_close(decodes.zero[0], decodes.zero[1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(decodes.swapped, model.decode_codes(swapped_codes(outputs.codes)))
        assert not torch.allclose(decodes.swapped, alone, atol=1e-4)
    assert model.decodes(model(unlabelled(x[:1])), 4, generator()).swapped.shape == (1, 2, 32, 32)


def test_swapped_codes_are_those_of_the_next_sample_at_the_positions_of_this_one():
    codes = torch.tensor([[1, 2, -1, 3], [-1, 5, 6, -1], [7, -1, -1, -1]])
    assert swapped_codes(codes).tolist() == [[5, 5, -1, 6], [-1, 7, 7, -1], [1, -1, -1, -1]]
    assert swapped_codes(codes[:1]).tolist() == [[3, 2, -1, 1]]
    dead = torch.where(codes == NO_CODE, NO_CODE, 4)
    assert torch.equal(swapped_codes(dead), dead)


def test_skips_are_dropped_in_a_share_of_the_training_batches():
    x = cells()
    model = build(x, skip_drop=0.3)
    torch.manual_seed(0)
    dropped = [model(unlabelled(x)).skips is None for _ in range(200)]
    assert 0.2 < np.mean(dropped) < 0.4
    model.eval()
    assert all(model(unlabelled(x)).skips is not None for _ in range(20))


@pytest.mark.parametrize(("stride", "side", "grid"), [(2, 32, 8), (3, 32, 6), (3, 33, 6), (2, 17, 5), (4, 16, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_gradients(stride, side, grid, channels):
    x = cells(3, channels, side)
    model = build(x, stride_first=stride, ema=False, skip_drop=0.0)
    outputs = model(unlabelled(x))
    assert outputs.prediction.shape == outputs.target.shape == (3, channels, side, side)
    assert outputs.codes.shape == (3, grid * grid)
    assert outputs.quantised.encoded_BDHW.shape == (3, 16, grid, grid)
    weights = term_weights(model.config, END)
    sum(weights[name] * term for name, term in model.terms(outputs).items()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    for image in model.panel(model.fixed_target(outputs.x), outputs.prediction.detach()):
        assert image.shape == (3, side, side, 3)
        assert 0 <= image.min() <= image.max() <= 1


def test_the_architecture_follows_the_configuration():
    x = cells()

    def size(**changes):
        return sum(parameter.numel() for parameter in build(x, **changes).parameters())

    assert size(attention=False) < size()
    assert size(skip_connections="none") < size()
    assert size(residual=False) == size()
    predictions = [build(x, residual=residual)(unlabelled(x)).prediction for residual in (True, False)]
    assert not torch.allclose(*predictions, atol=1e-3)


# loss


def by_hand(**changes) -> tuple[Model, Outputs]:
    """A 4 × 4 error of 1 on the cell (left half) and 2 on the background; two encodings one off their codes."""
    x = torch.zeros(1, 2, 4, 4)
    x[:, 1, :, :2] = 1.0
    x[:, 0] = torch.arange(16.0).view(4, 4)
    error = torch.where(x[:, 1:] > 0, 1.0, 2.0)
    encoded = torch.zeros(1, 16, 1, 2)
    embedded = torch.ones(1, 16, 1, 2)
    quantised = Quantised(torch.tensor([[3, NO_CODE]]), encoded, embedded, embedded)
    model = build(cells(2, 1), perceptual_loss_weight=0.0, **changes)
    return model, Outputs(quantised.codes_BP, quantised, None, error, torch.zeros(1, 1, 4, 4), x)


@pytest.mark.parametrize(
    ("content_weight", "reduction", "expected"),
    [
        (1.0, "mean", (8 * 1 + 8 * 4) / 16),
        (5.0, "mean", (5 * 8 * 1 + 8 * 4) / (5 * 8 + 8)),
        (1.0, "sum", 8 * 1 + 8 * 4),
        (5.0, "sum", 16 * (5 * 8 * 1 + 8 * 4) / (5 * 8 + 8)),
    ],
)
def test_reconstruction_by_hand(content_weight, reduction, expected):
    model, outputs = by_hand(content_weight=content_weight, reduction=reduction)
    terms = model.terms(outputs)
    assert terms["reconstruction"].item() == pytest.approx(expected)
    assert terms["commitment"].item() == pytest.approx(1.0)
    assert list(terms) == ["reconstruction", "commitment"]


def test_the_codebook_term_is_for_codes_learnt_by_gradient():
    model, outputs = by_hand(ema=False)
    assert model.terms(outputs)["codebook"].item() == pytest.approx(1.0)


def test_the_perceptual_term_sees_the_content_in_robust_scale():
    x = cells()
    values = []
    for method in METHODS:
        model = build(x, normalize_method=method)
        outputs = model(unlabelled(x))
        wrong = Outputs(**{**vars(outputs), "prediction": outputs.target.flip(0)})
        outside = (outputs.x[:, -1:] == 0).expand_as(outputs.target)
        noisy = Outputs(**{**vars(outputs), "prediction": torch.where(outside, 9.0, outputs.target)})
        values.append(model.terms(noisy)["perceptual"].item())
        assert model.terms(wrong)["perceptual"].item() > 100 * max(values[-1], 1e-7)
    assert max(values) < 1e-3


def test_the_perceptual_network_is_no_part_of_the_model():
    x = cells()
    assert not [name for name in build(x).state_dict() if "perceptual" in name]
    assert ["random features" in note for note in build(x).notes] == [True]
    assert build(x, perceptual_loss_weight=0.0).notes == ()


def test_term_weights():
    given = config(reconstruction_loss_weight=2.0, commitment_cost=0.5, perceptual_loss_weight=0.1)
    expected = {"reconstruction": 2.0, "commitment": 0.5, "codebook": 1.0, "perceptual": 0.1}
    assert term_weights(given, END) == expected


def test_there_is_no_forecast():
    assert quadratic_form(config(), cells(), {}) is None


# measures


def test_measures_see_the_content_alone():
    x = torch.from_numpy(cells())
    content = x[:, -1:].expand(-1, 2, -1, -1)
    target = torch.rand(6, 2, 32, 32, generator=generator()) * content
    prediction = (target + 0.1 * torch.randn(6, 2, 32, 32, generator=generator())) * content
    inside = content > 0
    for index in range(6):
        ours, theirs = prediction[index][inside[index]], target[index][inside[index]]
        expected = peak_signal_noise_ratio(ours, theirs, data_range=1.0)
        assert psnr(prediction, target, content)[index].item() == pytest.approx(expected.item(), rel=1e-4)
        expected = pearson_corrcoef(ours, theirs)
        assert pearson(prediction, target, content)[index].item() == pytest.approx(expected.item(), rel=1e-4)


def test_structural_similarity_is_that_of_the_windows_on_content():
    first, second = torch.rand(2, 3, 1, 32, 32, generator=generator())
    everywhere = torch.ones(3, 1, 32, 32)
    expected = structural_similarity_index_measure(first, second, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(first, second, everywhere), expected)
    half = everywhere.clone()
    half[..., 16:] = 0
    changed = second.clone()
    changed[..., 22:] = 0  # further from the content than a window reaches
    torch.testing.assert_close(ssim(first, second, half), ssim(first, changed, half))
    torch.testing.assert_close(ssim(first, first, half), torch.ones(3))


def test_measures_of_perfect_and_constant_predictions_are_finite():
    x = torch.from_numpy(cells())
    content = x[:, -1:].expand(-1, 2, -1, -1)
    target = torch.rand(6, 2, 32, 32, generator=generator()) * content
    assert psnr(target, target, content).tolist() == [100.0] * 6
    torch.testing.assert_close(pearson(target, target, content), torch.ones(6))
    assert pearson(0.5 * content, target, content).abs().max() < 1e-3


def evaluated(model, x) -> dict[str, float]:
    batches = [unlabelled(x[:4]), unlabelled(x[4:])]
    return evaluate(model, batches, generator(), len(x))[0]


def test_evaluation():
    x = cells()
    model = build(x, normalize_method="zscore")
    metrics = evaluated(model, x)
    assert {"val/psnr", "val/ssim", "val/pearson", "val/mse", "val/reconstruction", "val/commitment"} <= set(metrics)
    content = int((x[:, -1] > 0).sum())
    target = np.stack([robust_scaled(sample) * sample[-1] for sample in x])
    with torch.no_grad():
        outputs = model(unlabelled(x))
        alone = model.to_fixed(model.decode_codes(outputs.codes), torch.from_numpy(x)).numpy()
        shown = model.to_fixed(outputs.prediction, torch.from_numpy(x)).numpy()
    assert metrics["val/mse"] == pytest.approx(np.square(alone - target).sum() / (2 * content), rel=1e-3)
    assert metrics["health/recon_mean"] == pytest.approx(np.square(shown - target).sum() / (2 * content), rel=1e-3)
    assert metrics["health/recon_mean"] != metrics["val/mse"]
    codes = model.encode(torch.from_numpy(x))
    coded = codes[codes != NO_CODE]
    assert metrics["health/codebook_usage"] == len(coded.unique()) / 32
    assert metrics["health/rate"] == pytest.approx(len(coded) / 6 * math.log(32), rel=1e-4)  # not trained: all alike
    assert metrics["schedule/codebook_ready"] == 0.0


def test_idle_codes_cannot_hide_behind_skip_connections():
    x = cells()
    model = build(x, skip_connections="features").eval()
    with torch.no_grad():
        model.decoder.coarse[0].weight.zero_()  # deaf to the codes
        model.codebook.quantiser.codebook = model.codebook.vectors_KD * 0.05  # so that many are in use
    metrics = evaluated(model, x)
    assert metrics["health/codebook_usage"] > 0.05
    assert metrics["health/z_gain"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["val/elbo_gain"] <= -metrics["health/rate"] / (2 * (x[:, -1] > 0).sum() / 6) + 1e-6


# training


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    return prepare(READER, None, tmp_path_factory.mktemp("data"), {"image_size": 32, "subset": 80})


def trainer(dataset, epochs=2, seed=0, **changes) -> Trainer:
    return Trainer("vq_vae", config(**changes), dataset, epochs, seed, "cpu")


@pytest.mark.parametrize("ema", [True, False])
def test_a_restored_trial_goes_on_to_the_same_numbers(embedded, tmp_path: Path, ema):
    changes = {"ema": ema, "ema_decay": 0.6}  # codes are reset within the few steps
    straight = trainer(embedded, **changes)
    expected = [straight.run_epoch() for _ in range(2)][1]
    first = trainer(embedded, **changes)
    first.run_epoch()
    checkpoint.save(tmp_path, first.state_dict())
    second = trainer(embedded, **changes)
    second.load_state_dict(checkpoint.load(tmp_path))
    found = second.run_epoch()
    assert {name: value for name, value in found.items() if not name.startswith("time/")} == {
        name: value for name, value in expected.items() if not name.startswith("time/")
    }
    loaded = checkpoint.load_model(tmp_path)
    assert torch.equal(loaded.codebook.vectors_KD, first.model.codebook.vectors_KD)
    assert loaded.codebook.ready == first.model.codebook.ready


def test_the_epoch_log_tells_when_the_codebook_may_be_judged(embedded):
    trial = trainer(embedded, ema_decay=0.9)  # ready after 20 steps, 8 an epoch
    assert [trial.run_epoch()["schedule/codebook_ready"] for _ in range(3)] == [0.0, 0.0, 1.0]


def test_the_model_before_the_improvements_trains(embedded):
    before = {name: SPACE[name].baseline for name in BEFORE_FIXES}
    metrics = trainer(embedded, **before, perceptual_loss_weight=0.0).run_epoch()
    assert "train/codebook" in metrics
    assert "train/perceptual" not in metrics
    assert metrics["train/reconstruction"] > 1000  # a sum over 8 × 32 × 32 values


@pytest.mark.slow
def test_the_documented_outcome(tmp_path):
    """Usage above 80 %, PSNR above 25 dB, SSIM above 0.8, and codes that matter; before: usage below 10 %."""
    space = SPACE.on_embedded()
    dataset = prepare(READER, None, tmp_path, space.data_settings())
    last = {}
    for name, given in (("documented", space.documented()), ("before", space.baseline())):
        trial = Trainer("vq_vae", given, dataset, space.demo_epochs, 0, "cpu")
        last[name] = SimpleNamespace(
            **{key.split("/")[1]: value for key, value in _last(trial).items() if "/" in key}
        )
    documented, before = last["documented"], last["before"]
    assert documented.codebook_usage > 0.8
    assert documented.psnr > 25
    assert documented.ssim > 0.8
    assert documented.z_gain > 0.5
    assert before.codebook_usage < 0.1
    assert before.psnr < documented.psnr - 8
    assert before.elbo_gain < documented.elbo_gain


def _last(trial: Trainer) -> dict[str, float]:
    return [trial.run_epoch() for _ in range(trial.epochs)][-1]
