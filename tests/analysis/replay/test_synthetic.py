"""Made-up curves: the same by seed, of every fate, and readable like recorded ones."""

import numpy as np
import pytest

from analysis.replay import synthetic
from analysis.replay.verdicts import JudgedVerdicts
from trainables.health import HealthConfig, Verdict


def test_the_seed_decides():
    assert synthetic.generate(20, 10, 1).table == synthetic.generate(20, 10, 1).table
    assert synthetic.generate(20, 10, 1).table != synthetic.generate(20, 10, 2).table


@pytest.mark.parametrize(("trials", "epochs"), [(2, 2), (30, 1), (7, 200)])
def test_any_size(trials, epochs):
    curves = synthetic.generate(trials, epochs)
    assert len(curves) == trials
    assert np.diff(curves.first).tolist() == [epochs] * trials
    assert (curves.durations > 0).all()


def test_every_fate_is_met():
    curves = synthetic.generate(1000, 40)
    verdicts = JudgedVerdicts(curves, HealthConfig())
    condemned, final = [], []
    for start, end in zip(curves.first, curves.first[1:], strict=False):
        found = [verdicts[at].verdict for at in range(start, end)]
        condemned.append(next((verdict for verdict in found if verdict.condemned), None))
        final.append(found[-1])
    share = {verdict: condemned.count(verdict) / 1000 for verdict in Verdict}
    assert 0.2 < share[Verdict.COLLAPSED] < 0.35
    assert 0 < share[Verdict.NUMERIC] < 0.05
    assert 0 < share[Verdict.DIVERGED] < 0.06
    false_stops = sum(c is not None and f is Verdict.HEALTHY for c, f in zip(condemned, final, strict=True))
    assert 0 < false_stops < 50


def test_half_of_the_trials_raise_their_kl_weight():
    weight = np.array(synthetic.generate(1000, 40).columns["schedule/kl_weight"]).reshape(1000, 40)
    assert (np.diff(weight) >= 0).all()
    assert (weight[:, -1] == 1).all()
    assert 0.4 < (weight[:, 0] < 1).mean() < 0.6


def test_slow_starters_overtake():
    scores = synthetic.generate(500, 40).scores.reshape(500, 40)
    early, late = scores[:, 4], scores[:, -1]
    finite = np.isfinite(early) & np.isfinite(late)
    best_early = np.argsort(np.where(finite, early, -np.inf))[-50:]
    assert 0 < np.isin(best_early, np.argsort(np.where(finite, late, -np.inf))[-50:]).sum() < 50
