"""The pictures of a trial."""

import json

import matplotlib.image
import numpy as np
import pytest

from trainables import artifacts

PICTURES = ("reconstructions.png", "latent_pca.png", "kl_per_dim.png")


@pytest.mark.parametrize("epochs", [0, 1])
def test_pictures_are_drawn(trainer, tmp_path, epochs):
    one = trainer(epochs=1)
    for _ in range(epochs):
        one.run_epoch()
    artifacts.write(one, tmp_path)
    folder = tmp_path / "artifacts"
    assert {path.name for path in folder.iterdir()} == {*PICTURES, "latents.json"}
    for name in PICTURES:
        image = matplotlib.image.imread(folder / name)
        assert min(image.shape[:2]) > 250
        assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20
    summary = json.loads((folder / "latents.json").read_text())
    metrics, latent = one.evaluate()
    assert summary["kl_per_dim"] == latent.kl_per_dim().tolist()
    assert sum(summary["kl_per_dim"]) == pytest.approx(metrics["health/kl_raw"])
    assert np.mean(summary["mu_var"]) == pytest.approx(metrics["health/mu_var_mean"])
    assert sum(value > 0.01 for value in summary["mu_var"]) == metrics["health/au"]


def test_labels_are_in_the_legend(trainer, tmp_path):
    one = trainer()
    figure = artifacts._latent_pca(one.evaluate()[1].mu().numpy(), one.evaluation_labels())
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == sorted(set(one.evaluation_labels()))


def test_a_single_latent_dimension_can_be_drawn(trainer, tmp_path):
    artifacts.write(trainer(latent_dim=1), tmp_path)
    assert (tmp_path / "artifacts" / "latent_pca.png").exists()


def test_a_collapsed_encoder_can_be_drawn():
    figure = artifacts._latent_pca(np.zeros((20, 8)), None)
    assert figure.axes[0].get_legend() is None
    assert "0%" in figure.axes[0].get_xlabel()
