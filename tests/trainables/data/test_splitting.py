import numpy as np
import pytest

from trainables.data.splitting import Split, resplit, sizes, split


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (10, (2, 2)),
        (24, (5, 2)),
        (200, (40, 20)),
        (320, (64, 32)),
        (512, (64, 51)),
        (640, (64, 64)),
        (5000, (500, 500)),
    ],
)
def test_sizes_of_validation_and_test(count: int, expected: tuple[int, int]) -> None:
    assert sizes(count) == expected
    assert tuple(map(len, split(count)[1:])) == expected


@pytest.mark.parametrize("count", [10, 12, 512])
def test_the_parts_are_a_fixed_partition_in_random_order(count: int) -> None:
    parts = split(count)
    assert sorted(np.concatenate(parts)) == list(range(count))
    assert all(part.dtype == np.int64 for part in parts)
    assert (np.diff(parts.train) < 0).any()
    for again, once in zip(split(count), parts, strict=True):
        np.testing.assert_array_equal(again, once)


def test_another_seed_draws_training_and_validation_anew_and_keeps_the_test_part() -> None:
    parts = split(200)
    drawn = [resplit(parts, seed) for seed in (1, 2, 12345)]
    for one in drawn:
        assert [len(part) for part in one] == [len(part) for part in parts]
        np.testing.assert_array_equal(one.test, parts.test)
        assert sorted(np.concatenate(one)) == list(range(200))
    assert len({tuple(sorted(one.val)) for one in (parts, *drawn)}) == 4
    np.testing.assert_array_equal(resplit(parts, 1).train, drawn[0].train)


def test_over_the_seeds_every_sample_but_those_of_the_test_part_validates_equally_often() -> None:
    parts = Split(np.arange(16), np.arange(16, 20), np.arange(20, 22))
    counts = np.bincount(np.concatenate([resplit(parts, seed).val for seed in range(1, 1001)]), minlength=22)
    assert counts[20:].sum() == 0
    assert counts.sum() == 4000
    assert counts[:20].min() > 200 - 4 * np.sqrt(160)
    assert counts[:20].max() < 200 + 4 * np.sqrt(160)
