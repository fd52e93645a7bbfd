import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from trainables.data.crops import robust_scaled
from trainables.data.embedded_cells import (
    COUNT,
    FACTORS,
    STATES,
    draw_cell,
    embedded_cell_factors,
    embedded_cell_states,
    embedded_cells,
)
from trainables.data.samples import Samples
from trainables.data.splitting import split


@pytest.fixture(scope="module")
def samples() -> Samples:
    return embedded_cells(32)


def test_shape_and_labels(samples: Samples):
    assert samples.x.shape == (512, 2, 32, 32)
    assert samples.x.dtype == np.float32
    assert samples.embedded
    assert samples.labels == [STATES[state] for state in embedded_cell_states()]
    assert min(samples.labels.count(state) for state in STATES) >= 170
    assert embedded_cells(64).x.shape == (512, 2, 64, 64)


def test_the_same_every_time_and_other_seeds_other_cells(samples: Samples):
    np.testing.assert_array_equal(embedded_cells(32).x, samples.x)
    assert not np.array_equal(embedded_cells(32, seed=1).x[0], samples.x[0])


def test_crops_differ_in_size_as_their_factor_says(samples: Samples):
    masks = samples.x[:, 1] > 0
    sides = np.array([max(np.ptp(np.nonzero(mask), axis=1) + 1) for mask in masks])
    sizes = embedded_cell_factors()[:, list(FACTORS).index("size")]
    assert np.corrcoef(sides, sizes)[0, 1] > 0.9
    assert sides.min() <= 17
    assert sides.max() >= 30
    assert len(np.unique(sides)) > 12


def test_the_crop_ends_at_the_cell_and_the_background_is_zero():
    named = dict(zip(FACTORS, embedded_cell_factors()[0], strict=True))
    for state in STATES:
        crop = draw_cell(32, named, state, np.random.default_rng(0))
        assert max(crop.shape) <= 32
        for edge in (crop[0], crop[-1], crop[:, 0], crop[:, -1]):
            assert edge.any()
        assert 0.05 < (crop == 0).mean() < 0.6
        assert crop[0, 0] == 0
        np.testing.assert_array_equal(crop, np.rint(crop))


def test_intensities_are_those_of_a_camera_and_gain_differs(samples: Samples):
    content = [sample[0][sample[1] > 0] for sample in samples.x]
    bright = np.array([np.percentile(values, 95) for values in content])
    assert samples.x[:, 0].max() <= 65535
    assert min(values.min() for values in content) > 0
    assert np.percentile(bright, 95) / np.percentile(bright, 5) > 6
    gain = embedded_cell_factors()[:, list(FACTORS).index("gain")]
    assert np.corrcoef(np.log(bright), gain)[0, 1] > 0.8


def test_scaling_takes_the_gain_away(samples: Samples):
    scaled = np.array([robust_scaled(sample)[0][sample[1] > 0].mean() for sample in samples.x])
    gain = embedded_cell_factors()[:, list(FACTORS).index("gain")]
    assert abs(np.corrcoef(scaled, gain)[0, 1]) < 0.15


def test_states_can_be_told_by_texture(samples: Samples):
    spectra = []
    for sample in samples.x:
        image = np.where(sample[1] > 0, robust_scaled(sample)[0], 0)
        power = np.abs(np.fft.fft2(image))[:12, :12]
        values = robust_scaled(sample)[0][sample[1] > 0]
        spectra.append([*np.log1p(power).ravel(), *np.percentile(values, (10, 25, 50, 75))])
    features, states = np.array(spectra), embedded_cell_states()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    train, val, _ = split(COUNT)
    assert (
        LogisticRegression(C=0.02, max_iter=1000)
        .fit(features[train], states[train])
        .score(features[val], states[val])
        > 0.7
    )
