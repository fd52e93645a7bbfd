import hashlib
import math

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from torch import from_numpy
from torchmetrics.functional.image import structural_similarity_index_measure

from trainables.data.brain_template import FIELD, TISSUES, draw_template
from trainables.data.embedded_brains import (
    FACTORS,
    MODALITIES,
    SCANNED,
    TISSUE,
    Sequence,
    Tissue,
    embedded_brains,
    embedded_factors,
    signal,
)
from trainables.data.samples import Samples
from trainables.data.splitting import split

SIZE = 32


@pytest.fixture(scope="module")
def samples() -> Samples:
    return embedded_brains(SIZE)


@pytest.fixture(scope="module")
def components(samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and principal components of the training samples, (F,) and (32, F), and the centred samples, (N, F)."""
    flat = samples.x.reshape(len(samples.x), -1)
    train = split(len(flat)).train
    mean = flat[train].mean(axis=0)
    return mean, np.linalg.svd(flat[train] - mean, full_matrices=False)[2][:32], flat - mean


def factor(name: str) -> np.ndarray:
    return embedded_factors()[:, FACTORS.index(name)]


def test_shape_and_labels(samples: Samples):
    assert samples.x.shape == (160, 4, SIZE, SIZE, SIZE)
    assert samples.x.dtype == np.float32
    assert samples.embedded
    counts = dict(zip(*np.unique(samples.labels, return_counts=True), strict=True))
    assert counts.keys() == {"no tumour", "tumour left", "tumour right"}
    assert min(counts.values()) > 30


def test_standardised_over_one_brain(samples: Samples):
    brain = samples.x != 0
    assert 0.15 < brain.mean() < 0.25
    assert (brain == brain[:, :1]).mean() > 0.9999
    for x in samples.x[::40].reshape(-1, SIZE**3):
        inside = x[x != 0].astype(np.float64)
        np.testing.assert_allclose([inside.mean(), inside.std()], [0, 1], atol=1e-5)
    border = np.ones((SIZE, SIZE, SIZE), bool)
    border[1:-1, 1:-1, 1:-1] = False
    assert brain[..., border].mean() < 1e-4


def test_the_same_every_time():
    first, again = embedded_brains(6), embedded_brains(6)
    assert hashlib.sha256(again.x.data).digest() == hashlib.sha256(first.x.data).digest()
    assert not np.array_equal(embedded_brains(6, seed=1).x[0], first.x[0])


def test_sizes_show_the_same_subjects(samples: Samples):
    """Halved, the volumes are those of half the size, but for noise and what small voxels show."""
    half = embedded_brains(SIZE // 2).x[:, 0]
    averaged = samples.x[:, 0].reshape(160, 16, 2, 16, 2, 16, 2).mean(axis=(2, 4, 6))
    same = [np.corrcoef(half[i].ravel(), averaged[i].ravel())[0, 1] for i in range(160)]
    other = [np.corrcoef(half[i].ravel(), averaged[i - 1].ravel())[0, 1] for i in range(160)]
    assert np.mean(same) > np.mean(other) + 0.1
    assert np.mean(np.array(same) > np.array(other)) > 0.98


def test_the_mean_brain_alone_looks_good(samples: Samples, components: tuple[np.ndarray, np.ndarray, np.ndarray]):
    """What a decoder that ignores the latents can reach."""
    truth = from_numpy(samples.x[split(160).val[:12]])
    mean = from_numpy(components[0].reshape(samples.x.shape[1:])).expand_as(truth)
    for modality in range(4):
        seen, expected = mean[:, [modality]], truth[:, [modality]]
        span = float(expected.max() - expected.min())
        assert 0.78 < structural_similarity_index_measure(seen, expected, data_range=span) < 0.88


def test_held_out_variance_is_explained_but_not_by_few_components(
    components: tuple[np.ndarray, np.ndarray, np.ndarray],
):
    _, axes, centred = components
    held_out = centred[split(160).val]
    explained = [
        1 - np.square(held_out - held_out @ part.T @ part).sum() / np.square(held_out).sum()
        for part in (axes[:1], axes[:4], axes)
    ]
    assert explained[0] < 0.1
    assert explained[1] < 0.25
    assert 0.38 < explained[2] < 0.5


@pytest.mark.parametrize("name", ["width", "length", "height", "ventricles", "torque", "tumour right"])
def test_factors_can_be_recovered_from_held_out_samples(
    components: tuple[np.ndarray, np.ndarray, np.ndarray], name: str
):
    _, axes, centred = components
    codes, target, (train, val, _) = centred @ axes.T, factor(name), split(160)
    model = RidgeCV(np.logspace(-2, 5, 15)).fit(codes[train], target[train])
    assert model.score(codes[val], target[val]) > 0.5


def test_tumours_are_where_the_factors_say(samples: Samples):
    """The oedema is the brightest of flair, the rim of t1ce but not of t1."""
    large = np.flatnonzero(factor("tumour radius") > 12)
    assert len(large) > 30
    centres = np.stack([factor(f"tumour {axis}") for axis in ("right", "anterior", "superior")], axis=1)
    for index in large:
        t1, t1ce, _, flair = samples.x[index]
        bright = np.argwhere(flair >= np.sort(flair, axis=None)[-40])
        apart = np.linalg.norm(((bright + 0.5) / SIZE - 0.5) * FIELD - centres[index], axis=1)
        assert np.median(apart) < factor("tumour radius")[index] * (1 + factor("oedema")[index])
        enhanced = np.unravel_index((t1ce - t1).argmax(), t1.shape)
        assert np.abs((np.array(enhanced) + 0.5) / SIZE * FIELD - FIELD / 2 - centres[index]).max() < 24


def test_factors_are_in_their_ranges():
    factors = dict(zip(FACTORS, embedded_factors().T, strict=True))
    has = factors["tumour radius"] > 0
    assert 0.65 < has.mean() < 0.85
    for name, low, high in (("tumour radius", 7, 17), ("core", 0.3, 0.7), ("oedema", 0.4, 1.4)):
        assert low <= factors[name][has].min() < factors[name][has].max() <= high
        assert not factors[name][~has].any()
    assert np.abs(factors["width"]).max() < 0.15
    assert -0.25 <= factors["ventricles"].min() < factors["ventricles"].max() <= 0.45


def test_signal_equations():
    tissue = Tissue(0.5, 1000, 100, 500)
    spin_echo = 0.5 * (1 - math.exp(-2)) * math.exp(-0.1)
    assert signal(tissue, Sequence(2000, 10)) == pytest.approx(spin_echo)
    assert signal(tissue, Sequence(2000, 10, contrast=True)) == pytest.approx(
        0.5 * (1 - math.exp(-4)) * math.exp(-0.1)
    )
    assert signal(tissue, Sequence(1e9, 0, 1000 * math.log(2))) == pytest.approx(0, abs=1e-12)
    assert signal(tissue, Sequence(1e9, 0, 1e-9)) == pytest.approx(0.5)


def test_contrasts_are_those_of_the_modalities():

    seen = {
        name: {tissue: signal(TISSUE[tissue], sequence) for tissue in TISSUE} for name, sequence in SCANNED.items()
    }
    assert tuple(seen) == MODALITIES
    assert seen["t1"]["white matter"] > seen["t1"]["nuclei"] > seen["t1"]["grey matter"] > seen["t1"]["fluid"]
    assert seen["t2"]["fluid"] > seen["t2"]["grey matter"] > seen["t2"]["white matter"]
    assert seen["flair"]["oedema"] == max(seen["flair"].values())
    assert seen["flair"]["fluid"] < 0.1 * seen["flair"]["grey matter"]
    assert seen["t1ce"]["rim"] == max(seen["t1ce"].values())
    assert seen["t1"]["rim"] < seen["t1"]["grey matter"]


def test_template_is_a_whole_made_of_all_tissues():
    shares = draw_template(np.random.default_rng(0))
    total = shares.sum(axis=0)
    assert shares.min() >= 0
    assert total.max() <= 1 + 1e-5
    assert total[50, 50, 52] > 0.99
    volumes = dict(zip(TISSUES, shares.sum(axis=(1, 2, 3)) * 2.0**3 / 1000, strict=True))  # millilitres
    assert 1200 < sum(volumes.values()) < 1600
    assert 400 < volumes["grey matter"] < 800
    assert 400 < volumes["white matter"] < 700
    assert 10 < volumes["nuclei"] < 40
