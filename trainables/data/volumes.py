"""Folders of registered 3-D volumes (NIfTI) by subject, and the reader of the models that train on them.

A sample is (M, S, S, S) float32: the subject's modalities on one grid, axes towards right, anterior and superior
(the closest to that without interpolation), each with mean 0 and standard deviation 1 over the brain and 0 outside.
The brain is where a modality is not background, see `trainables.data.background`.

If all volumes are of S³ voxels they are taken as they are. Else all are cut to the smallest cube, in millimetres,
around the brain and resampled, see `trainables.data.cubes`. All modalities of a subject are cut alike, and so are all
subjects on one grid, such as that of an atlas: what was registered stays so. Volumes that do not say where right is
are left out, unless none of them says it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from trainables.data.subjects import Place, Subject, find_subjects, parse_modalities

T = TypeVar("T")
UNORIENTED = "do not say where right, anterior and superior are: axes are as nibabel takes them, right may be left"
APART = 0.5  # voxels by which the corners of registered volumes may differ


@dataclass
class Volumes(Samples):
    """Samples of shape (M, S, S, S) and the names of the M modalities."""

    modalities: tuple[str, ...] = ()


class Cut(NamedTuple):
    """A subject and what is cut out of its grid; no box for volumes that are taken as they are.

    `stated` tells whether its files say where right, anterior and superior are.
    """

    subject: Subject
    grid: Grid
    stated: bool
    box: Box | None = None


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
    version = 3
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
        problems = dict(decode(subjects, partial(_look, modalities=modalities), "looking at volumes", looks))
        problems |= _without_orientation(looks, facts)
        sound = {index: cut for index, cut in enumerate(looks) if cut is not None and index not in problems}
        if any(cut.grid.shape != 3 * (size,) for cut in sound.values()):
            boxed: list[Cut | None] = [None] * len(sound)
            unboxed = decode([*sound.values()], partial(_boxed, modalities=modalities), "looking for brains", boxed)
            problems |= {[*sound][place]: problem for place, problem in unboxed}
            sound = {index: cut for index, cut in zip(sound, _alike(boxed), strict=True) if cut is not None}
        x = allocate((len(sound), len(modalities), *3 * (size,)), np.float32)
        read = partial(_read, modalities=modalities, size=size, facts=facts)
        later = dict(decode([*sound.values()], read, "reading volumes", x))
    x = compact(x, np.setdiff1d(np.arange(len(sound)), list(later)))
    return x, problems | {[*sound][place]: problem for place, problem in later.items()}, facts


def _look(subject: Subject, modalities: Sequence[str]) -> Cut:
    """Whether the subject is complete and its modalities lie on one grid."""
    volumes = _each(subject, modalities, lambda place: open_volume(*place))
    grids = [volume.grid for volume in volumes]
    first = grids[0]
    for name, grid in zip(modalities, grids, strict=True):
        if grid.shape != first.shape:
            shapes = (" × ".join(map(str, shape)) for shape in (grid.shape, first.shape))
            raise _unregistered(subject, f"{name} holds {next(shapes)} voxels, {modalities[0]} {next(shapes)}")
        if grid.distance(first) > APART:
            apart = f"{grid.distance(first):.1f} voxels apart"
            raise _unregistered(subject, f"by their affine matrices {name} and {modalities[0]} lie {apart}")
    return Cut(subject, first, all(volume.stated for volume in volumes))


def _without_orientation(cuts: Sequence[Cut | None], facts: list[str]) -> dict[int, str]:
    """The problem of subjects that do not say where right is, if others do; if none does, that is a fact of all."""
    silent = [index for index, cut in enumerate(cuts) if cut is not None and not cut.stated]
    others = sum(cut is not None for cut in cuts) - len(silent)
    if not others:
        facts += [UNORIENTED] * len(silent)
        return {}
    problem = (
        f"its header does not say where right, anterior and superior are (sform_code and qform_code are 0), those of "
        f"{others} others do; set it, with nibabel: image.set_sform(affine, 1)"
    )
    return dict.fromkeys(silent, problem)


def _boxed(cut: Cut, modalities: Sequence[str]) -> Cut:
    """With the box around the brain, of all modalities."""
    boxes = _each(cut.subject, modalities, lambda place: brain_box(open_volume(*place).values()[0] != 0))
    return cut._replace(box=union(boxes))


def _unregistered(subject: Subject, problem: str) -> DataError:
    return DataError(subject.name, [f"{problem}; expected modalities registered and on one grid"])


def _alike(cuts: Sequence[Cut | None]) -> list[Cut | None]:
    """With one box for all subjects on one grid."""
    boxes: dict[Any, list[Box]] = defaultdict(list)
    for cut in cuts:
        if cut is not None and cut.box is not None:
            boxes[cut.grid.key].append(cut.box)
    common = {key: union(found) for key, found in boxes.items()}
    return [None if cut is None else cut._replace(box=common[cut.grid.key]) for cut in cuts]


def _read(cut: Cut, modalities: Sequence[str], size: int, facts: list[str]) -> np.ndarray:
    """(M, S, S, S) float32; what is unusual goes to `facts`."""
    found = set()

    def read(place: Place) -> np.ndarray:
        values, background = open_volume(*place).values()
        if background is not None:
            found.add(background)
        elif values.all():
            found.add("have no background of zeros: all of the volume counts as brain")
        if cut.box is not None:
            start, step = cube_steps(cut.box, cut.grid.spacing, size)
            found.add(f"are cut to the brain and resampled to {size} × {size} × {size}")
            if step.max() < 1:
                found.add("are smaller than that: they are enlarged")
            values = to_cube(values, start, step, size)
        return standardised(values, str(place.path))

    x = np.stack(_each(cut.subject, modalities, read))
    facts += found
    return x


def _each(subject: Subject, modalities: Sequence[str], function: Callable[[Place], T]) -> list[T]:
    """The function of the file of each modality; raises `DataError` with the problems of all of them."""
    results, problems = [], [f"has no {name}" for name in modalities if name not in subject.files]
    for place in (subject.files[name] for name in modalities if name in subject.files):
        path = place.path
        try:
            results.append(function(place))
        except DataError as error:
            problems += [f"{path.name} {problem}" for problem in error.problems]
        except Exception as error:  # nibabel raises anything for damaged files
            problems.append(f"{path.name} cannot be read ({type(error).__name__}: {first_line(error)})")
    if problems:
        raise DataError(subject.name, problems)
    return results
