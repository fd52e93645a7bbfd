"""Generated grids of patch embeddings, with known factors of variation.

Twelve factors per sample drive four smooth fields on the 6 × 6 grid (rows and columns at −1 … 1):

    two bumps   height (signed), row, column       height · exp(−distance² / (2 · 0.6²))
    two waves   height (signed), orientation, frequency
                                                   height · sin(frequency · (r cos θ + c sin θ))

Every channel is a fixed random mixture of the four fields, plus iid noise, plus, in every other channel, a weak
trace of the position on the grid, as convolutional encoders leak through their padding. Channels are then scaled
to variances spaced evenly on a log scale from 100 down to 0.001, in random order, with means other than zero. The
label tells the signs of the two waves: four classes.

In the fixed space (`trainables.data.normalise`), of the held-out variance: knowing the factors explains 0.66, the
rest is noise; 64 principal components of the training samples explain 0.63, 4 of them 0.26.
"""

from __future__ import annotations

import numpy as np

from trainables.data.samples import Samples

COUNT, SIDE, CHANNELS = 512, 6, 512
FACTORS = (
    *("bump 1 height", "bump 1 row", "bump 1 column"),
    *("bump 2 height", "bump 2 row", "bump 2 column"),
    *("wave 1 height", "wave 1 orientation", "wave 1 frequency"),
    *("wave 2 height", "wave 2 orientation", "wave 2 frequency"),
)
BUMP_WIDTH = 0.6  # of the grid's half width
NOISE_POWER = 0.4  # of the signal's, per channel
TRACE_POWER = 0.3  # of the signal's, in every other channel
PADDING_REACH = 2.0  # nodes
VARIANCES = (100.0, 0.001)


def embedded_grids(seed: int = 0) -> Samples:
    """512 samples of 6 × 6 × 512, labelled by the signs of the two waves."""
    factors = embedded_factors(seed)
    signs = np.where(factors > 0, "+", "−")
    labels = [f"waves {first} {second}" for first, second in zip(signs[:, 6], signs[:, 9], strict=True)]
    return Samples(_render(factors, _stream(seed, "embedding")), "embedded", labels, embedded=True)


def embedded_factors(seed: int = 0) -> np.ndarray:
    """The true factors, (512, 12), columns as in `FACTORS`; angles in radians, frequencies in radians per half width.

    Heights are uniform in ±[0.5, 1.5], bumps' places in ±0.8, orientations within 45° of the rows' direction (wave
    1) and of the columns' (wave 2), frequencies in [1, 4].
    """
    rng = _stream(seed, "factors")
    heights = rng.choice([-1.0, 1.0], (COUNT, 4)) * rng.uniform(0.5, 1.5, (COUNT, 4))
    places = rng.uniform(-0.8, 0.8, (COUNT, 4))
    angles = rng.uniform([-np.pi / 4, np.pi / 4], [np.pi / 4, 3 * np.pi / 4], (COUNT, 2))
    frequencies = rng.uniform(1.0, 4.0, (COUNT, 2))
    waves = np.stack([heights[:, 2:], angles, frequencies], axis=2)
    return np.concatenate(
        [heights[:, :1], places[:, :2], heights[:, 1:2], places[:, 2:], *waves.swapaxes(0, 1)], axis=1
    )


def _stream(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, *purpose.encode()])


def _render(factors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, 6, 6, 512) float32."""
    loadings = rng.standard_normal((4, CHANNELS))
    x = (_fields(factors) @ loadings).astype(np.float32)
    amplitude = np.sqrt(x.var(axis=(1, 2), dtype=np.float64).mean(axis=0))
    x += rng.standard_normal(x.shape, np.float32) * (np.sqrt(NOISE_POWER) * amplitude).astype(np.float32)
    x[..., ::2] += (_position_traces(rng) * (np.sqrt(TRACE_POWER) * amplitude[::2])).astype(np.float32)
    variance = rng.permutation(np.geomspace(*VARIANCES, CHANNELS))
    mean = rng.standard_normal(CHANNELS) * 2.0 * np.sqrt(variance)
    scale = np.sqrt(variance) / x.std(axis=(0, 1, 2), dtype=np.float64)
    offset = mean - x.mean(axis=(0, 1, 2), dtype=np.float64) * scale
    x *= scale.astype(np.float32)
    x += offset.astype(np.float32)
    return x


def _fields(factors: np.ndarray) -> np.ndarray:
    """(N, 6, 6, 4): two bumps and two waves, each of unit power on average."""
    side = np.linspace(-1.0, 1.0, SIDE)
    row, column = np.meshgrid(side, side, indexing="ij")
    fields: list[np.ndarray] = []
    for height, first, second in factors.T.reshape(4, 3, -1, 1, 1):
        if len(fields) < 2:
            distance = np.square(row - first) + np.square(column - second)
            fields.append(height * np.exp(-distance / (2 * BUMP_WIDTH**2)))
        else:
            fields.append(height * np.sin(second * (row * np.cos(first) + column * np.sin(first))))
    stacked = np.stack(fields, axis=-1)
    return stacked / np.sqrt(stacked.var(axis=(1, 2)).mean(axis=0))


def _position_traces(rng: np.random.Generator) -> np.ndarray:
    """(6, 6, 256) of unit variance over the grid: mixtures of what leaks in from the four borders."""
    index = np.arange(SIDE)
    near, far = np.exp(-index / PADDING_REACH), np.exp(-index[::-1] / PADDING_REACH)
    borders = [np.broadcast_to(leak, (SIDE, SIDE)) for side in (near, far) for leak in (side[:, None], side)]
    traces = np.stack(borders, axis=-1) @ rng.standard_normal((4, CHANNELS // 2))
    return traces / traces.std(axis=(0, 1))
