"""Batches of a data set on a device, made ready before the step that takes them.

Whether and how far ahead changes no number: what a batch holds is decided by the indices that are asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from trainables.data.store import Dataset
from trainables.vae import Batch

AHEAD = 4  # batches
IN_MEMORY = 2**28  # bytes of samples; so few stay in memory once they were read, where a thread only costs

T = TypeVar("T")


class Loader:
    """Fetches the rows of mapped data in a thread of its own, but for little data that a CPU trains on.

    On CUDA rows are pinned, and bytes travel as bytes: they become [0, 1] there.

    Args:
        dataset: where the rows come from.
        device: where the batches go.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self.on_cuda = device.type == "cuda"
        self.threaded = self.on_cuda or dataset.nbytes > IN_MEMORY
        self._byte = torch.full((), 255.0, device=device)  # a tensor: CUDA multiplies by 1 / 255 for a number

    def batches(self, index: np.ndarray, size: int) -> Iterator[Batch]:
        """The samples at `index` in that order, `size` at a time."""
        parts = (index[start : start + size] for start in range(0, len(index), size))
        return map(self._delivered, ahead(self._rows, parts) if self.threaded else map(self._rows, parts))

    def batch(self, index: np.ndarray) -> Batch:
        """The samples at `index`, now."""
        return self._delivered(self._rows(index))

    def _rows(self, index: np.ndarray) -> Batch:
        """In the host's memory."""
        read = self.dataset.rows if self.on_cuda else self.dataset.read
        fields = {name: self._tensor(rows[index]) for name, rows in self.dataset.fields.items()}
        return Batch(self._tensor(read(index)), self._tensor(self.dataset.classes[index]), fields)

    def _tensor(self, values: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(values)
        return tensor.pin_memory() if self.on_cuda else tensor

    def _delivered(self, batch: Batch) -> Batch:
        if not self.on_cuda:
            return batch
        x, label = (tensor.to(self.device, non_blocking=True) for tensor in (batch.x, batch.label))
        x = x if x.dtype == torch.float32 else x.float().div_(self._byte)
        fields = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.fields.items()}
        return Batch(x, label, fields)


def ahead(make: Callable[[np.ndarray], T], parts: Iterable[np.ndarray]) -> Iterator[T]:
    """`make` of each part in order, `AHEAD` of them on the way in another thread; its exceptions are raised here."""
    waiting: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for part in parts:
            waiting.append(pool.submit(make, part))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
