import numpy as np
import pytest

from trainables.data.samples import Samples, subset


@pytest.mark.parametrize(
    ("size", "expected"), [(None, {"a": 30, "b": 3}), (5, {"a": 5, "b": 3}), (2, {"a": 2, "b": 2})]
)
def test_a_subset_takes_as_many_of_each_environment(size, expected):
    environments = ["a"] * 30 + ["b"] * 3
    index = subset(33, environments, size)
    assert sorted(set(index)) == list(index)
    assert {place: sum(environments[i] == place for i in index) for place in "ab"} == expected
    assert np.array_equal(index, subset(33, environments, size))


def test_a_smaller_subset_is_part_of_a_larger_one():
    assert set(subset(100, None, 10)) < set(subset(100, None, 20))
    assert list(subset(100, None, 10)) != list(range(10))


def test_chosen_samples_keep_what_is_known_of_them():
    samples = Samples(np.arange(6.0).reshape(3, 2), "x", ["p", "q", "r"], ids=[7, 8, 9], environments=["e", "e", "f"])
    few = samples.chosen(np.array([0, 2]))
    assert few.x.tolist() == [[0, 1], [4, 5]]
    assert (few.labels, few.environments, few.name(1)) == (["p", "r"], ["e", "f"], "sample 9")
    assert Samples(samples.x, "x").chosen(np.array([1])).labels is None
