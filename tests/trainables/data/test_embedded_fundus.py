import numpy as np
import pytest
from scipy.ndimage import black_tophat
from sklearn.linear_model import LogisticRegression

from trainables.data import embedded_fundus as embedded_fundus_module
from trainables.data.embedded_fundus import CAMERAS, CLASSES, EACH, FACTORS, embedded_fundus, embedded_fundus_factors
from trainables.data.samples import Samples
from trainables.data.splitting import split


@pytest.fixture(scope="module")
def samples() -> Samples:
    return embedded_fundus(64)


@pytest.fixture(scope="module")
def yellow(samples: Samples) -> np.ndarray:
    """The share of pixels, in thousandths, that are as yellow as exudates are, (N, 1)."""
    red, green = samples.x[:, 0] / 255, samples.x[:, 1] / 255
    return 1000 * ((red > 0.2) & (green > 0.74 * red)).mean(axis=(1, 2))[:, None]


def test_shape_labels_and_environments(samples: Samples):
    assert samples.x.shape == (510, 3, 64, 64)
    assert samples.x.dtype == np.uint8
    assert samples.embedded
    assert sorted(set(samples.labels)) == list(CLASSES)
    assert sorted(set(samples.environments)) == list(CAMERAS)
    pairs = list(zip(samples.environments, samples.labels, strict=True))
    assert {pair: pairs.count(pair) for pair in set(pairs)} == {(e, c): EACH for e in CAMERAS for c in CLASSES}


def test_the_same_every_time_at_any_size_and_other_seeds_other_eyes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(embedded_fundus_module, "EACH", 2)
    x = embedded_fundus(40).x
    assert x.shape == (12, 3, 40, 40)
    np.testing.assert_array_equal(embedded_fundus(40).x, x)
    assert not np.array_equal(embedded_fundus(40, seed=1).x[0], x[0])


def test_the_camera_can_be_told_but_from_colour_not_from_the_class(samples: Samples):
    colours = samples.x.mean(axis=(2, 3)) / 255
    cameras = np.array(samples.environments)
    train, val, _ = split(len(colours))
    model = LogisticRegression(C=100, max_iter=1000).fit(colours[train], cameras[train])
    assert model.score(colours[val], cameras[val]) > 0.95
    by_class = LogisticRegression(C=100, max_iter=1000).fit(colours[train], np.array(samples.labels)[train])
    assert by_class.score(colours[val], np.array(samples.labels)[val]) < 0.75


def test_exudates_are_in_their_class_alone(samples: Samples, yellow: np.ndarray):
    ill = np.array(samples.labels) == CLASSES[1]
    for camera in CAMERAS:
        here = np.array(samples.environments) == camera
        assert np.median(yellow[here & ill]) > 5, camera  # 20 pixels of 64 × 64
        assert np.median(yellow[here & ~ill]) < 1, camera


def test_dark_dots_are_in_their_class_alone(samples: Samples):
    ill = np.array(samples.labels) == CLASSES[1]
    red = samples.x[:, 0] / np.median(samples.x[:, 0, 16:48, 16:48], axis=(1, 2), keepdims=True)
    dots = (black_tophat(red, size=(1, 5, 5)) > 0.33).mean(axis=(1, 2))
    for camera in CAMERAS:
        here = np.array(samples.environments) == camera
        assert np.percentile(dots[here & ill], 10) > np.percentile(dots[here & ~ill], 90), camera


def test_lesions_carry_over_to_a_camera_that_was_not_seen(samples: Samples, yellow: np.ndarray):
    ill = np.array(samples.labels) == CLASSES[1]
    for camera in CAMERAS:
        held_out = np.array(samples.environments) == camera
        model = LogisticRegression().fit(yellow[~held_out], ill[~held_out])
        assert 0.8 < model.score(yellow[held_out], ill[held_out]) < 1, camera


def test_the_disc_is_bright_on_its_side(samples: Samples):
    side = embedded_fundus_factors()[:, list(FACTORS).index("side")] > 0
    green = samples.x[:, 1].astype(float)
    healthy = np.array(samples.labels) == CLASSES[0]
    brightest = green[:, 20:44].max(axis=1)
    right = brightest[:, 36:].max(axis=1) > brightest[:, :28].max(axis=1)
    assert (right == side)[healthy].mean() > 0.9


def test_corners_are_black_and_nothing_is_burnt_out(samples: Samples):
    assert samples.x[:, :, 0, 0].max() < 15
    assert (samples.x == 255).mean() < 0.03
