"""What belongs together in data: groups that are named, recognised or given, and duplicates.

The order in which one is looked for: `--group`; what the reader knows (a column, DICOM's PatientID); names of
subjects in the files' paths. Samples that are the same to the last bit are of one group whatever the names say.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trainables.data.blocks import sample_blocks
from trainables.data.columns import stored
from trainables.data.errors import DataError
from trainables.data.near import SAME, near_duplicates
from trainables.data.rows import Rows
from trainables.data.samples import Samples
from trainables.data.splitting import FEWEST, FOLDERS, PARTS, Parting, numbered

NAMES = {  # what stands for a subject in a path, by how it is told
    "BIDS subjects (sub-…)": r"(?:^|[/_])(sub-[A-Za-z0-9]+)",
    "BraTS subjects": r"(BraTS-[A-Za-z]+-\d+)-\d+",
    "patients in the paths": r"(?i)((?:patient|subject|subj|case)[-_ ]?\d+)",
}
CURE = "name others with --group PATTERN|COLUMN, or take each file for itself with --group '(.*)'"
MINIMUM = 3  # groups, one for each part
COPIES = 0.1  # of the samples at most nearly repeat others, or that is what the data are like
SHARE = 0.5  # of the samples whose paths name a subject, or it is by chance


def parted(samples: Samples, group: str | None) -> tuple[Samples, Parting]:
    """What decides the parts, and `samples` with notes on it.

    Args:
        samples: of any reader.
        group: a regular expression on the samples' names with one group in brackets; None for what is recognised. A
            column has been read by the reader.

    Raises:
        DataError: nothing is found by `group`, or there are too few groups.
    """
    samples = _enough(_named(samples, group), asked=group is not None)
    given = _given(samples)
    told = (
        [f"Split as {'the column split says' if samples.given else 'the folders say'}."] if given is not None else []
    )
    groups = np.arange(len(samples.x))
    if samples.groups is not None and len(set(samples.groups)) < len(groups):
        groups = numbered(samples.groups)
        told.append(f"Split by {groups.max() + 1} groups, from {samples.grouped_by}.")
    duplicates = numbered(_digests(samples.x))
    groups = _joined(groups, duplicates)
    near = near_duplicates(samples.x)
    near = near[duplicates[near[:, 0]] != duplicates[near[:, 1]]]
    copies = len(np.unique(near)) <= COPIES * len(groups)
    notes = (*samples.notes, *_on_duplicates(duplicates), *_on_near(samples, near, copies))
    parting = Parting(_linked(groups, near) if copies else groups, given, " ".join(told))
    _refuse_small_parts(samples, parting)
    return replace(samples, notes=notes), parting


def _named(samples: Samples, group: str | None) -> Samples:
    if group is not None and samples.grouped_by != f"the column {group}":
        return replace(samples, groups=_by_pattern(samples, group), grouped_by=f"--group {group}")
    if samples.groups is not None or samples.ids is None:
        return samples
    ids = [str(name) for name in samples.ids]
    for told, pattern in NAMES.items():
        found = [re.search(pattern, name) for name in ids]
        if sum(match is not None for match in found) > SHARE * len(ids):
            names = [match[1].lower() if match else name for match, name in zip(found, ids, strict=True)]
            return replace(samples, groups=names, grouped_by=told)
    return samples


def _by_pattern(samples: Samples, group: str) -> list[str]:
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise DataError(samples.source, [f"--group {group}: no regular expression ({error})"]) from error
    if samples.ids is None:
        raise DataError(samples.source, [f"--group {group}: no such column, and samples without file names"])
    if pattern.groups != 1:
        problem = f"--group {group}: {pattern.groups} groups in brackets; expected one, as in 'patient(\\d+)'"
        raise DataError(samples.source, [problem])
    ids = [str(name) for name in samples.ids]
    found = [pattern.search(name) for name in ids]
    missed = [name for name, match in zip(ids, found, strict=True) if match is None]
    if missed:
        problem = f"--group {group}: not found in {len(missed)} of {len(ids)} names, such as {missed[0]}"
        raise DataError(samples.source, [f"{problem}; expected it in each"])
    return [str(match[1]) for match in found if match is not None]


def _given(samples: Samples) -> np.ndarray | None:
    names = samples.given
    if names is None and samples.ids is not None:
        names = [_folder(str(name)) for name in samples.ids]
        if len(set(names) - {""}) < 2:
            return None
    if names is None:
        return None
    return np.array([PARTS.index(name) if name else -1 for name in names])


def _folder(name: str) -> str:
    folders = PurePosixPath(name).parts[:-1]
    return next((FOLDERS[folder.lower()] for folder in folders if folder.lower() in FOLDERS), "")


def _digests(x: Rows) -> list[str]:
    """Of each sample's values as they are kept, read in blocks."""
    return [
        hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest()
        for block in sample_blocks(x.shape)
        for row in stored(x[block])
    ]


def _on_duplicates(duplicates: np.ndarray) -> list[str]:
    counts = np.bincount(duplicates)
    repeated = int((counts - 1).sum())
    return [f"{repeated} samples repeat others to the last bit; each is in the part of its like"] if repeated else []


def _on_near(samples: Samples, near: np.ndarray, copies: bool) -> list[str]:
    if not len(near):
        return []
    names = [str(place + 1) if samples.ids is None else str(samples.ids[place]) for place in near[0]]
    told = f"{len(np.unique(near))} samples nearly repeat others (correlation {SAME:g} or more), such as"
    end = "each is in the part of its like" if copies else f"too many to be copies, so the split ignores it; {CURE}"
    return [f"{told} {names[0]} and {names[1]}; {end}"]


def _linked(groups: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Groups of samples that share a group or are a pair, directly or through others."""
    own = np.arange(len(groups))
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(own), len(own)))
    return _joined(groups, connected_components(links, directed=False)[1])


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Groups of samples that share a group of either kind, directly or through others."""
    count = int(one.max()) + 1
    links = coo_array((np.ones(len(one)), (one, count + other)), shape=2 * (count + int(other.max()) + 1,))
    _, component = connected_components(links, directed=False)
    return numbered(component[one])


def _enough(samples: Samples, asked: bool) -> Samples:
    """`samples`, without groups that were recognised but are too few for the parts, which is noted.

    Raises:
        DataError: they are those that were asked for.
    """
    if samples.groups is None or (count := len(set(samples.groups))) >= MINIMUM or samples.given is not None:
        return samples
    problem = f"{count} groups, from {samples.grouped_by}, are too few for three parts"
    if asked:
        raise DataError(samples.source, [f"{problem}; expected at least {MINIMUM}: {CURE}"])
    note = f"{problem}: samples are split one by one, and scores are of these groups alone; {CURE}"
    return replace(samples, groups=None, grouped_by="", notes=(*samples.notes, note))


def _refuse_small_parts(samples: Samples, parting: Parting) -> None:
    parts = dict(zip(PARTS, map(len, parting.split()), strict=True))
    if min(parts.values()) < FEWEST:
        held = ", ".join(f"{count} {name}" for name, count in parts.items())
        problem = f"whole groups and repeated samples leave a part too small ({held})"
        raise DataError(samples.source, [f"{problem}; expected at least {FEWEST} samples in each: {CURE}"])
