"""The arrays behind a trial's pictures."""

import numpy as np
import pytest
import torch

from trainables import artifacts
from trainables.trainable import _on_the_way

ROWS = ["original", "reconstruction", "decoded mean", "decoded zero"]


def saved(folder, name="pictures"):
    with np.load(folder / "artifacts" / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("epochs", [0, 1])
def test_what_shows_a_trial_is_saved(trainer, tmp_path, epochs):
    one = trainer(epochs=1)
    for _ in range(epochs):
        one.run_epoch()
    artifacts.write(one, tmp_path)
    arrays = saved(tmp_path)
    assert [name.rpartition("/")[2] for name in arrays if name.startswith("reconstructions/")] == ROWS
    for name in ("samples", *(f"reconstructions/{row}" for row in ROWS)):
        assert arrays[name].dtype == np.uint8
        assert arrays[name].ndim == 4
    latent = one.evaluate()[1]
    kl = latent.kl_per_dim().numpy()
    np.testing.assert_array_equal(arrays["latent/kl"], np.sort(kl)[::-1])
    assert list(arrays["latent/labels"]) == one.evaluation_labels()
    mu = latent.mu.double().numpy()
    centred = mu - mu.mean(axis=0)
    variance = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    np.testing.assert_allclose((arrays["latent/plane"] ** 2).sum(axis=0), variance[:2], rtol=1e-6)
    np.testing.assert_allclose(arrays["latent/explained"], variance[:2] / variance.sum(), rtol=1e-6)


def test_the_panel_is_the_models_own_to_a_shade(trainer, tmp_path):
    one = trainer()
    artifacts.write(one, tmp_path)
    pictures = one.pictures(one.evaluation_index[: artifacts.PANEL_SAMPLES])
    for name, values in pictures.items():
        shown = one.model.panel(pictures["original"], values)[1].detach().numpy()
        found = saved(tmp_path)[f"reconstructions/{name}"]
        assert np.abs(found / 255 - shown).max() <= 0.5 / 255 + 1e-6


def test_the_panel_shows_the_reconstruction_and_what_the_mean_and_nothing_decode_to(trainer):
    pictures = trainer().pictures(np.arange(4))
    assert list(pictures) == ROWS
    assert len({picture.shape for picture in pictures.values()}) == 1
    assert not torch.equal(pictures["reconstruction"], pictures["decoded mean"])
    assert torch.equal(pictures["decoded zero"][0], pictures["decoded zero"][1])


def test_an_epoch_just_trained_is_not_evaluated_again_and_other_weights_are(trainer, monkeypatch):
    one = trainer(epochs=2)
    one.run_epoch()
    kept, expected = one.latent(), one.evaluate()[1]
    torch.testing.assert_close(kept.mu, expected.mu, rtol=0, atol=0)
    evaluated = []
    monkeypatch.setattr(type(one), "evaluate", lambda self: evaluated.append(self.epoch) or ({}, expected))
    one.latent()
    assert evaluated == []
    one.epoch = 0  # as with the weights of another epoch
    one.latent()
    assert evaluated == [0]


def test_a_single_latent_dimension_has_a_plane(trainer, tmp_path):
    artifacts.write(trainer(latent_dim=1), tmp_path)
    arrays = saved(tmp_path)
    assert not arrays["latent/plane"][:, 1].any()
    assert arrays["latent/explained"].tolist() == [1.0, 0.0]


def test_a_collapsed_encoder_has_a_plane():
    plane, explained = artifacts._plane(np.zeros((20, 8)))
    assert not plane.any()
    assert not explained.any()


@pytest.mark.parametrize(
    ("epochs", "shown"), [(100, {25, 50, 75}), (8, {2, 4, 6}), (9, {3, 5, 7}), (7, set()), (1, set())]
)
def test_reconstructions_are_saved_on_the_way(epochs, shown):
    assert {epoch for epoch in range(1, epochs + 1) if _on_the_way(epoch, epochs)} == shown


def test_saving_on_the_way_leaves_the_training_as_it_is(trainer, tmp_path):
    one, other = trainer(epochs=8), trainer(epochs=8)
    for each in (one, other):
        each.run_epoch()
    artifacts.write_progress(one, tmp_path)
    assert list(saved(tmp_path, "pictures-epoch-00001")) == [
        "reconstructions/original",
        "reconstructions/reconstruction",
    ]
    rows = [each.run_epoch() for each in (one, other)]
    assert rows[0]["val/loss"] == rows[1]["val/loss"]
