"""Folders of NIfTI volumes: which file is which modality of which subject.

A file's modality is the last part of its name that is known as one, its subject is what stands before it:
`sub-01/anat/sub-01_T1w.nii.gz`, `BraTS20_Training_001_t1ce.nii.gz`, `BraTS-GLI-00000-000-t1n.nii.gz`. Where nothing
stands before it, the subject is what stands after it (`T1_001.nii.gz`), or else the folder (`patient 1/t1.nii.gz`).
Folders may also be named by modality. Capitals do not count.

Where no name has a modality, it may have the number of a channel, as nnU-Net wants it (`BRATS_001_0000.nii.gz`), or
the file may hold all of them, as in the Medical Segmentation Decathlon. Channels are named in `dataset.json`.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trainables.data.decode import listed
from trainables.data.errors import DataError, readable
from trainables.data.folders import Folder, find_files
from trainables.data.nifti import EXAMPLE, NAMES

SPELLINGS = {
    "t1": ("t1", "t1w", "t1n", "t1pre"),
    "t1ce": ("t1ce", "t1c", "t1gd", "t1gad", "t1post", "t1wce"),
    "t2": ("t2", "t2w"),
    "flair": ("flair", "t2f", "t2flair"),
}
MOST = 4  # modalities
ANY = "volume"  # the modality of files that name none
PARTICIPANTS = "participants.tsv"
LABEL_COLUMNS = ("label", "group")
UNKNOWN = "n/a"  # as BIDS has it
ACCEPTED = (
    "a folder of NIfTI volumes (.nii, .nii.gz), one of each modality of each subject, named such as "
    "sub-01/sub-01_t1.nii.gz, sub-01_T1w.nii.gz or BraTS20_Training_001_t1ce.nii.gz; known are "
    f"{', '.join(sum(SPELLINGS.values(), ()))}, and others if the setting modalities names them"
)
_NUMBERED = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")
_SUFFIX = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
_LABELS = re.compile(r"labels?(map|s?tr|s?ts)?|masks?|.*mask|.*seg|segmentations?|rois?")
_DERIVED = "derivatives"
_STRUCTURAL = "anat"


class Place(NamedTuple):
    """A volume: its file, and which of several in the file it is; None for the only one."""

    path: Path
    number: int | None = None


class Subject(NamedTuple):
    """Whose volumes lie where, by modality."""

    name: str
    files: dict[str, Place]


class Cohort(NamedTuple):
    """The subjects of a folder, sorted by name; some may lack some of the modalities."""

    subjects: list[Subject]
    modalities: tuple[str, ...]
    labels: list[str] | None
    notes: tuple[str, ...]


class _Place(NamedTuple):
    """What a path tells: which subject, in two steps, which modality, and what else its name says."""

    folder: tuple[str, ...]
    subject: str
    modality: str
    version: str


def find_subjects(source: str, wanted: str | None) -> Cohort:
    """What lies in the folder `source`; segmentations, masks and `derivatives` (of BIDS) are left out.

    Args:
        source: as the user gave it.
        wanted: modalities, separated by commas; None for those that more than half of the subjects have.

    Raises:
        DataError: there are too few volumes, or none of a wanted modality.
    """
    names = parse_modalities(source, wanted)
    folder = find_files(source, _is_volume, ACCEPTED, companion=lambda path: _is_companion(path, Path(source)))
    channels = _channels(source, folder.root / NAMES)
    places = _places(folder, names or (), channels)
    subjects, notes = _grouped(folder, places)
    if any(place is not None and place.modality == ANY for place in places):
        if channels:
            subjects = [_divided(subject, channels) for subject in subjects]
        else:
            notes.append(f"no file names a modality ({', '.join(SPELLINGS)}): each counts as a subject of its own")
    modalities, choice = _chosen(source, subjects, names)
    ignored = [path for path in folder.companions if path.name not in (PARTICIPANTS, NAMES)]
    if ignored:
        notes.append(f"{len(ignored)} segmentations, masks or derivatives are not read")
    subjects = [subject for subject in subjects if subject.files.keys() & set(modalities)]
    labels, missing = _labels(folder.root, subjects)
    return Cohort(subjects, modalities, labels, (*folder.notes, *notes, *choice, *missing))


def parse_modalities(source: str, wanted: str | None) -> tuple[str, ...] | None:
    """The standard names of modalities that are separated by commas.

    Raises:
        DataError: they are not one to `MOST` different names.
    """
    if wanted is None:
        return None
    names = tuple(_standard(name.strip().lower()) for name in wanted.split(","))
    if not all(names) or len(set(names)) < len(names) or len(names) > MOST:
        expected = f"expected one to {MOST} different names separated by commas, such as t1,t2"
        raise DataError(source, [f"modalities={wanted}; {expected}"])
    return names


def _standard(name: str) -> str:
    return next((standard for standard, spellings in SPELLINGS.items() if name in spellings), name)


def _is_volume(path: Path) -> bool:
    return _SUFFIX.search(path.name) is not None


def _is_companion(path: Path, root: Path) -> bool:
    if path.name in (PARTICIPANTS, NAMES):
        return True
    *folders, name = (part.lower() for part in path.relative_to(root).parts)
    parts = [part for text in (*folders, _SUFFIX.sub("", name)) for part in _split(text)]
    return _is_volume(path) and (_DERIVED in folders or any(_LABELS.fullmatch(part) for part in parts))


def _split(text: str) -> list[str]:
    return re.split(r"[_\-. ]+", text)


def _channels(source: str, path: Path) -> tuple[str, ...]:
    """The standard names of channels in dataset.json, by number; none if there is no such file.

    Raises:
        DataError: the file does not name them.
    """
    if not path.is_file():
        return ()
    try:
        content = json.loads(path.read_bytes())
        named = content.get("channel_names", content.get("modality"))
        numbered = {int(number): str(name) for number, name in named.items()}
        return tuple(_standard(_joined(numbered[number])) for number in range(len(numbered)))
    except (OSError, ValueError, AttributeError, KeyError) as error:
        problem = (
            f"{NAMES} does not name the channels ({type(error).__name__}: {error}); expected, such as, {EXAMPLE}"
        )
        raise DataError(source, [problem]) from error


def _places(folder: Folder, named: tuple[str, ...], channels: tuple[str, ...]) -> list[_Place | None]:
    """Of each file; None for those whose modality is unknown. If no modality is known, each is a subject."""
    known = {spelling for spellings in SPELLINGS.values() for spelling in spellings} | set(named)
    paths = [path.relative_to(folder.root) for path in folder.files]
    places = [_place(path, known) for path in paths]
    if any(places):
        return places
    if numbered := _numbered(paths, channels):
        return numbered
    if named and not channels:
        return places
    return [_Place(path.parent.parts, _SUFFIX.sub("", path.name), ANY, "") for path in paths]


def _numbered(paths: Sequence[Path], channels: tuple[str, ...]) -> list[_Place | None]:
    """Places by the number of a channel, as nnU-Net wants it; none if the numbers at the ends of names are others."""
    found = [_NUMBERED.fullmatch(_SUFFIX.sub("", path.name)) for path in paths]
    cases, numbers = ({match[group] for match in found if match} for group in ("case", "number"))
    if not all(found) or (not channels and len(numbers) > min(len(cases), MOST)):
        return []
    names = dict(enumerate(channels))
    return [
        _Place(path.parent.parts, match["case"], names.get(int(match["number"]), match["number"]), "")
        for path, match in zip(paths, found, strict=True)
        if match
    ]


def _divided(subject: Subject, channels: tuple[str, ...]) -> Subject:
    """The subject whose one file holds all channels."""
    path, several = subject.files[ANY].path, len(channels) > 1
    files = {name: Place(path, number if several else None) for number, name in enumerate(channels)}
    return subject._replace(files=files)


def _place(path: Path, known: set[str]) -> _Place | None:
    """Where a file belongs by its name, or else by its folder's."""
    within = [name for name in path.parent.parts if name.lower() != _STRUCTURAL]
    stem = _SUFFIX.sub("", path.name)
    of_folder = [name for name in within if _known(name, known)]
    folders = tuple(name for name in within if name not in of_folder)
    found = _find(stem, known)
    if found is None:
        return _Place(folders, stem, _standard(_joined(of_folder[-1])), "") if of_folder else None
    before, modality, after = found
    if modality == "t1" and "_ce-" in stem.lower():
        modality = "t1ce"
    bids = re.match(r"sub-[^_]+(_ses-[^_]+)?", stem)
    if bids:
        return _Place(folders, bids[0], modality, stem[bids.end() :])
    return _Place(folders, before, modality, after) if before else _Place(folders, after, modality, "")


def _known(name: str, known: set[str]) -> bool:
    return _joined(name) in known


def _joined(name: str) -> str:
    return "".join(_split(name.lower()))


def _find(stem: str, known: set[str]) -> tuple[str, str, str] | None:
    """The text before the last modality in a name, the modality, and the text after it."""
    parts = [(match[0].lower(), match.start(), match.end()) for match in re.finditer(r"[^_\-. ]+", stem)]
    for last in reversed(range(len(parts))):
        for first in (max(last - 1, 0), last):
            name = "".join(part for part, _, _ in parts[first : last + 1])
            if name in known:
                before, after = stem[: parts[first][1]], stem[parts[last][2] :]
                return before.rstrip("_-. "), _standard(name), after.lstrip("_-. ")
    return None


def _grouped(folder: Folder, places: list[_Place | None]) -> tuple[list[Subject], list[str]]:
    """Subjects, and notes. Of several files for one modality, the one with the least in its name is taken."""
    found: dict[tuple[tuple[str, ...], str], dict[str, tuple[int, str, Path]]] = {}
    spare: list[Path] = []
    for path, place in zip(folder.files, places, strict=True):
        if place is None:
            continue
        files = found.setdefault((place.folder, place.subject), {})
        candidates = [(len(place.version), place.version, path)]
        candidates += [files[place.modality]] if place.modality in files else []
        files[place.modality], *rest = sorted(candidates)
        spare += [path for _, _, path in rest]
    named = Counter(subject for _, subject in found)
    subjects = []
    for (folders, subject), files in found.items():
        name = subject if subject and named[subject] == 1 else "/".join(filter(None, (*folders, subject)))
        subjects.append(Subject(readable(name), {modality: Place(path) for modality, (_, _, path) in files.items()}))
    unknown = [path for path, place in zip(folder.files, places, strict=True) if place is None]
    notes = [f"{len(unknown)} volumes of unknown modality: {listed(folder.names(unknown))}"] if unknown else []
    if spare:
        notes.append(f"{len(spare)} further versions of a modality: {listed(folder.names(sorted(spare)))}")
    notes = [f"left out are {note}" for note in notes]
    return sorted(subjects, key=lambda subject: subject.name), notes


def _chosen(
    source: str, subjects: list[Subject], wanted: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modalities to read, and notes on the others."""
    counts = Counter(modality for subject in subjects for modality in subject.files)
    order = [*SPELLINGS, *sorted(counts.keys() - SPELLINGS.keys())]
    known = ", ".join(f"{name} ({counts[name]})" for name in order if counts[name])
    absent = [name for name in wanted or () if not counts[name]]
    if absent:
        raise DataError(source, [f"no volume has {' or '.join(absent)} in its name; found are {known or 'none'}"])
    if wanted is not None:
        return wanted, ()
    frequent = tuple(name for name in order if 2 * counts[name] > len(subjects))
    if not frequent:
        problem = f"no modality is there for most of the {len(subjects)} subjects, found are {known}"
        raise DataError(source, [f"{problem}; choose with the setting modalities, such as modalities=t1,t2"])
    if len(frequent) > MOST:
        problem = f"{len(frequent)} modalities, found are {known}; expected at most {MOST}"
        raise DataError(source, [f"{problem}: choose with the setting modalities, such as modalities={frequent[0]}"])
    rare = [name for name in order if counts[name] and name not in frequent]
    notes = (f"most subjects lack {', '.join(rare)}: not read; found are {known}",) if rare else ()
    return frequent, notes


def _labels(root: Path, subjects: list[Subject]) -> tuple[list[str] | None, tuple[str, ...]]:
    """The column `label` or `group` of participants.tsv, if there is one."""
    path = root / PARTICIPANTS
    if not path.is_file():
        return None, ()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeError, csv.Error) as error:
        return None, (f"{PARTICIPANTS} cannot be read ({error}): there are no labels",)
    column = next((name for name in LABEL_COLUMNS if rows and name in rows[0]), None)
    if column is None or "participant_id" not in rows[0]:
        return None, ()
    table = {row["participant_id"]: row[column] or UNKNOWN for row in rows}
    found = [table.get(subject.name, table.get(subject.name.partition("_ses-")[0])) for subject in subjects]
    missing = [subject.name for subject, label in zip(subjects, found, strict=True) if label is None]
    notes = (f"{PARTICIPANTS} does not name {len(missing)} subjects: {listed(missing)}",) if missing else ()
    return [label or UNKNOWN for label in found], notes
