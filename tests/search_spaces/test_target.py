"""Numbers that the sources state."""

import math

import pytest

import search_spaces
from search_spaces import Target


@pytest.mark.parametrize(
    ("ends", "text", "inside", "outside"),
    [
        ({"low": 50.0}, "at least 50", (50.0, math.inf), (49.9, math.nan)),
        ({"high": 0.006}, "at most 0.006", (0.006, -1.0), (0.0061, math.nan)),
        ({"low": 0.1, "high": 1.0}, "0.1 to 1", (0.1, 1.0), (0.09, 1.01, math.nan)),
    ],
)
def test_a_range(ends, text, inside, outside):
    target = Target("val/x", "it works", "notes", **ends)
    assert target.range_text == text
    assert all(target.met(value) for value in inside)
    assert not any(target.met(value) for value in outside)


def test_a_target_may_be_stated_for_some_configurations_alone():
    target = Target("val/x", "it works", "notes", low=1.0, when={"clip": None, "width": 8})
    assert target.applies({"clip": None, "width": 8, "other": 3})
    assert not target.applies({"clip": 1.0, "width": 8})
    assert not target.applies({"width": 9})


@pytest.mark.parametrize(
    ("ends", "message"), [({}, "needs a low or a high end"), ({"low": 2.0, "high": 1.0}, "empty")]
)
def test_contradictory_targets_are_refused(ends, message):
    with pytest.raises(ValueError, match=message):
        Target("val/x", "it works", "notes", **ends)


@pytest.mark.parametrize("model", search_spaces.names())
def test_conditions_name_legal_values_of_the_model(model):
    space = search_spaces.load(model)
    for target in space.targets:
        assert [space[name].problem(value) for name, value in target.when.items()] == [None] * len(target.when)


def test_what_the_sources_state():
    stated = {
        (model, target.metric, target.low, target.high)
        for model in search_spaces.names()
        for target in search_spaces.load(model).targets
    }
    assert {
        ("imc_vae", "health/kl_raw", 50.0, None),
        ("imc_vae", "health/kl_raw", 100.0, None),
        ("imc_vae", "health/z_std", 0.5, None),
        ("vq_vae", "health/codebook_usage", 0.8, None),
        ("vq_vae", "val/psnr", 25.0, None),
        ("vq_vae", "val/ssim", 0.8, None),
        ("vq_vae", "val/vq_loss", 0.1, 1.0),
        ("vq_vae", "val/reconstruction", None, 0.1),
        ("conv_vae", "val/reconstruction", None, 0.006),
        ("dip_vae_sbd", "health/kl_raw", 6.4, None),
    } <= stated
