"""imc_vae: symmetries, normalisations, loss terms against hand computation."""

import numpy as np
import pytest
import torch

from trainables import definition
from trainables.data.normalise import grid_statistics, to_fixed_space
from trainables.losses.kl import kl_per_dim
from trainables.models.imc_vae import Model, Normalisation, Outputs, Permuter, quadratic_form, term_weights
from trainables.schedules import Progress
from trainables.vae import Batch

KINDS = ("channel_wise", "learned", "none")


def grids(count=24, rows=4, columns=4, channels=4, seed=0) -> np.ndarray:
    """Grids whose channels differ in mean and by orders of magnitude in scale."""
    rng = np.random.default_rng(seed)
    scale = np.geomspace(10.0, 0.03, channels)
    x = rng.standard_normal((count, rows, columns, channels)) * scale + 2.0 * scale
    return x.astype(np.float32)


@pytest.fixture
def build(config):
    def make(x, **changes) -> Model:
        torch.manual_seed(0)
        return Model(config(**changes), x.shape[1:], grid_statistics(x, np.arange(len(x))))

    return make


def unlabelled(x) -> Batch:
    return Batch(torch.from_numpy(x), torch.full((len(x),), -1))


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoder_does_not_see_the_order_of_the_nodes(build, kind):
    x = grids()
    model = build(x, normalize=kind).eval()
    batch = torch.from_numpy(x)
    order = torch.randperm(16, generator=generator())
    shuffled = batch.flatten(1, 2)[:, order].view_as(batch)
    for straight, mixed in zip(model.encode(batch), model.encode(shuffled), strict=True):
        torch.testing.assert_close(straight, mixed, atol=1e-5, rtol=1e-4)
    changed = model.encode(torch.from_numpy(grids(seed=1)))[0]
    assert (changed - model.encode(batch)[0]).abs().max() > 1e-2


def test_forward_and_encode_agree(build):
    x = grids()
    model = build(x).eval()
    outputs = model(unlabelled(x), generator())
    mu, logvar = model.encode(torch.from_numpy(x))
    torch.testing.assert_close(outputs.mu, mu, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs.logvar, logvar, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(outputs.prediction, model.decode(outputs.z))


def test_nodes_are_shuffled_differently_in_every_sample(build):
    x = grids()
    model = build(x).eval()
    batch = unlabelled(x)
    position = model(batch, generator()).position
    assert torch.equal(position.sort(dim=1).values, torch.arange(16).expand(24, 16))
    assert len({tuple(row) for row in position.tolist()}) == 24
    assert torch.equal(position, model(batch, generator()).position)
    assert not torch.equal(position, model(batch, generator(1)).position)


def test_the_permuter_is_told_the_shuffled_order(build):
    x = grids()
    model = build(x).eval()
    batch = unlabelled(x)
    outputs = model(batch, generator())
    _, _, nodes = model._encode_nodes(model.normalisation.target(batch.x).flatten(1, 2))
    straight = model.permuter(nodes)  # node i is at position i
    index = outputs.position[:, :, None].expand_as(straight)
    torch.testing.assert_close(outputs.log_permutation, straight.gather(1, index), atol=1e-3, rtol=1e-3)


def test_the_permutation_is_doubly_stochastic():
    torch.manual_seed(0)
    permuter = Permuter(16, 36)
    matrix = permuter(torch.randn(5, 36, 16)).exp()
    torch.testing.assert_close(matrix.sum(dim=2), torch.ones(5, 36), atol=1e-5, rtol=0)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(5, 36), atol=1e-3, rtol=0)
    assert matrix.max() > 1.5 / 36  # not the uniform matrix


def test_the_permuter_is_equivariant():
    torch.manual_seed(0)
    permuter = Permuter(16, 9)
    nodes, order = torch.randn(2, 9, 16), torch.randperm(9, generator=generator())
    torch.testing.assert_close(permuter(nodes[:, order]), permuter(nodes)[:, order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_maps_onto_the_fixed_target(build, kind):
    x = grids(200)
    model = build(x, normalize=kind)
    batch = torch.from_numpy(x)
    for _ in range(150):  # running statistics of the batch norm
        model.normalisation.target(batch)
    model.eval()
    target = model.normalisation.target(batch)
    torch.testing.assert_close(model.to_fixed(target, batch), model.fixed_target(batch), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.to_fixed(target + 0.1, batch), model.fixed_target(batch), atol=1e-3, rtol=1e-3)
    worse = model.to_fixed(target.flip(0), batch)
    assert (worse - model.fixed_target(batch)).abs().mean() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_every_normalisation_is_given_offset_and_scale_of_its_target(build, kind):
    """A decoder that ignores z: whatever it trains on, it is scored by its pattern over the grid alone."""
    x = grids(200)
    x += 10.0 * np.random.default_rng(1).standard_normal((200, 1, 1, 4)).astype(np.float32)  # offsets a z could code
    model = build(x, normalize=kind).eval()
    batch = torch.from_numpy(x)
    template = torch.zeros(1, 4, 4, 4).expand(200, -1, -1, -1)
    fixed = model.to_fixed(template, batch)
    torch.testing.assert_close(fixed, torch.zeros_like(fixed), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_fixed_target_is_that_of_the_data(build, kind):
    x = grids()
    fixed = build(x, normalize=kind).fixed_target(torch.from_numpy(x))
    floor = float(grid_statistics(x, np.arange(len(x)))["std_floor"])
    np.testing.assert_allclose(fixed.numpy(), to_fixed_space(x, floor), atol=1e-4)
    torch.testing.assert_close(fixed.mean(dim=(1, 2)), torch.zeros(24, 4), atol=1e-4, rtol=0)
    torch.testing.assert_close(fixed.std(dim=(1, 2), correction=0), torch.ones(24, 4), atol=1e-3, rtol=0)


def test_batch_norm_targets_have_unit_scale(build):
    x = grids(200)
    model = build(x, normalize="learned")
    target = model.normalisation.target(torch.from_numpy(x)).flatten(0, 2)
    torch.testing.assert_close(target.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(target.std(0, correction=0), torch.ones(4), atol=1e-2, rtol=0)
    with torch.no_grad():
        model.normalisation.scale.fill_(3.0)
        model.normalisation.shift.fill_(-1.0)
    again = model.normalisation.target(torch.from_numpy(x)).flatten(0, 2)
    assert torch.equal(target, again)  # the learned scale cannot shrink the loss
    assert torch.equal(model.normalisation.network_input(again), again * 3.0 - 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_and_nearly_constant_channels_stay_finite_and_small(build, kind):
    x = grids()
    x[..., 0] = 1000.1
    x[..., 1] = 5.0 + 1e-6 * np.random.default_rng(0).standard_normal(x.shape[:-1])
    x[:, :, :, 2:] *= 0.01 / x[:, :, :, 2:].std()
    model = build(x, normalize=kind)
    batch = torch.from_numpy(x)
    fixed = model.fixed_target(batch)
    floor = float(grid_statistics(x, np.arange(len(x)))["std_floor"])
    np.testing.assert_allclose(fixed.numpy(), to_fixed_space(x, floor), atol=0.05)
    terms = model.loss_terms(unlabelled(x), generator())
    sum(terms.values()).backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def outputs_of(prediction, target, log_permutation=None, position=None, mu=None, logvar=None) -> Outputs:
    count, nodes = len(target), target.shape[1] * target.shape[2]
    position = torch.arange(nodes).expand(count, nodes) if position is None else position
    uniform = torch.full((count, nodes, nodes), 1.0 / nodes).log()
    latent = torch.zeros(count, 8)
    return Outputs(
        mu=latent if mu is None else mu,
        logvar=latent if logvar is None else logvar,
        z=latent,
        prediction=prediction,
        target=target,
        log_permutation=uniform if log_permutation is None else log_permutation,
        position=position,
    )


def test_loss_terms_by_hand(build):
    model = build(grids(rows=2, columns=2, channels=2), kld_free_bits=0.0)
    target = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]], [[0.0, 2.0], [0.0, 2.0]]]])
    prediction = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]], [[0.0, -1.0], [1.0, 1.0]]]])
    mu, logvar = torch.full((1, 8), 2.0), torch.zeros(1, 8)
    # errors: (0, 0) (-1, 1) / (0, -3) (1, -1)
    terms = model.terms(outputs_of(prediction, target, mu=mu, logvar=logvar))
    assert terms["node"].item() == pytest.approx((0 + 2 + 9 + 2) / 8)
    assert terms["cosine"].item() == pytest.approx(1 - (1 + 0 - 1 + 1 / np.sqrt(2)) / 4, abs=1e-6)
    rows = (0 + 9) + (4 + 4)  # (0, -3) − (0, 0); (1, -1) − (-1, 1)
    columns = (1 + 1) + (1 + 4)  # (-1, 1) − (0, 0); (1, -1) − (0, -3)
    assert terms["gradient"].item() == pytest.approx((rows + columns) / 8)
    assert terms["permutation"].item() == pytest.approx(np.log(4))
    assert terms["kl"].item() == pytest.approx(16.0)


def test_the_permutation_term_reads_the_true_order(build):
    model = build(grids(rows=2, columns=2, channels=2))
    target = torch.zeros(1, 2, 2, 2) + 1.0
    position = torch.tensor([[2, 0, 3, 1]])
    sure = torch.full((1, 4, 4), 0.01)
    sure[0, torch.arange(4), position[0]] = 0.97
    terms = model.terms(outputs_of(target, target, sure.log(), position))
    assert terms["permutation"].item() == pytest.approx(-np.log(0.97), rel=1e-4)
    assert model.measures(outputs_of(target, target, sure.log(), position), target, target) == {
        "val/cosine_similarity": pytest.approx(1.0),
        "val/permutation_accuracy": pytest.approx(1.0),
        "health/feature_mean": 1.0,
        "health/feature_std": 0.0,
    }
    wrong = outputs_of(target, target, sure.log(), torch.tensor([[2, 0, 1, 3]]))
    assert model.measures(wrong, target, -target) == {
        "val/cosine_similarity": pytest.approx(-1.0),
        "val/permutation_accuracy": pytest.approx(0.5),
        "health/feature_mean": 1.0,
        "health/feature_std": 0.0,
    }


def test_free_bits_hold_the_kl_up(build):
    model = build(grids(), kld_free_bits=2.0)
    target = torch.ones(3, 4, 4, 4)
    assert model.terms(outputs_of(target, target))["kl"].item() == pytest.approx(16.0)
    outputs = model(unlabelled(grids()), generator())
    floored = kl_per_dim(outputs.mu, outputs.logvar).clamp(min=2.0).sum(1).mean()
    torch.testing.assert_close(model.terms(outputs)["kl"], floored)


def test_loss_terms_are_those_of_one_pass(build):
    batch = unlabelled(grids())
    model = build(grids())
    expected = model.terms(model(batch, generator()))
    found = model.loss_terms(batch, generator())
    assert list(found) == ["node", "cosine", "gradient", "permutation", "kl"]
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("changes", "progress", "kl", "permutation"),
    [
        ({"kl_warmup": 0.0}, 0.0, 1e-3, 0.8),
        ({"kl_warmup": 0.4}, 0.0, 0.0, 0.8),
        ({"kl_warmup": 0.4}, 0.1, 0.25e-3, 0.8),
        ({"kl_warmup": 0.4}, 0.4, 1e-3, 0.8),
        ({"kl_warmup": 0.4}, 1.0, 1e-3, 0.8),
        ({"two_stage": True, "kl_warmup": 0.4}, 0.49, 0.0, 0.0),
        ({"two_stage": True, "kl_warmup": 0.4}, 0.5, 0.0, 0.8),
        ({"two_stage": True, "kl_warmup": 0.4}, 0.6, 0.5e-3, 0.8),
        ({"two_stage": True, "kl_warmup": 0.4}, 0.7, 1e-3, 0.8),
        ({"two_stage": True, "kl_warmup": 0.0}, 0.5, 1e-3, 0.8),
    ],
)
def test_term_weights(config, changes, progress, kl, permutation):
    weights = term_weights(config(kld_loss_scale=1e-3, **changes), Progress(progress, 100))
    assert weights == {
        "node": 1.0,
        "cosine": 0.5,
        "gradient": 1.0,
        "permutation": permutation,
        "kl": pytest.approx(kl, abs=1e-12),
    }


@pytest.mark.parametrize("shape", [(4, 4, 4), (6, 6, 512), (2, 3, 1)])
@pytest.mark.parametrize("kind", KINDS)
def test_shapes(build, shape, kind):
    x = grids(3, *shape)
    model = build(x, normalize=kind, latent_dim=20)  # not a multiple of the width
    outputs = model(unlabelled(x), generator())
    nodes = shape[0] * shape[1]
    assert outputs.mu.shape == outputs.logvar.shape == outputs.z.shape == (3, 20)
    assert outputs.prediction.shape == outputs.target.shape == (3, *shape)
    assert outputs.log_permutation.shape == (3, nodes, nodes)
    sum(model.terms(outputs).values()).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == []
    for image in model.panel(outputs.target.detach(), outputs.prediction.detach()):
        assert image.shape == (3, *shape[:2], 3)
        assert image.min() >= 0
        assert image.max() <= 1


def test_the_decoder_reads_every_latent_dimension(build):
    model = build(grids(), latent_dim=20).eval()
    z = torch.zeros(1, 20, requires_grad=True)
    model.decode(z).square().sum().backward()
    assert (z.grad.abs() > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_quadratic_form_is_the_loss(build, config, kind):
    """Weights and features on the difference of two data sets equal the model's own terms for that error."""
    first, second = grids(24, seed=0), grids(24, seed=1)
    statistics = grid_statistics(first, np.arange(24))
    given = config(normalize=kind, cosine_loss_weight=0.0, gradient_loss_weight=0.7)
    (weight, one), (gradient_weight, one_gradient) = quadratic_form(given, first, statistics).features
    (_, two), (_, two_gradient) = quadratic_form(given, second, statistics).features
    model = build(first, normalize=kind)
    terms = model.terms(outputs_of(torch.from_numpy(two()).float(), torch.from_numpy(one()).float()))
    error = np.square(two() - one()).reshape(24, -1).sum(axis=1).mean()
    differences = np.square(two_gradient() - one_gradient()).reshape(24, -1).sum(axis=1).mean()
    assert weight * error == pytest.approx(terms["node"].item(), rel=1e-4)
    assert gradient_weight * differences == pytest.approx(0.7 * terms["gradient"].item(), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_quadratic_form_sees_the_space_the_trial_trains_in(build, config, kind):
    x = grids(100)
    statistics = grid_statistics(x, np.arange(100))
    (_, features), _ = quadratic_form(config(normalize=kind), x, statistics).features
    model = build(x, normalize=kind)  # in training mode: statistics of this batch
    expected = model.normalisation.target(torch.from_numpy(x))
    np.testing.assert_allclose(features(), expected.numpy(), atol=2e-4, rtol=1e-3)


def test_quadratic_form_of_the_cosine_term(build, config):
    rng = np.random.default_rng(0)
    target = rng.choice([-1.0, 1.0], (10, 4, 4, 8)).astype(np.float64)
    error = rng.standard_normal(target.shape) * 1e-2
    error -= target * (error * target).mean(axis=-1, keepdims=True)  # across the target
    statistics = {"channel_mean": np.zeros(8), "channel_std": np.ones(8), "std_floor": 1e-3}
    without, with_cosine = (
        quadratic_form(config(normalize="none", cosine_loss_weight=w), target, statistics).features[0][0]
        for w in (0.0, 0.6)
    )
    x = target.astype(np.float32)
    terms = build(x).terms(outputs_of(torch.from_numpy(target + error), torch.from_numpy(target)))
    quadratic = (with_cosine - without) * np.square(error).reshape(10, -1).sum(axis=1).mean()
    assert quadratic == pytest.approx(0.6 * terms["cosine"].item(), rel=1e-3)


@pytest.mark.parametrize(("scale", "variance"), [(1e-4, 0.9216), (1e-3, 9.216)])
def test_effective_variance_of_the_documented_configurations(config, scale, variance):
    x = grids(4, 6, 6, 512)
    form = quadratic_form(config(kld_loss_scale=scale), x, grid_statistics(x, np.arange(4)))
    assert form.effective_variance == pytest.approx(variance)
    assert (form.free_bits, form.latent_dim) == (2.0, 8)


def test_normalisation_keeps_the_floor_in_its_state():
    state = Normalisation("channel_wise", 4, 0.25).state_dict()
    assert state["std_floor"].item() == 0.25


def test_load_finds_the_module_and_refuses_others():
    import search_spaces

    assert definition.load("imc_vae").Model is Model
    with pytest.raises(search_spaces.ModelError, match="known models: "):
        definition.load("nothing")


def test_features_have_mean_zero_and_standard_deviation_one_where_they_are_normalised(build):
    x = grids(count=8) * 30.0 + 100.0
    found = {}
    for kind in ("channel_wise", "none"):
        model = build(x, normalize=kind).eval()
        outputs = model(unlabelled(x), generator())
        target = model.fixed_target(torch.from_numpy(x))
        found[kind] = model.measures(outputs, target, target)
    assert found["channel_wise"]["health/feature_mean"].item() == pytest.approx(0.0, abs=1e-4)
    assert found["channel_wise"]["health/feature_std"].item() == pytest.approx(1.0, abs=1e-3)
    assert found["none"]["health/feature_mean"].item() == pytest.approx(x.mean().item(), rel=1e-4)
    assert found["none"]["health/feature_std"].item() == pytest.approx(x.std().item(), rel=1e-4)
