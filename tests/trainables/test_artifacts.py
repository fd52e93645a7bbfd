"""The pictures of a trial."""

import matplotlib.image
import numpy as np
import pytest
import torch

from trainables import artifacts
from trainables.trainable import _on_the_way

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


@pytest.mark.parametrize(
    ("epochs", "drawn"), [(100, {25, 50, 75}), (8, {2, 4, 6}), (9, {3, 5, 7}), (7, set()), (1, set())]
)
def test_reconstructions_are_drawn_on_the_way(epochs, drawn):
    assert {epoch for epoch in range(1, epochs + 1) if _on_the_way(epoch, epochs)} == drawn


def test_drawing_on_the_way_leaves_the_training_as_it_is(trainer, tmp_path):
    one, other = trainer(epochs=8), trainer(epochs=8)
    for each in (one, other):
        each.run_epoch()
    artifacts.write_progress(one, tmp_path)
    image = matplotlib.image.imread(tmp_path / "artifacts" / "reconstructions-epoch-00001.png")
    assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20
    rows = [each.run_epoch() for each in (one, other)]
    assert rows[0]["val/loss"] == rows[1]["val/loss"]
