"""Labels and meanings of metrics."""

import pytest

from analysis import names


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("val/ssim", "SSIM"),
        ("val/ssim/t1", "SSIM t1"),
        ("test/ssim/flair", "test SSIM flair"),
        ("test/accuracy", "test accuracy"),
        ("environment/accuracy", "environment accuracy"),
        ("val/spectral", "spectral"),
        ("test/my_own", "test my own"),
        ("health/perplexity", "perplexity"),
        ("time/epoch_seconds", "epoch seconds"),
        ("odd", "odd"),
    ],
)
def test_labels(metric, label):
    assert names.label(metric) == label


def test_meanings_of_parts_and_of_the_held_out_environment():
    assert names.meaning("val/psnr/t1") == names.meaning("val/psnr") + ", for t1 alone"
    accuracy = names.meaning("val/accuracy")
    assert names.meaning("environment/accuracy") == f"{accuracy}, in the environment that was held out"
    assert names.meaning("test/accuracy") == f"{accuracy}, on data that no choice has seen"
    assert names.meaning("val/unheard_of") == ""


def test_parts_stand_behind_their_whole_and_the_unknown_last():
    metrics = ["val/zz", "val/psnr", "val/ssim/t2", "val/ssim", "val/ssim/t1", "val/elbo_gain"]
    assert names.order(metrics) == [
        "val/elbo_gain",
        "val/ssim",
        "val/ssim/t1",
        "val/ssim/t2",
        "val/psnr",
        "val/zz",
    ]


@pytest.mark.parametrize("metric", names.HEALTH)
def test_every_health_column_is_explained(metric):
    assert names.meaning(metric)
