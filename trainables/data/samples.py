"""What a reader hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from trainables.data.rows import LazyRows, Rows

SUBSET_SEED = 20_230_920


def subset(count: int, environments: Sequence[str] | None, size: int | None) -> np.ndarray:
    """Sorted indices of a random choice of `size` samples of each environment, always the same; all for None."""
    places = np.zeros(count, int) if environments is None else np.unique(environments, return_inverse=True)[1]
    order = np.random.default_rng(SUBSET_SEED).permutation(count)
    chosen = [order[places[order] == place][:size] for place in np.unique(places)]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, int)


@dataclass
class Samples:
    """N samples.

    Args:
        x: (N, *shape) float32, or uint8: 0 … 255 for values in [0, 1]; an array, or rows that are read a few at a
            time (`trainables.data.rows`).
        source: as the user gave it.
        labels: one a sample; None if there are none.
        ids: the samples' names in the source; None if they are known by their index.
        notes: peculiarities that the user should know of but that do not stop a sweep.
        embedded: True for the data set that a model brings along.
        environments: where each sample comes from (a hospital, a camera); None if that is not known.
        fields: what a model reads beside x (the batch of a cell, its library size, a mask), N values each, by name:
            strings are categories, and numbers, (N, …), are given as they are. A reader hands over arrays or rows as
            `trainables.data.fields.checked_fields` makes them of what a user's `data` may return.
        groups: what each sample belongs to and must not be parted from (a patient, a slide); None if the reader does
            not know.
        grouped_by: where `groups` are from, as half a sentence.
        given: the part of each sample, where the source says: train, val, test or ''; None where it does not.
    """

    x: Rows
    source: str = ""
    labels: list[str] | None = None
    ids: Sequence[object] | None = None
    notes: tuple[str, ...] = ()
    embedded: bool = False
    environments: list[str] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    groups: list[str] | None = None
    grouped_by: str = ""
    given: list[str] | None = None

    def name(self, index: int) -> str:
        """How the user knows sample `index`."""
        return f"sample {index if self.ids is None else self.ids[index]}"

    def chosen(self, index: np.ndarray) -> Samples:
        """These samples alone."""

        def of(values: Sequence[Any] | None) -> list[Any] | None:
            return None if values is None else [values[i] for i in index]

        def rows(values: Any) -> Any:
            return values.chosen(index) if isinstance(values, LazyRows) else values[index]

        return replace(
            self,
            x=rows(self.x),
            labels=of(self.labels),
            ids=of(self.ids),
            environments=of(self.environments),
            groups=of(self.groups),
            given=of(self.given),
            fields={name: rows(values) for name, values in self.fields.items()},
        )
