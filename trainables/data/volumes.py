"""Folders of registered 3-D volumes (NIfTI) by subject, and the reader of the models that train on them.

A sample is (M, S, S, S) float32: the subject's modalities on one grid, axes towards right, anterior and superior
(the closest to that without interpolation), each with mean 0 and standard deviation 1 over the brain and 0 outside.
The brain is where a modality is not exactly 0.

Volumes of S³ voxels are taken as they are. All others are cut to the smallest cube, in millimetres, around the brain
and resampled, see `trainables.data.cubes`. All modalities of a subject are cut alike, and so are all subjects on one
grid, such as that of an atlas: what was registered stays so.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from trainables.data.blocks import allocate
from trainables.data.cubes import Box, brain_box, cube_steps, standardised, to_cube, union
from trainables.data.decode import compact, decode, keep_readable
from trainables.data.embedded_brains import MODALITIES, embedded_brains
from trainables.data.errors import DataError
from trainables.data.folders import refuse_identical
from trainables.data.image_files import first_line
from trainables.data.nifti import Grid, open_volume
from trainables.data.samples import Samples, subset
from trainables.data.subjects import Subject, find_subjects, parse_modalities

T = TypeVar("T")
APART = 0.5  # voxels by which the corners of registered volumes may differ


@dataclass
class Volumes(Samples):
    """Samples of shape (M, S, S, S) and the names of the M modalities."""

    modalities: tuple[str, ...] = ()


class Cut(NamedTuple):
    """A subject and what is cut out of its grid; no box for volumes that are taken as they are."""

    subject: Subject
    grid: Grid
    box: Box | None


def read_volumes(source: str, size: int, modalities: str | None, count: int | None, strict: bool) -> Volumes:
    """The subjects of a folder; see `trainables.data.subjects` for its layouts.

    Args:
        source: the folder.
        size: S, voxels a side.
        modalities: names separated by commas; None for all that most subjects have.
        count: how many of the subjects, chosen at random, are read; None for all.
        strict: refuse damaged or incomplete subjects instead of leaving them out.

    Raises:
        DataError: with everything that is wrong.
    """
    cohort = find_subjects(source, modalities)
    chosen = subset(len(cohort.subjects), None, count)
    subjects = [cohort.subjects[index] for index in chosen]
    x, problems, facts = _decode(subjects, cohort.modalities, size)
    kept, left_out = keep_readable(source, [subject.name for subject in subjects], sorted(problems.items()), strict)
    x = x[: len(kept)]
    refuse_identical(source, x)
    seen = tuple(f"{number} of {len(kept)} subjects {fact}" for fact, number in sorted(Counter(facts).items()))
    labels = None if cohort.labels is None else [cohort.labels[chosen[index]] for index in kept]
    names, notes = [subjects[index].name for index in kept], (*cohort.notes, *left_out, *seen)
    return Volumes(x, source, labels, names, notes, modalities=cohort.modalities)


class VolumeReader:
    """Reads volumes; see `trainables.data.cache.Reader`."""

    name = "volumes"
    version = 2
    named = ()

    @staticmethod
    def read(source: str, settings: Mapping[str, Any]) -> Volumes:
        """See `read_volumes`."""
        return read_volumes(
            source, settings["image_size"], settings["modalities"], settings["subset"], settings["strict"]
        )

    @staticmethod
    def embedded(settings: Mapping[str, Any]) -> Volumes:
        """See `embedded_brains`."""
        samples = embedded_brains(settings["image_size"])
        names = parse_modalities(samples.source, settings["modalities"]) or MODALITIES
        absent = [name for name in names if name not in MODALITIES]
        if absent:
            raise DataError(samples.source, [f"no modality {', '.join(absent)}; there are {', '.join(MODALITIES)}"])
        x = samples.x if names == MODALITIES else samples.x[:, [MODALITIES.index(name) for name in names]]
        return Volumes(x, samples.source, samples.labels, embedded=True, modalities=names)

    @staticmethod
    def statistics(samples: Volumes, train_index: np.ndarray) -> dict[str, np.ndarray]:
        """Statistics of the training samples.

        Returns:
            modalities: (M,), their names.
            train_count: their number.
        """
        return {"modalities": np.array(samples.modalities), "train_count": np.array(len(train_index))}


def _decode(
    subjects: Sequence[Subject], modalities: Sequence[str], size: int
) -> tuple[np.ndarray, dict[int, str], list[str]]:
    """The samples of all subjects without a problem, the others' problems, and what is unusual."""
    from nibabel.imageglobals import LoggingOutputSuppressor

    looks: list[Cut | None] = [None] * len(subjects)
    facts: list[str] = []
    with LoggingOutputSuppressor():
        look = partial(_look, modalities=modalities, size=size)
        problems = dict(decode(subjects, look, "looking at volumes", looks))
        sound = [(index, cut) for index, cut in enumerate(looks) if cut is not None]
        x = allocate((len(sound), len(modalities), *3 * (size,)), np.float32)
        read = partial(_read, modalities=modalities, size=size, facts=facts)
        later = dict(decode(_alike([cut for _, cut in sound]), read, "reading volumes", x))
    x = compact(x, np.setdiff1d(np.arange(len(sound)), list(later)))
    return x, problems | {sound[place][0]: problem for place, problem in later.items()}, facts


def _look(subject: Subject, modalities: Sequence[str], size: int) -> Cut:
    """Whether the subject is complete and its modalities lie on one grid, and where on it the brain is."""

    def look(path: Path) -> tuple[Grid, Box | None]:
        volume = open_volume(path)
        taken = volume.grid.shape == 3 * (size,)
        return volume.grid, None if taken else brain_box(volume.values() != 0)

    grids, boxes = zip(*_each(subject, modalities, look), strict=True)
    first = grids[0]
    for name, grid in zip(modalities, grids, strict=True):
        if grid.shape != first.shape:
            shapes = (" × ".join(map(str, shape)) for shape in (grid.shape, first.shape))
            raise _unregistered(subject, f"{name} holds {next(shapes)} voxels, {modalities[0]} {next(shapes)}")
        if grid.distance(first) > APART:
            apart = f"{grid.distance(first):.1f} voxels apart"
            raise _unregistered(subject, f"by their affine matrices {name} and {modalities[0]} lie {apart}")
    return Cut(subject, first, None if boxes[0] is None else union(boxes))


def _unregistered(subject: Subject, problem: str) -> DataError:
    return DataError(subject.name, [f"{problem}; expected modalities registered and on one grid"])


def _alike(cuts: Sequence[Cut]) -> list[Cut]:
    """With one box for all subjects on one grid."""
    boxes: dict[Any, list[Box]] = defaultdict(list)
    for cut in cuts:
        if cut.box is not None:
            boxes[cut.grid.key].append(cut.box)
    common = {key: union(found) for key, found in boxes.items()}
    return [cut._replace(box=common.get(cut.grid.key)) for cut in cuts]


def _read(cut: Cut, modalities: Sequence[str], size: int, facts: list[str]) -> np.ndarray:
    """(M, S, S, S) float32; what is unusual goes to `facts`."""
    found = set()

    def read(path: Path) -> np.ndarray:
        values = open_volume(path).values()
        if values.all():
            found.add("have no background of zeros: all of the volume counts as brain")
        if cut.box is not None:
            start, step = cube_steps(cut.box, cut.grid.spacing, size)
            found.add(f"are cut to the brain and resampled to {size} × {size} × {size}")
            if step.max() < 1:
                found.add("are smaller than that: they are enlarged")
            values = to_cube(values, start, step, size)
        return standardised(values, str(path))

    x = np.stack(_each(cut.subject, modalities, read))
    facts += found
    return x


def _each(subject: Subject, modalities: Sequence[str], function: Callable[[Path], T]) -> list[T]:
    """The function of the file of each modality; raises `DataError` with the problems of all of them."""
    results, problems = [], [f"has no {name}" for name in modalities if name not in subject.files]
    for path in (subject.files[name] for name in modalities if name in subject.files):
        try:
            results.append(function(path))
        except DataError as error:
            problems += [f"{path.name} {problem}" for problem in error.problems]
        except Exception as error:  # nibabel raises anything for damaged files
            problems.append(f"{path.name} cannot be read ({type(error).__name__}: {first_line(error)})")
    if problems:
        raise DataError(subject.name, problems)
    return results
