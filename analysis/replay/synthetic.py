"""Made-up learning curves with every fate a VAE can meet, for schedulers to be tried before there is a sweep.

Gains follow a power law of the epochs, so that slow starters overtake. Half of the trials raise the KL weight over
a part of the budget; collapse comes when the weight is high enough, as it does in earnest. The shares of the fates
are those of sweeps with wide KL ranges; no number here is a measurement.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from analysis.replay.curves import Curves

# Share of the trials. Slow: no active unit at first, healthy later. Recovering: collapsed for longer than any grace.
FATES = {"healthy": 0.6, "slow": 0.08, "collapsed": 0.25, "recovering": 0.02, "diverging": 0.03, "numeric": 0.02}
DIMS = 32  # latent
METRIC = "val/elbo_gain"


def generate(trials: int, epochs: int, seed: int = 0) -> Curves:
    """`trials` complete curves of `epochs` epochs. The verdicts are left to the judge."""
    rng = np.random.default_rng([seed, trials, epochs])
    fate = rng.choice(list(FATES), size=(trials, 1), p=list(FATES.values()))
    epoch = np.arange(1, epochs + 1)
    weight = _kl_weight(rng, trials, epochs)
    alive = _alive(rng, fate, epoch, weight, epochs)
    quality = rng.beta(2, 2, size=(trials, 1))
    pace = epochs * rng.lognormal(np.log(0.06), 0.8, size=(trials, 1)) * (0.5 + quality)
    progress = alive * (1 - (1 + epoch / pace) ** -0.8)
    noise = rng.normal(0, 0.004, size=(trials, epochs))
    gain = 0.45 * quality * progress - 0.3 * np.exp(-epoch / (0.02 * epochs + 1)) + noise
    error = 1 - 0.8 * quality * progress
    grown = np.clip(epoch / epochs - rng.uniform(0.2, 0.8, size=(trials, 1)), 0, None) * (fate == "diverging")
    gain, error = gain - 2 * grown, error + 20 * grown
    units = np.ceil(DIMS * quality * (0.3 + progress) * alive).clip(max=DIMS)
    kl = np.where(alive, 2 * units + 20 * (1 - weight) + 0.4, rng.lognormal(np.log(0.01), 0.5, (trials, epochs)))
    broken = (fate == "numeric") & (epoch > epochs * rng.uniform(0, 0.7, size=(trials, 1)))
    gain, kl = np.where(broken, np.nan, gain), np.where(broken, np.nan, kl)
    seconds = rng.lognormal(np.log(20), 0.3, size=(trials, 1)) * rng.lognormal(0, 0.05, size=(trials, epochs))
    columns = {
        "trial": np.repeat(np.arange(1, trials + 1, dtype=np.int32), epochs),
        "epoch": np.tile(epoch.astype(np.int32), trials),
        "seconds": seconds.cumsum(axis=1),
        METRIC: gain,
        "val/mse_constant": np.ones((trials, epochs)),
        "health/au": units,
        "health/au_frac": units / DIMS,
        "health/dims": np.full((trials, epochs), float(DIMS)),
        "health/kl_raw": kl,
        "health/mi": np.where(alive, np.minimum(4.6, 0.3 * kl), 0.4 * kl),
        "health/z_gain": np.where(alive, 0.02 + 0.6 * quality * progress, 0.001),
        "val/mse": error,
        "schedule/kl_weight": weight,
        "schedule/kl_weight_final": np.ones((trials, epochs)),
    }
    table = pa.table({name: pa.array(values.ravel()) for name, values in columns.items()})
    return Curves(table, epochs, METRIC, "max", notes=["The curves are made up: see analysis/replay/synthetic.py."])


def _kl_weight(rng: np.random.Generator, trials: int, epochs: int) -> np.ndarray:
    """Share of the final KL weight: 1 in half of the trials, rising over up to half the budget in the others."""
    ramp = rng.uniform(0.02, 0.5, size=(trials, 1)) * (rng.random((trials, 1)) < 0.5)
    share = np.arange(1, epochs + 1) / epochs
    return np.minimum(1.0, share / np.maximum(ramp, share[0]))


def _alive(
    rng: np.random.Generator, fate: np.ndarray, epoch: np.ndarray, weight: np.ndarray, epochs: int
) -> np.ndarray:
    """True where some unit is active: (trials, epochs)."""
    delay = np.ceil(epochs * rng.uniform(0, 0.05, size=fate.shape))
    dies = 1 + (weight < rng.uniform(0.3, 1.0, size=fate.shape)).sum(axis=1, keepdims=True) + delay
    collapses = np.isin(fate, ["collapsed", "recovering"])
    wakes = np.ceil(epochs * rng.uniform(0.01, 0.03, size=fate.shape)) * (fate == "slow")
    returns = dies + np.ceil(epochs * rng.uniform(0.1, 0.3, size=fate.shape))
    dead = collapses & (epoch >= dies) & ~((fate == "recovering") & (epoch >= returns))
    return ~dead & (epoch > wakes)
