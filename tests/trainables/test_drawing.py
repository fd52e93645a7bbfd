"""Pictures drawn from what a trial has saved."""

import os

import matplotlib.image
import numpy as np
import pytest

from trainables import artifacts, drawing

PICTURES = {"reconstructions.png", "samples.png", "latent_pca.png", "kl_per_dim.png"}
SIDE = 24


def arrays(rng, **changes):
    rows = ("original", "reconstruction", "decoded mean")
    found = {f"reconstructions/{name}": rng.integers(0, 256, (8, SIDE, SIDE, 3), np.uint8) for name in rows}
    found |= {"latent/plane": rng.normal(size=(40, 2)), "latent/explained": np.array([0.5, 0.25])}
    found |= {"latent/labels": np.array(["a", "b"] * 20), "latent/kl": np.array([3.0, 1.0])}
    found |= {"latent/active": np.array(2), "samples": rng.integers(0, 256, (16, SIDE, SIDE, 3), np.uint8)}
    return found | changes


@pytest.fixture
def folder(tmp_path):
    np.savez_compressed(tmp_path / "pictures.npz", **arrays(np.random.default_rng(0)))
    return tmp_path


def test_what_a_trainer_saves_can_be_drawn(trainer, tmp_path):
    one = trainer(epochs=1)
    artifacts.write(one, tmp_path)
    artifacts.write_progress(one, tmp_path)
    assert drawing.draw(tmp_path / "artifacts") == []
    drawn = {path.name for path in (tmp_path / "artifacts").glob("*.png")}
    assert drawn == PICTURES | {"reconstructions-epoch-00000.png"}
    for name in drawn:
        image = matplotlib.image.imread(tmp_path / "artifacts" / name)
        assert min(image.shape[:2]) > 100
        assert len(np.unique(image.reshape(-1, image.shape[2]), axis=0)) > 20


def test_a_picture_is_drawn_once_and_again_when_the_arrays_are_newer(folder):
    drawing.draw(folder)
    png = folder / "samples.png"
    first, content = png.stat().st_mtime_ns, png.read_bytes()
    drawing.draw(folder)
    assert png.stat().st_mtime_ns == first
    np.savez_compressed(folder / "pictures.npz", **arrays(np.random.default_rng(1)))
    os.utime(folder / "pictures.npz", ns=(first + 1, first + 1))
    os.utime(png, ns=(first, first))
    drawing.draw(folder)
    assert png.read_bytes() != content


def test_pictures_without_arrays_stay(tmp_path):
    (tmp_path / "samples.png").write_bytes(b"of an older program")
    assert drawing.draw(tmp_path) == []
    assert (tmp_path / "samples.png").read_bytes() == b"of an older program"


def test_what_cannot_be_drawn_is_told_and_costs_nothing_else(folder):
    (folder / "pictures-epoch-00002.npz").write_bytes(b"PK cut short")
    (problem,) = drawing.draw(folder)
    assert problem.startswith(f"{folder / 'pictures-epoch-00002.npz'} cannot be drawn: ")
    assert {path.name for path in folder.glob("*.png")} == PICTURES
    assert not list(folder.glob(".*"))


def test_nothing_of_an_array_file_is_unpickled(folder):
    np.savez(folder / "pictures.npz", samples=np.array([print], dtype=object))
    (problem,) = drawing.draw(folder)
    assert "allow_pickle" in problem


def test_every_image_is_in_its_place(tmp_path):
    colours = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.array([30, 0, 0], np.uint8)
    original = np.broadcast_to(colours, (8, 5, 9, 3))
    figure = drawing.reconstructions(
        {"reconstructions/original": original, "reconstructions/reconstruction": original}
    )
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["original", "reconstruction"]
    places = {image.get_extent()[0] // 1: image.get_array()[0, 0, 0] for image in axis.images}
    assert places == {float(number): 30 * number for number in range(8)}
    left, right, bottom, top = axis.images[0].get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(9 / 5)  # as wide as it is


def test_the_difference_is_shown_where_more_than_two_rows_are():
    original, other = np.full((1, 2, 2, 3), 10, np.uint8), np.full((1, 2, 2, 3), 30, np.uint8)
    rows = {f"reconstructions/{name}": values for name, values in (("original", original), ("reconstruction", other))}
    assert len(drawing.reconstructions(rows).axes[0].images) == 2
    images = drawing.reconstructions(rows | {"reconstructions/decoded mean": other}).axes[0].images
    assert [int(image.get_array()[0, 0, 0]) for image in images] == [10, 30, 20, 30]


def test_labels_are_in_the_legend_as_far_as_they_are_few():
    one = arrays(np.random.default_rng(0))
    legend = drawing.latent_pca(one).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b"]
    many = one | {"latent/labels": np.arange(40).astype(str)}
    assert drawing.latent_pca(many).axes[0].get_legend() is None
    del one["latent/labels"]
    assert drawing.latent_pca(one).axes[0].get_legend() is None


def test_the_titles_count():
    one = arrays(np.random.default_rng(0), codes=np.array([4, 0, 1]))
    assert drawing.kl_per_dim(one).axes[0].get_title() == "2 of 2 units active, 4.0 nats in total"
    assert drawing.code_usage(one).axes[0].get_title() == "2 of 3 codes in use"
