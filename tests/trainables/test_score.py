"""The score against direct sums over all pairs, and against what no weight and no collapsed decoder may do to it."""

import math

import pytest
import torch
from sklearn.metrics import r2_score

from trainables.score import Errors, Pairs, by_channel, elbo_gain, kept_channels

CHANNELS, LENGTH, DRAWS = 3, 5, 4


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def score(target, decodes, rate, factor=None, axis=1):
    """The score of `decodes`, in batches."""
    errors, pairs = Errors(axis), Pairs(axis)
    for part in torch.arange(len(target)).split(4):
        given = 1.0 if factor is None else factor[part]
        errors.add(target[part], {"samples": [given * decode[part] for decode in decodes]})
        pairs.add(target[part], [decode[part] for decode in decodes], None if factor is None else factor[part])
    return elbo_gain(errors.values_C(), errors.mse_C("samples"), errors.constant_C(), pairs.swapped_C(), rate)


@pytest.mark.parametrize("given", [False, True])
def test_swapped_errors_are_those_of_all_pairs(given):
    count = 9
    target = 100.0 + random(count, CHANNELS, LENGTH)
    decodes = [100.0 + random(count, CHANNELS, LENGTH, seed=seed) for seed in range(DRAWS)]
    factor = random(count, CHANNELS, 1, seed=9).exp() if given else torch.ones(count, CHANNELS, 1)
    pairs = Pairs(1)
    for part in torch.arange(count).split(4):
        pairs.add(target[part], [decode[part] for decode in decodes], factor[part] if given else None)
    own, swapped = torch.zeros(CHANNELS, dtype=torch.float64), torch.zeros(CHANNELS, dtype=torch.float64)
    for i in range(count):
        for j in range(count):
            for decode in decodes:
                error = (factor[i] * decode[j] - target[i]).square().mean(dim=1)
                if i == j:
                    own += error / (count * DRAWS)
                else:
                    swapped += error / (count * (count - 1) * DRAWS)
    torch.testing.assert_close(pairs.own_C(), own)
    torch.testing.assert_close(pairs.swapped_C(), swapped)


@pytest.mark.parametrize("count", [10, 70, 1000])
@pytest.mark.parametrize("kind", ["mean in hindsight", "mean of other samples", "far off", "template"])
def test_a_decoder_that_ignores_z_scores_at_most_0(count, kind):
    target = random(count, CHANNELS, LENGTH) * torch.tensor([1.0, 3.0, 0.5])[:, None] + 3.0
    constant = {
        "mean in hindsight": target.mean(dim=0),
        "mean of other samples": random(70, CHANNELS, LENGTH, seed=1).mean(dim=0) + 3.0,
        "far off": torch.full((CHANNELS, LENGTH), -40.0, dtype=torch.float64),
        "template": target[0],
    }[kind]
    decodes = [constant.expand_as(target)] * DRAWS
    assert score(target, decodes, rate=0.0) <= 1e-9
    assert score(target, decodes, rate=3.0) <= -3.0 / (CHANNELS * LENGTH) + 1e-9


@pytest.mark.parametrize("count", [10, 70, 1000])
def test_nor_where_it_is_given_the_scale_of_its_target(count):
    scale = random(count, CHANNELS, 1).exp()
    pattern = random(CHANNELS, LENGTH, seed=1)
    target = scale * (pattern + 0.1 * random(count, CHANNELS, LENGTH, seed=2))
    decodes = [pattern.expand_as(target)] * DRAWS  # far better than any constant: the scale explains most
    constant, own = target.var(dim=0).mean(), (scale * pattern - target).square().mean()
    assert own < 0.1 * constant
    assert score(target, decodes, rate=0.0, factor=scale) <= 1e-9
    assert score(target, [target / scale] * DRAWS, rate=0.0, factor=scale) > 0.1  # one that uses z may gain


def test_noise_that_is_decoded_without_information_earns_nothing():
    target = random(200, CHANNELS, LENGTH)
    decodes = [0.5 * random(200, CHANNELS, LENGTH, seed=seed) for seed in range(1, 5)]
    assert score(target, decodes, rate=0.0) < 0.01


def test_a_model_that_uses_z_scores_what_it_gains():
    target = random(4000, CHANNELS, LENGTH)
    decodes = [target + 0.1 * random(4000, CHANNELS, LENGTH, seed=seed) for seed in range(1, 3)]
    rate = 2.0
    expected = -0.5 * math.log(0.01) - rate / (CHANNELS * LENGTH)
    assert score(target, decodes, rate) == pytest.approx(expected, rel=0.01)


def test_rescaling_a_channel_changes_nothing():
    target, decode = random(50, CHANNELS, LENGTH), random(50, CHANNELS, LENGTH, seed=1)
    decode = 0.7 * target + 0.3 * decode
    scale = torch.tensor([1e-3, 1.0, 700.0], dtype=torch.float64)[:, None]
    before = score(target, [decode], rate=1.0)
    by_hand = [score(target[:, [c]], [decode[:, [c]]], 0.0) for c in range(CHANNELS)]
    rescaled = [score(scale[c] * target[:, [c]], [scale[c] * decode[:, [c]]], 0.0) for c in range(CHANNELS)]
    assert rescaled == pytest.approx(by_hand)
    assert before == pytest.approx(sum(by_hand) / CHANNELS - 1.0 / (CHANNELS * LENGTH))
    mild = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)[:, None]
    assert score(mild * target, [mild * decode], rate=1.0) == pytest.approx(before)


def test_a_channel_that_hardly_varies_is_left_out():
    target = random(50, CHANNELS, LENGTH)
    decode = 0.7 * target
    expected = score(target[:, :2], [decode[:, :2]], rate=1.0)
    for spread in (0.0, 0.05):
        dull_target, dull_decode = target.clone(), decode.clone()
        dull_target[:, 2] = 5.0 + spread * target[:, 2]
        dull_decode[:, 2] = 17.0
        errors = Errors(1)
        errors.add(dull_target, {})
        assert kept_channels(errors.constant_C()).tolist() == [True, True, False]
        assert score(dull_target, [dull_decode], rate=1.0) == pytest.approx(expected)


def test_an_exact_reconstruction_has_a_finite_score():
    target = random(50, CHANNELS, LENGTH)
    assert score(target, [target], rate=0.0) == pytest.approx(0.5 * math.log(1e10), rel=0.1)


def test_an_error_that_is_no_number_gives_none():
    target = random(50, CHANNELS, LENGTH)
    assert math.isnan(score(target, [target * math.nan], rate=0.0))
    assert math.isnan(score(torch.ones(50, CHANNELS, LENGTH), [target], rate=0.0))


def test_channels_may_stand_last():
    target, decode = random(20, CHANNELS, LENGTH), random(20, CHANNELS, LENGTH, seed=1)
    assert by_channel(target.movedim(1, -1), -1).equal(target)
    assert score(target.movedim(1, -1), [decode.movedim(1, -1)], 1.0, axis=-1) == pytest.approx(
        score(target, [decode], 1.0)
    )


def test_only_content_counts():
    target, prediction = random(30, 2, 4, 4), random(30, 2, 4, 4, seed=1)
    content = (random(30, 1, 4, 4, seed=2) > 0).double()
    errors = Errors(1)
    for part in torch.arange(30).split(7):
        errors.add(target[part], {"one": [prediction[part]]}, content[part])
    counted = content.expand_as(target) > 0
    assert errors.mse("one") == pytest.approx(float((prediction - target)[counted].square().mean()))
    sums = [0.0, 0.0]
    for channel in range(2):
        for row in range(4):
            for column in range(4):
                seen = target[content[:, 0, row, column] > 0, channel, row, column]
                sums[channel] += float(seen.var(correction=1)) * len(seen)
    expected = [total / float(content.sum()) for total in sums]
    assert errors.constant_C().tolist() == pytest.approx(expected)
    assert float(errors.values_C().sum()) == pytest.approx(float(2 * content.sum() / 30))


def test_r2_is_the_share_of_the_variance_about_the_mean_sample():
    target, prediction = random(40, 2, 6) + 5.0, random(40, 2, 6, seed=1) * 0.1 + 5.0
    prediction = 0.8 * target + 0.2 * prediction
    errors = Errors(1)
    errors.add(target, {"one": [prediction]})
    expected = r2_score(target.flatten(1), prediction.flatten(1), multioutput="variance_weighted")
    assert errors.explained("one") == pytest.approx(expected)
    assert errors.constant() == pytest.approx(float(target.var(dim=0, correction=1).mean()))


def test_the_mean_of_several_decodes_is_no_worse_than_they_are_on_average():
    target = random(30, CHANNELS, LENGTH)
    decodes = [target + random(30, CHANNELS, LENGTH, seed=seed) for seed in range(1, 5)]
    errors = Errors(1)
    errors.add(target, {"samples": decodes, "mean": [sum(decodes) / 4]})
    assert errors.mse("mean") < errors.mse("samples")
    assert errors.mse("samples") == pytest.approx(float(sum((d - target).square().mean() for d in decodes) / 4))
