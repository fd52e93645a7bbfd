import numpy as np
import pytest

from trainables.data import blocks


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (7, [3, 3, 1])])
def test_blocks_cover_every_sample_once(monkeypatch: pytest.MonkeyPatch, count: int, sizes: list[int]):
    monkeypatch.setattr(blocks, "VALUES_PER_BLOCK", 3 * 8 + 1)
    slices = list(blocks.sample_blocks((count, 2, 4)))
    assert [block.stop - block.start for block in slices] == sizes
    assert [index for block in slices for index in range(count)[block]] == list(range(count))


def test_a_sample_larger_than_a_block_is_a_block():
    assert list(blocks.sample_blocks((2, blocks.VALUES_PER_BLOCK + 1))) == [slice(0, 1), slice(1, 2)]


def test_large_arrays_are_mapped_and_both_kinds_can_be_filled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(blocks, "IN_MEMORY", 15)
    for count, mapped in ((3, False), (4, True)):
        array = blocks.allocate((count, 1), np.float32)
        array[:] = 7
        assert isinstance(array, np.memmap) == mapped
        assert array.sum() == 7 * count
