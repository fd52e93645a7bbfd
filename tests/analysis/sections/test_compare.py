from dataclasses import replace

import pytest

from analysis import report
from analysis.sweep import SweepError, load
from tests.analysis.page import Page


def test_two_sweeps_side_by_side(ablated, make_writer):
    other = make_writer(name="other", epochs=5, scheduler="asha")
    other.trial([0.5] * 5, config=ablated.record.config.ablation.variants[0].config, seed=2)
    html = report.render(load(ablated.path), load(other.path))
    words = Page(html).words("compare")
    assert "ablatedother" in words
    assert "Best ELBO gain3.30 trial 80.500 trial 1" in words
    assert "1 trial finished in both with the same configuration and seed: mean difference 1.50" in words
    assert "without an interval: too few, or all the same" in words
    assert "epochs105" in words
    assert "schedulerhealth-ashaasha" in words
    assert "different data" not in words
    other.save(data=replace(other.record.data, fingerprint="another"))
    words = Page(report.render(load(ablated.path), load(other.path))).words("compare")
    assert "different data" in words
    assert "mean difference" not in words


def test_sweeps_of_two_models_are_not_compared(writer, make_writer):
    other = make_writer(name="other")
    other.save(model="vq_vae")
    with pytest.raises(SweepError, match="nothing to compare"):
        report.render(load(writer.path), load(other.path))
