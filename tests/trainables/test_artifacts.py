"""The pictures of a trial."""

import matplotlib.image
import numpy as np
import pytest
import torch

from trainables import artifacts

PICTURES = ("reconstructions.png", "samples.png", "latent_pca.png", "kl_per_dim.png")


@pytest.mark.parametrize("epochs", [0, 1])
def test_pictures_are_drawn(trainer, tmp_path, epochs):
    one = trainer(epochs=1)
    for _ in range(epochs):
        one.run_epoch()
    artifacts.write(one, tmp_path)
    folder = tmp_path / "artifacts"
    assert {path.name for path in folder.iterdir()} == set(PICTURES)
    for name in PICTURES:
        image = matplotlib.image.imread(folder / name)
        assert min(image.shape[:2]) > 200
        assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20


def test_the_panel_shows_the_reconstruction_and_what_the_mean_and_nothing_decode_to(trainer):
    pictures = trainer().pictures(np.arange(4))
    assert list(pictures) == ["original", "reconstruction", "decoded mean", "decoded zero"]
    assert len({picture.shape for picture in pictures.values()}) == 1
    assert not torch.equal(pictures["reconstruction"], pictures["decoded mean"])
    assert torch.equal(pictures["decoded zero"][0], pictures["decoded zero"][1])


def test_labels_are_in_the_legend(trainer, tmp_path):
    one = trainer()
    figure = artifacts._latent_pca(one.evaluate()[1].mu.numpy(), one.evaluation_labels())
    legend = figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == sorted(set(one.evaluation_labels()))


def test_a_single_latent_dimension_can_be_drawn(trainer, tmp_path):
    artifacts.write(trainer(latent_dim=1), tmp_path)
    assert (tmp_path / "artifacts" / "latent_pca.png").exists()


def test_a_collapsed_encoder_can_be_drawn():
    figure = artifacts._latent_pca(np.zeros((20, 8)), None)
    assert figure.axes[0].get_legend() is None
    assert "0%" in figure.axes[0].get_xlabel()
