"""Which scheduler is recommended, in which words, and when none is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.replay import synthetic
from analysis.replay.curves import Curves
from analysis.replay.recommend import LEAST, Recommendation, Standing, recommend
from analysis.replay.regret import truth
from sweeps.schedulers import parse
from tests.analysis.replay.conftest import SCORE, curves_of
from trainables.requirements import Requirement

CHOICE = ("none", "asha:grace=0.1", "median")


def advised(curves: Curves, *schedulers: str, draws: int = 12) -> Recommendation:
    return recommend(curves, truth(curves), [parse(text) for text in schedulers or CHOICE], 4, draws=draws)


def ranked_from_the_start(trials: int = 30, epochs: int = 12) -> Curves:
    """The order of the first epoch is that of the last."""
    return curves_of([[{SCORE: trial / trials + 0.01 * epoch} for epoch in range(epochs)] for trial in range(trials)])


def ranked_at_the_end(trials: int = 30, epochs: int = 12) -> Curves:
    """The order turns round in the last epoch."""
    return curves_of([
        [{SCORE: (-1.0 if epoch < epochs - 1 else 1.0) * trial} for epoch in range(epochs)]
        for trial in range(1, trials + 1)
    ])  # fmt: skip


def test_asha_is_right_where_the_first_epochs_tell_the_last():
    found = advised(ranked_from_the_start())
    assert [one.scheduler for one in found.standings] == ["asha:grace=0.1", "median", "none"]
    best, *_, none = found.standings
    assert best.behind == (0.0, 0.0, 0.0)
    assert none.behind[1] > 0  # the interval leaves out 0
    assert none.needed[0] > 2 * best.needed[0]
    assert found.sentence.startswith("For sweeps like these at 4 slots: --scheduler asha:grace=0.1; until the best")
    assert f"none {none.needed[0] / best.needed[0]:.1f} ×" in found.sentence


def test_to_stop_nothing_is_right_where_they_mislead():
    found = advised(ranked_at_the_end())
    assert found.standings[0].scheduler == "none"
    assert found.standings[0].missed == 0
    assert found.standings[-1].missed == 1
    assert found.standings[-1].needed == (1.0, 1.0, 1.0)
    assert "in most draws" in found.sentence
    assert found.sentence.endswith("never find it.")


def test_what_does_as_well_is_not_told_from_it():
    found = advised(ranked_from_the_start(), "asha:grace=0.1", "asha:grace=0.1,eta=3", "none")
    one, other, none = found.standings
    assert (one.regret, one.equal, other.equal, none.equal) == (other.regret, True, True, False)
    assert f"{other.scheduler} is not distinguishable from it" in found.sentence


def test_the_sentence():
    def standing(name: str, needed: float, low: float, missed: float = 0.0) -> Standing:
        return Standing(name, (), (needed, needed, needed), (0.0, low, 1.0), missed)

    first = standing("health-asha", 0.2, 0.0)
    others = (standing("asha:grace=0.15", 0.21, -0.1), standing("none", 0.42, 0.2), standing("pasha", 0.9, 0.6, 0.7))
    assert Recommendation(29, 4, 50, (first, *others)).sentence == (
        "For sweeps like these at 4 slots: --scheduler health-asha; asha:grace=0.15 is not distinguishable from it; "
        "until the best is found, none 2.1 × the epochs; in most draws pasha never finds it."
    )


def test_what_is_required_changes_what_the_best_is():
    curves = ranked_from_the_start()
    au = np.where(curves.table["trial"].to_numpy() > 15, 0.0, 8.0)
    table = curves.table.append_column("health/au", [au])
    found = advised(replace(curves, table=table, requirements=(Requirement.parse("health/au>=8"),)))
    asha = next(one for one in found.standings if one.scheduler.startswith("asha"))
    assert asha.missed > 0.9  # it promotes those that miss the requirement


@pytest.mark.parametrize(
    ("curves", "told"),
    [
        (
            ranked_from_the_start(LEAST - 1),
            f"{LEAST - 1} trials ran to their end, expected at least {LEAST}; record",
        ),
        (replace(ranked_from_the_start(), left_out=6), "6 of 36 trials did not run to their end"),
        (curves_of([[{SCORE: 1.0}] * 3] * 20), "20 of 20 trials end healthy, expected 3 of different worth"),
    ],
)
def test_too_little_is_no_ground_for_advice(curves, told):
    found = advised(curves)
    assert found.standings == ()
    assert found.sentence.startswith(f"No scheduler is recommended: {told}")
    if "record" in told:
        assert "record a sweep whose trials all run to their end" in found.sentence


def test_a_draw_is_bounded_and_the_same_every_time():
    curves = synthetic.generate(200, 10, seed=1)
    assert advised(curves, "none", draws=3).trials == 60
    assert advised(curves, draws=3) == advised(curves, draws=3)
