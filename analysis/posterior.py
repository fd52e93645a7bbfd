"""The probability that each of several configurations is the best, from their scores with the same seeds."""

from __future__ import annotations

import numpy as np

DRAWS = 20_000
_SHRINKAGES = 200  # values of it that are weighed


def best_probabilities(scores: np.ndarray) -> np.ndarray:
    """The probability of each of C ≥ 2 configurations to have the highest mean, from `scores` (S, C) by seed, S ≥ 2;
    shape (C,).

    A score is the mean of its configuration, plus what its seed does to all of them alike, plus normal noise of one
    variance, which is not known (flat in its logarithm). So the means follow Student's t around those observed, but
    shrunk: they are taken for draws of one normal distribution, in which a difference is as likely to be all noise
    as to be none: the share of noise in the variance of the observed means is uniform in [0, 1] (Strawderman 1971).
    Configurations that were chosen for their scores differ less than they seem to.

    In simulation it is calibrated where the true means spread by one standard error, and cautious where by more;
    where they hardly differ it is bold: of what it gives 0.85 about 0.7 is the best.
    """
    seeds, count = scores.shape
    means = scores.mean(axis=0) - scores.mean()
    residuals = scores - scores.mean(axis=1, keepdims=True) - means
    within, between = (residuals**2).sum(), seeds * (means**2).sum()
    if within <= np.finfo(float).eps * max(between, (scores**2).sum()):  # no noise: those that are highest share it
        highest = np.isclose(means, means.max())
        return highest / highest.sum()
    rng, freedom = np.random.default_rng(0), seeds * (count - 1)
    noise = (np.arange(_SHRINKAGES) + 0.5) / _SHRINKAGES
    log_weights = (count - 1) / 2 * np.log(noise) - freedom / 2 * np.log(within + noise * between)
    weights = np.exp(log_weights - log_weights.max())
    share = rng.choice(noise, DRAWS, p=weights / weights.sum())[:, None]
    variance = (within + share * between) / rng.chisquare(freedom, (DRAWS, 1)) / seeds
    drawn = (1 - share) * means + np.sqrt((1 - share) * variance) * rng.standard_normal((DRAWS, count))
    return np.bincount(drawn.argmax(axis=1), minlength=count) / DRAWS
