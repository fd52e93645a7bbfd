"""Non-dominated sorting and crowding, by hand and against the definition."""

import random

from sweeps.schedulers.asha import Rung
from sweeps.schedulers.fronts import dominates, front_of, ordered


def test_with_one_metric_it_is_the_order_of_the_values_the_older_first():
    assert ordered({3: (1.0,), 1: (2.0,), 2: (1.0,)}) == [1, 2, 3]
    assert ordered({}) == []


def test_fronts_come_one_after_another_and_ends_before_the_crowd():
    scores = {1: (0.0, 4.0), 2: (1.0, 3.0), 3: (1.1, 2.9), 4: (3.0, 1.0), 5: (4.0, 0.0), 6: (0.0, 3.0), 7: (3.0, 0.0)}
    # first front 1 … 5: its ends 5 and 1; room of 4: 2.9/4 + 2.9/4, of 3: 2/4 + 2/4, of 2: 1.1/4 + 1.1/4
    assert ordered(scores) == [5, 1, 4, 3, 2, 7, 6]


def test_nobody_stands_behind_a_trial_that_it_dominates():
    rng = random.Random(2)
    for metrics in (2, 3):
        scores = {trial: tuple(float(rng.randrange(5)) for _ in range(metrics)) for trial in range(60)}
        order = ordered(scores)
        assert sorted(order) == list(range(60))
        for place, trial in enumerate(order):
            assert not any(dominates(scores[later], scores[trial]) for later in order[place:])
        front = front_of(scores.values())
        assert {scores[trial] for trial in order[: len(front)]} <= set(front) | {scores[order[0]]}


def test_a_rung_keeps_its_order_as_trials_come_and_go():
    rng = random.Random(3)
    for metrics in (1, 2):
        rung, standing = Rung(), {}
        for _ in range(300):
            trial = rng.randrange(40)
            if rng.random() < 0.2:
                rung.forget(trial)
                standing.pop(trial, None)
            else:
                standing[trial] = tuple(rng.choice([rng.gauss(0, 1), float("nan")]) for _ in range(metrics))
                rung.reached(trial, standing[trial])
            known = {trial: scores for trial, scores in standing.items() if all(one == one for one in scores)}
            assert rung.ranked() == ordered(known)
            assert rung.scores.keys() == standing.keys()
