"""Whether data and configurations suit each other is asked before anything starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeps import ablation, suitability
from sweeps.completion import complete
from sweeps.config import ConfigError
from sweeps.options import SweepOptions
from sweeps.preparation import Prepared, prepare


def images(folder: Path, count: int, flat: bool = False) -> None:
    """So many colour images, of one grey each or of noise."""
    rng = np.random.default_rng(len(str(folder)))
    folder.mkdir(parents=True)
    for number in range(count):
        values = np.full((32, 32, 3), 6 * number) if flat else rng.integers(0, 255, (32, 32, 3))
        Image.fromarray(values.astype(np.uint8)).save(folder / f"{number:03}.png")


def prepared(model: str, data: Path, storage: Path, *changes: str, **options: str) -> Prepared:
    small = ("image_size=64" if model == "vae_dg" else "image_size=32", *changes)
    return prepare(complete(SweepOptions(model=model, data=str(data), storage=str(storage), set=small, **options)))


def domains(root: Path, classes: dict[str, tuple[str, ...]], count: int = 12) -> Path:
    """A folder by environment and class."""
    for environment, names in classes.items():
        for name in names:
            images(root / environment / name, count)
    return root


def test_the_parts_are_told_as_they_are_once_an_environment_is_held_out(tmp_path: Path) -> None:
    data = domains(tmp_path / "eyes", {"berlin": ("0", "1"), "kyoto": ("0", "1"), "quito": ("0", "1")})
    found = prepared("vae_dg", data, tmp_path, "encoder=resnet18", "test_environment=1")
    held_out = np.array(found.dataset.environments) == "kyoto"
    counts = [int((~held_out[part]).sum()) for part in (found.dataset.train, found.dataset.val)]
    told = f"with test_environment=1: {counts[0]} samples to train, {counts[1]} to judge every epoch by, "
    assert any(note.startswith(told) and note.endswith(" held out") for note in found.notes["data"])
    assert any(f"{counts[1]} samples are judged at every epoch; with fewer than 64" in n for n in found.notes["data"])


def test_one_class_to_train_on_is_refused_with_the_cure(tmp_path: Path) -> None:
    data = domains(tmp_path / "eyes", {"berlin": ("0", "1"), "kyoto": ("0",)}, count=30)
    with pytest.raises(ConfigError) as error:
        prepared("vae_dg", data, tmp_path, "encoder=resnet18")
    (problem,) = error.value.problems
    assert problem.startswith(
        "--data with test_environment=0: one class (0) to train the classifier on; expected two"
    )
    assert prepared("vae_dg", data, tmp_path, "encoder=resnet18", "test_environment=1").notes["data"]


def test_classes_that_no_training_sample_has_are_named(tmp_path: Path) -> None:
    data = domains(tmp_path / "eyes", {"berlin": ("0", "1", "2"), "kyoto": ("0", "1")})
    found = prepared("vae_dg", data, tmp_path, "encoder=resnet18")
    assert any(
        note == "with test_environment=0: samples of the environment that is held out have classes that no training "
        "sample has: 2; the classifier cannot find them"
        for note in found.notes["data"]
    )


def test_an_environment_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    data = domains(tmp_path / "eyes", {"berlin": ("0", "1"), "kyoto": ("0",)}, count=30)
    found = prepared("vae_dg", data, tmp_path, "encoder=resnet18", "test_environment=1")
    held_out = np.array(found.dataset.environments) == "berlin"
    emptied = replace(found.dataset, val=np.flatnonzero(held_out)[:5])
    config = complete(SweepOptions(model="vae_dg", data=str(data), storage=str(tmp_path), set=("image_size=64",)))
    problems = suitability.of(config, emptied).problems
    assert any(problem.startswith("with test_environment=0: no samples to judge a trial by;") for problem in problems)


def test_every_environment_that_an_ablation_holds_out_is_looked_at(tmp_path: Path) -> None:
    data = domains(tmp_path / "eyes", {"berlin": ("0", "1"), "kyoto": ("0",)}, count=30)
    found = prepared("vae_dg", data, tmp_path, "encoder=resnet18", "test_environment=1")
    variants = [
        ablation.Variant(
            f"held out {number}", {**found.config.search_space().documented(), "test_environment": number}
        )
        for number in (1, 0, 7)
    ]
    compared = replace(found.config, ablation=ablation.Ablation(1, variants, []))
    one_class, unknown = suitability.of(compared, found.dataset).problems
    assert one_class.startswith("with test_environment=0: one class (0)")
    assert unknown == "test_environment=7: no environment 7; expected 0 to 1 (berlin, kyoto)"


def test_a_measure_that_is_undefined_on_the_data_is_named_and_not_ranked_by(tmp_path: Path) -> None:
    images(tmp_path / "flat", 30, flat=True)
    found = prepared("conv_vae", tmp_path / "flat", tmp_path)
    assert "undefined on these data, and left out: health/checkerboard" in found.notes["data"]
    with pytest.raises(ConfigError, match="--metric health/checkerboard is undefined on these data"):
        prepared("conv_vae", tmp_path / "flat", tmp_path, metric="health/checkerboard")
