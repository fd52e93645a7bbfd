"""Stopping keeps the front of two metrics; by the first alone it would be lost."""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from analysis.replay.curves import Curves
from analysis.replay.simulate import End, Variant
from sweeps.records.ranking import Objective
from sweeps.schedulers import parse
from sweeps.schedulers.fronts import front_of

FIRST, SECOND = "val/elbo_gain", "val/ssim"
TRIALS, EPOCHS, SWEEPS = 48, 30, 6


def traded(seed: int, further: tuple[Objective, ...]) -> Curves:
    """Trials that are good by the one metric or by the other, better or worse on the whole, and learn alike."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, math.pi / 2, (TRIALS, 1))
    size = rng.uniform(0.3, 1.0, (TRIALS, 1))
    learnt = 1 - (1 + np.arange(1, EPOCHS + 1) / rng.uniform(1, 4, (TRIALS, 1))) ** -1.0
    columns = {
        "trial": np.repeat(np.arange(1, TRIALS + 1, dtype=np.int32), EPOCHS),
        "epoch": np.tile(np.arange(1, EPOCHS + 1, dtype=np.int32), TRIALS),
        "seconds": np.tile(np.arange(1.0, EPOCHS + 1), TRIALS),
        "verdict": np.full(TRIALS * EPOCHS, "HEALTHY"),
        "verdict_detail": np.full(TRIALS * EPOCHS, ""),
    }
    for name, share in ((FIRST, np.cos(angle)), (SECOND, np.sin(angle))):
        columns[name] = (size * share * learnt + rng.normal(0, 0.005, learnt.shape)).ravel()
    table = pa.table({name: pa.array(values.ravel().tolist()) for name, values in columns.items()})
    return Curves(table, EPOCHS, FIRST, "max", further=further)


def hypervolume(points: Sequence[tuple[float, float]]) -> float:
    """The area that the points dominate above (0, 0)."""
    area, reached = 0.0, 0.0
    for one, other in sorted(front_of(points), reverse=True):
        area += one * (other - reached)
        reached = other
    return area


def finished(curves: Curves, ends: list[End]) -> list[tuple[float, float]]:
    last = curves.first[1:] - 1
    both = [curves.table[name].to_numpy()[last] for name in (FIRST, SECOND)]
    return [(both[0][end.trial], both[1][end.trial]) for end in ends if not end.reason]


def kept(scheduler: str, further: tuple[Objective, ...]) -> tuple[float, float]:
    """The shares of the hypervolume that is kept, and of the epochs that are spent, on the mean over sweeps."""
    shares = []
    for seed in range(SWEEPS):
        curves = traded(seed, further)
        ends = Variant(parse(scheduler), curves).ends(0, range(TRIALS), workers=4)
        everything = finished(curves, Variant(parse("none"), curves).ends(0, range(TRIALS), workers=4))
        spent = sum(end.epoch for end in ends) / (TRIALS * EPOCHS)
        shares.append((hypervolume(finished(curves, ends)) / hypervolume(everything), spent))
    return tuple(np.mean(shares, axis=0))


def test_the_area_under_three_points():
    assert hypervolume([(1.0, 3.0), (2.0, 2.0), (3.0, 1.0), (1.0, 1.0)]) == pytest.approx(3 + 2 + 1)


def test_the_default_keeps_the_front_of_two_metrics_and_still_saves():
    by_both, spent = kept("health-asha:control=0", (Objective(SECOND, "max"),))
    by_first, _ = kept("health-asha:control=0", ())
    assert by_both > 0.99  # 1.00 at 51 % of the epochs; 0.73 by the first metric alone
    assert spent < 0.6
    assert by_first < 0.8


def test_promotion_goes_front_by_front():
    by_both, _ = kept("asha", (Objective(SECOND, "max"),))
    by_first, _ = kept("asha", ())
    assert by_both > by_first + 0.2
