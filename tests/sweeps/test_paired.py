"""Paired tests against closed forms, enumeration and scipy; the error of a whole table by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from sweeps import paired
from sweeps.ablation import AUTO_LOOKS

TABLES = [(pairs, claims) for pairs in (3, 5, 10) for claims in (13, 27)]
RUNS = 4000
NOISE = 3.5 * math.sqrt(0.05 * 0.95 / RUNS)  # of a simulated rate: 0.012


def differences(kind: str, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Pairs (…, n, 2) without an effect: before and after may be exchanged."""
    *rest, count = shape
    if kind == "shared":  # all claims of a run have one `before`: the differences depend on each other
        runs, claims = rest
        before = np.broadcast_to(rng.normal(size=(runs, 1, count)), shape)
        return np.stack([before, rng.normal(size=(runs, claims, count))], axis=-1)
    draw = {
        "normal": lambda size: rng.normal(size=size),
        "heavy": lambda size: rng.standard_t(2, size=size),
        "skewed values": lambda size: rng.exponential(size=size) ** 2,
        "counts": lambda size: rng.poisson(3.0, size=size).astype(float),
        "few counts": lambda size: rng.poisson(0.2, size=size).astype(float),
    }[kind]
    return draw((*shape, 2))


KINDS = ("normal", "shared", "heavy", "skewed values", "counts", "few counts")


def family_error(p: np.ndarray) -> float:
    """The share of the runs (runs, claims) in which any claim is rejected."""
    return float((paired.holm(p) <= paired.ERROR).any(axis=1).mean())


@pytest.mark.parametrize(("pairs", "claims"), TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_a_table(kind: str, pairs: int, claims: int):
    rng = np.random.default_rng([pairs, claims])
    error = family_error(paired.p_values(differences(kind, rng, (RUNS, claims, pairs))))
    assert error <= 0.06
    if kind == "normal":  # Holm's first step is Bonferroni's: exact but for the square of the error
        assert error == pytest.approx(1 - (1 - 0.05 / claims) ** claims, abs=NOISE)


@pytest.mark.parametrize("claims", [13, 27])
@pytest.mark.parametrize("kind", KINDS)
def test_the_error_of_a_table_that_is_looked_at_whenever_seeds_are_added(kind: str, claims: int):
    """Rejections only add up from look to look, so stopping early can only make fewer."""
    rng = np.random.default_rng(claims)
    pairs = differences(kind, rng, (RUNS, claims, AUTO_LOOKS[-1]))
    p = np.stack([paired.p_values(pairs[..., :count, :]) for count in AUTO_LOOKS], axis=-1)
    rejected = np.zeros((RUNS, claims), bool)
    for looks in range(1, len(AUTO_LOOKS) + 1):
        now = paired.holm(paired.p_over_looks(p[..., :looks], len(AUTO_LOOKS))) <= paired.ERROR
        assert (now | ~rejected).all()
        rejected = now
    assert rejected.any(axis=1).mean() <= 0.06


@pytest.mark.parametrize("claims", [13, 27])
def test_looking_without_paying_would_break_the_error(claims: int):
    """That the simulation can tell."""
    pairs = differences("normal", np.random.default_rng(0), (RUNS, claims, AUTO_LOOKS[-1]))
    p = np.min([paired.p_values(pairs[..., :count, :]) for count in AUTO_LOOKS], axis=0)
    assert family_error(p) > 0.09


def test_the_error_among_true_effects():
    """Half of the claims hold: the others are still rejected wrongly in 5 of 100 tables at most."""
    pairs = differences("normal", np.random.default_rng(1), (RUNS, 14, 5))
    pairs[:, :7, :, 1] += 20.0
    rejected = paired.holm(paired.p_values(pairs)) <= paired.ERROR
    assert rejected[:, :7].mean() > 0.99
    assert rejected[:, 7:].any(axis=1).mean() <= 0.06


def test_binary_values_keep_the_error():
    for share in (0.1, 0.5):
        pairs = (np.random.default_rng(2).random((RUNS, 13, 20, 2)) < share).astype(float)
        assert family_error(paired.p_values(pairs, binary=True)) <= 0.05


def test_student_is_scipy_s():
    pairs = np.random.default_rng(3).normal(size=(4, 7, 2))
    expected = stats.ttest_rel(pairs[..., 1], pairs[..., 0], axis=-1)
    np.testing.assert_allclose(paired.p_values(pairs), expected.pvalue, rtol=1e-10)
    bounds = stats.ttest_rel(pairs[0, :, 1], pairs[0, :, 0]).confidence_interval(0.9)
    assert paired.interval(pairs[0], 0.1) == pytest.approx((bounds.low, bounds.high), rel=1e-10)


@pytest.mark.parametrize("count", [3, 6, 11])
def test_equal_differences_are_judged_by_their_sign(count: int):
    values = np.arange(count) * 0.1
    up = np.stack([values, values + 0.3], axis=-1)  # equal but for rounding
    assert len(set(up[:, 1] - up[:, 0])) > 1
    assert paired.no_spread(up)
    assert paired.p_values(up) == pytest.approx(2.0 ** (1 - count))
    assert np.isnan(paired.interval(up, 0.05)).all()
    none = np.stack([values, values], axis=-1)
    assert paired.p_values(none) == 1.0
    almost = up + np.array([0.0, 1e-9]) * (np.arange(count) == 0)[:, None]
    assert not paired.no_spread(almost)


def test_binary_values_are_mcnemar_s_enumerated():
    for up, down in itertools.product(range(5), range(5)):
        pairs = np.array([(0, 1)] * up + [(1, 0)] * down + [(0, 0)] * 3, float)
        signs = [sum(each) for each in itertools.product((1, -1), repeat=up + down)]
        extreme = np.mean([abs(total) >= abs(up - down) for total in signs])
        assert paired.p_values(pairs, binary=True) == pytest.approx(extreme)


def test_the_interval_of_binary_values_holds():
    rng, shares, held = np.random.default_rng(4), (0.5, 0.1), 0
    for _ in range(400):
        kinds = rng.choice(3, p=[*shares, 1 - sum(shares)], size=10)
        pairs = np.array([[(0, 1), (1, 0), (0, 0)][kind] for kind in kinds], float)
        low, high = paired.interval(pairs, 0.1, binary=True)
        held += low <= shares[0] - shares[1] <= high
    assert held / 400 >= 0.9


def test_too_few_pairs_are_no_test():
    pairs = np.array([[0.0, 1.0], [0.0, 1.1]])
    assert np.isnan(paired.p_values(pairs))
    assert np.isnan(paired.interval(pairs, 0.05)).all()
    assert np.isnan(paired.mean_interval(np.array([1.0, 2.0]), 0.05)).all()


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_of_a_mean_covers_it_in_95_of_100(seeds: int):
    rng = np.random.default_rng(seeds)
    bounds = np.array([paired.mean_interval(rng.normal(0.4, 0.1, seeds), 0.05) for _ in range(4000)])
    covered = ((bounds[:, 0] <= 0.4) & (bounds[:, 1] >= 0.4)).mean()
    assert covered == pytest.approx(0.95, abs=0.011)  # three standard errors


def test_the_simultaneous_interval_never_contradicts_holm():
    """It excludes 0 only where Holm rejects; Holm may reject a little more."""
    rng, contradictions, sharper = np.random.default_rng(5), 0, 0
    for _ in range(200):
        pairs = rng.normal(size=(6, 5, 2))
        pairs[:, :, 1] += rng.choice([0.0, 3.0], size=(6, 1))
        rejected = paired.holm(paired.p_values(pairs)) <= paired.ERROR
        bounds = [paired.interval(each, paired.ERROR / 6) for each in pairs]
        excludes = np.array([low > 0 or high < 0 for low, high in bounds])
        contradictions += (excludes & ~rejected).sum()
        sharper += (rejected & ~excludes).sum()
    assert contradictions == 0
    assert sharper > 0


def test_holm_by_hand():
    p = np.array([0.04, 0.01, math.nan, 0.03, 0.012])
    np.testing.assert_allclose(paired.holm(p), [0.06, 0.04, math.nan, 0.06, 0.04])
    assert paired.holm(np.array([0.6, 0.7]))[0] == 1.0
    assert len(paired.holm(np.array([]))) == 0


def test_looks_spend_the_whole_error_and_no_more():
    assert paired.shares(1) == [1.0]
    np.testing.assert_allclose(paired.shares(4), [0.1, 0.2, 0.3, 0.4])
    assert paired.p_over_looks([0.004], 1) == 0.004
    assert paired.p_over_looks([0.01, 0.004], 4) == pytest.approx(0.02)
    assert paired.p_over_looks([0.2, 0.9], 4) == 1.0
    assert paired.p_over_looks([math.nan, 0.04], 2) == pytest.approx(0.06)
    assert np.isnan(paired.p_over_looks([], 4))


@pytest.mark.parametrize(("pairs", "claims"), [(5, 13), (20, 27)])
def test_what_is_detectable_is_found_as_often_as_said(pairs: int, claims: int):
    effect = paired.detectable(pairs, paired.ERROR / claims)
    drawn = np.random.default_rng(6).normal(effect, 1.0, size=(RUNS, pairs))
    found = paired.p_values(np.stack([np.zeros_like(drawn), drawn], axis=-1)) <= paired.ERROR / claims
    assert found.mean() == pytest.approx(paired.POWER, abs=3.5 * math.sqrt(0.16 / RUNS))


def test_how_many_must_agree():
    for claims in (1, 13, 27):
        fewest = paired.fewest_agreeing(paired.ERROR / claims)
        agreeing = np.array([[0.0, 1.0]] * fewest)
        assert paired.p_values(agreeing, binary=True) <= paired.ERROR / claims
        assert paired.p_values(agreeing[1:], binary=True) > paired.ERROR / claims


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_means_of_skewed_differences_are_not_covered(pairs: int):
    """What the module's text says it does not promise: differences whose mean is 0 but whose median is not."""
    drawn = np.random.default_rng(7).exponential(size=(RUNS, 13, pairs)) - 1
    assert family_error(paired.p_values(np.stack([np.zeros_like(drawn), drawn], axis=-1))) > 0.06
