import numpy as np
import pytest

from trainables.data.white import EXPECTED, Range, to_bytes, whites_of


@pytest.mark.parametrize(("high", "white"), [(200, 255), (256, 1023), (1024, 4095), (4096, 16383), (16384, 65535)])
def test_white_is_that_of_the_least_depth_that_holds_all(high: int, white: int):
    ranges = {3: Range(0, high, True), 4: Range(0, 9, True), 7: Range(0, 9, True)}
    whites, problems, notes = whites_of(ranges, {3: "kyoto", 4: "kyoto", 7: "quito"})
    assert whites == {3: white, 4: white, 7: 255}
    assert problems == []
    assert len(notes) == (2 if white < 65535 else 1)


def test_reals_and_integers_of_an_environment_are_two_decisions():
    ranges = {0: Range(0.1, 0.9, False), 1: Range(0, 4000, True), 2: Range(0, 2, False), 3: Range(-1, 5, True)}
    whites, problems, _ = whites_of(ranges, dict.fromkeys(ranges, "kyoto"))
    assert whites == {0: 1, 1: 4095}
    assert problems == [
        (2, f"holds values from 0 to 2; {EXPECTED}"),
        (3, f"holds values from -1 to 5; {EXPECTED}"),
    ]


def test_bytes_of_values():
    values = np.array([0, 2048, 4095], np.uint16)
    np.testing.assert_array_equal(to_bytes(values, 4095), [0, 128, 255])
    assert Range.of(values) == Range(0, 4095, True)
    kept = values.astype(np.uint8)
    assert to_bytes(kept, 255) is kept
