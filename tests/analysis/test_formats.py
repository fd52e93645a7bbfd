import math

import pytest

from analysis import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.34567, "0.346"),
        (-0.0021, "−0.00210"),
        (12, "12"),
        (1.5e-7, "1.50e−7"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
        (None, "–"),
    ],
)
def test_number(value, text):
    assert formats.number(value) == text


@pytest.mark.parametrize(("share", "text"), [(0.5, "50"), (0.0, "0"), (0.004, "0.4"), (0.996, "99.6"), (1.0, "100")])
def test_percent_never_rounds_to_none_or_all(share, text):
    assert formats.percent(share) == text + "\N{NARROW NO-BREAK SPACE}%"


def test_a_column_has_the_same_decimals_throughout():
    assert formats.column([0.3456, -0.1, 0.02]) == ["0.3456", "−0.1000", "0.0200"]


def test_an_outlier_does_not_cost_the_other_cells_their_decimals():
    assert formats.column([0.31, 0.32, 0.33, 0.34, -5000.0])[0] == "0.3100"


def test_a_value_that_would_round_to_zero_shows_its_first_digit():
    assert formats.column([187.0, 183.3, 0.0123, 0.0], digits=3) == ["187", "183", "0.01", "0"]


def test_whole_numbers_have_no_decimals():
    assert formats.column([256, 1024.0, None]) == ["256", "1024", "–"]


def test_there_is_no_negative_zero():
    assert formats.column([-0.0, 0.25]) == ["0.0000", "0.2500"]


def test_values_over_orders_of_magnitude():
    assert formats.column([1e-4, 0.00512], 3, scientific=True) == ["1.0e−4", "5.1e−3"]


def test_words_switches_and_broken_numbers():
    assert formats.column(["learned", None, True]) == ["learned", "none", "on"]
    assert formats.column([math.nan, math.inf, 0.25]) == ["NaN", "∞", "0.2500"]
    assert formats.column([]) == []
    assert formats.column([math.nan]) == ["NaN"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.00031234567891, "0.00031234567891"), (None, "none"), (True, "on"), (256, "256")]
)
def test_exact_loses_nothing(value, text):
    assert formats.exact(value) == text
