import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from analysis import figures, palette
from analysis.sweep import Outcome, load

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in ET.fromstring(svg).iter(SVG + "text")]


def test_every_outcome_has_colours_and_a_mark():
    assert set(palette.STYLES) == set(Outcome)
    assert len({style.light for style in palette.STYLES.values()}) == len(Outcome)
    assert palette.variables(dark=True).keys() == palette.variables(dark=False).keys()


def test_curves_name_the_best_and_the_documented_trials(realistic):
    sweep = load(realistic)
    labels = texts(figures.learning_curves(sweep, sweep.objectives[0]))
    assert {"best", "documented", "before", "epoch", "ELBO gain"} <= set(labels)
    assert "collapsed (4)" in labels


def test_colours_are_those_of_the_page(realistic):
    svg = figures.units_and_kl(load(realistic))
    assert "var(--outcome-collapsed, #d55e00)" in svg
    assert not re.search(r": #(0072b2|d55e00|1d2329)\b", svg)


def test_ids_of_two_figures_do_not_meet(realistic):
    sweep = load(realistic)
    ids = [
        set(re.findall(r'\bid="([^"]+)"', figure))
        for figure in (figures.units_and_kl(sweep), figures.forecast_and_outcome(sweep))
    ]
    assert ids[0]
    assert not ids[0] & ids[1]
    svg = figures.units_and_kl(sweep)
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    assert {a or b for a, b in used} <= ids[0]


def test_the_same_sweep_gives_the_same_figure(realistic):
    sweep = load(realistic)
    assert figures.forecast_and_outcome(sweep) == figures.forecast_and_outcome(sweep)


def test_labels_at_the_same_epoch_do_not_overlap(make_writer):
    writer = make_writer(epochs=2)
    for origin in ("documented", "baseline"):
        writer.trial([0.1, 0.2], origin=origin, status="STOPPED", reason="RUNG")
    sweep = writer.load()
    svg = ET.fromstring(figures.learning_curves(sweep, sweep.objectives[0]))
    heights = [
        float(re.search(r"([\d.]+)\)$", element.get("transform") or "").group(1))
        if element.get("transform")
        else float(element.get("y"))
        for element in svg.iter(SVG + "text")
        if element.text in ("documented", "before")
    ]
    assert abs(heights[0] - heights[1]) > 8


def test_thresholds_are_in_sight_when_every_trial_collapsed(writer):
    writer.trial([0.0], status="STOPPED", reason="COLLAPSED", au=0.0, kl_raw=0.01)
    labels = texts(figures.units_and_kl(writer.load()))
    assert "KL floor 0.05" in labels
    assert {"0.1", "1", "10"} <= set(labels)


def test_limits_ignore_wild_values_but_hold_the_healthy_ends():
    curves = {number: np.array([[1, 0.0], [2, 0.5]]) for number in range(1, 60)}
    curves[60] = np.array([[1, -1e6], [2, math.nan]])
    curves[61] = np.array([[1, 0.0], [2, 3.0]])
    low, high = figures.robust_limits(curves, [1, 61])
    assert -1 < low < 0
    assert 3.0 < high < 3.5


def test_limits_of_a_constant():
    low, high = figures.robust_limits({1: np.array([[1, 0.0]])}, [])
    assert low < 0 < high


def test_many_trials_become_one_image(make_writer):
    writer = make_writer(epochs=2)
    for trial in range(figures.RASTERISED_ABOVE + 1):
        writer.trial([0.1, trial / 100], au=1.0 + trial, kl_raw=2.0 * trial)
    sweep = writer.load()
    curves = figures.learning_curves(sweep, sweep.objectives[0])
    assert "data:image/png;base64" in curves
    assert curves.count("<path") < 60
    assert "data:image/png;base64" in figures.units_and_kl(sweep)


@pytest.mark.parametrize("scores", [[0.1], [math.nan, 0.1], [0.1, math.inf]])
def test_short_and_broken_curves(make_writer, scores):
    writer = make_writer(epochs=len(scores))
    writer.trial(scores)
    sweep = writer.load()
    assert "best" in texts(figures.learning_curves(sweep, sweep.objectives[0])) or not math.isfinite(scores[-1])


def test_metric_names_are_text_and_never_markup(make_writer):
    writer = make_writer(metric=["val/<b>$x$"])
    writer.trial([0.1, 0.2], metric="val/<b>$x$")
    sweep = writer.load()
    assert "<b>$x$" in texts(figures.learning_curves(sweep, sweep.objectives[0]))
