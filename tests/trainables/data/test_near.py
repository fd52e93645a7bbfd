"""Copies that were saved again are found, and samples that are merely alike are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import search_spaces
from trainables import definition
from trainables.data.groups import parted
from trainables.data.near import FEWEST_VALUES, near_duplicates
from trainables.data.samples import Samples
from trainables.data.splitting import Split

RNG = np.random.default_rng(0)
IMAGES = np.stack([gaussian_filter(RNG.random((32, 32)), 2) for _ in range(60)])
IMAGES = ((IMAGES - IMAGES.min()) / (IMAGES.max() - IMAGES.min())).astype(np.float32)[:, None]


def jpeg(image: np.ndarray) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray((255 * image[0]).astype(np.uint8)).save(file, "JPEG", quality=85)
    return (np.asarray(Image.open(file), np.float32) / 255)[None]


def noisy(image: np.ndarray) -> np.ndarray:
    return image + np.random.default_rng(1).normal(0, 0.005, image.shape).astype(np.float32)


def brighter(image: np.ndarray) -> np.ndarray:
    return 0.9 * image + 0.1


def with_copies(change, count: int = 3) -> np.ndarray:
    return np.concatenate([IMAGES, np.stack([change(image) for image in IMAGES[:count]])])


@pytest.mark.parametrize("change", [jpeg, noisy, brighter])
def test_copies_are_found_and_nothing_else(change) -> None:
    found = near_duplicates(with_copies(change))
    assert found.tolist() == [[place, len(IMAGES) + place] for place in range(3)]


@pytest.mark.parametrize("model", search_spaces.names())
def test_no_two_samples_of_the_embedded_data_are_copies(model: str) -> None:
    settings = search_spaces.load(model).on_embedded().data_settings() | {"subset": None, "strict": False}
    assert len(near_duplicates(definition.load(model).reader.embedded(settings).x)) == 0


def test_dark_images_and_heads_are_not_copies_for_what_they_share() -> None:
    dark = 0.02 * IMAGES[:30]
    head = np.where(np.hypot(*np.mgrid[-1:1:32j, -1:1:32j]) < 0.8, 1.0, 0.0).astype(np.float32)
    heads = 20 * head + IMAGES[:30]
    for alike in (np.concatenate([dark, IMAGES[30:] + 5]), heads):
        assert len(near_duplicates(alike)) == 0


def test_constant_and_short_samples_are_not_compared() -> None:
    assert len(near_duplicates(np.ones((20, 100), np.float32) * np.arange(20, dtype=np.float32)[:, None])) == 0
    assert len(near_duplicates(np.repeat(RNG.random((5, FEWEST_VALUES - 1)), 2, axis=0))) == 0


@pytest.mark.parametrize("seed", range(4))
def test_copies_are_in_the_part_of_their_like_and_told(seed: int) -> None:
    x = with_copies(jpeg)
    ids = [f"{place}.png" for place in range(len(x))]
    samples, parting = parted(Samples(x, "images", ids=ids), None)
    assert samples.notes == (
        "6 samples nearly repeat others (correlation 0.99 or more), such as 0.png and 60.png; "
        "each is in the part of its like",
    )
    first = parting.split()
    split = first if seed == 0 else first.redrawn(seed, parting.groups)
    for place in range(3):
        assert part_of(split, place) == part_of(split, 60 + place)


def part_of(split: Split, place: int) -> int:
    return next(number for number, part in enumerate(split) if place in part)


def test_of_data_that_are_all_alike_it_is_told_and_the_split_ignores_it() -> None:
    moving = np.stack([gaussian_filter(IMAGES[0, 0], 3 + place / 500) for place in range(40)])[:, None]
    samples, parting = parted(Samples(moving, "frames"), None)
    assert "40 samples nearly repeat others" in samples.notes[0]
    assert "too many to be copies, so the split ignores it" in samples.notes[0]
    assert len(np.unique(parting.groups)) == 40
