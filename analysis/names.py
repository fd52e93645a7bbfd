"""Names of metrics as people read them."""

from __future__ import annotations

from collections.abc import Iterable

HEALTH = (
    "health/au",
    "health/kl_raw",
    "health/mi",
    "health/z_gain",
    "health/codebook_usage",
    "health/perplexity",
    "health/dead_codes",
)

_LABELS = {
    "val/elbo_gain": "ELBO gain",
    "val/r2": "R²",
    "val/cosine_similarity": "cosine similarity",
    "val/permutation_accuracy": "permutation accuracy",
    "val/psnr": "PSNR",
    "val/ssim": "SSIM",
    "val/mse": "MSE",
    "health/au": "AU",
    "health/kl_raw": "raw KL",
    "health/mi": "MI",
    "health/z_gain": "z gain",
    "health/codebook_usage": "codebook usage",
}

_MEANINGS = {
    "val/elbo_gain": "the evidence bound with the decoder variance calibrated, minus that of a model that ignores z "
    "and predicts the training mean, in nats per data dimension: no loss weight rescales it, a collapsed model "
    "scores at most 0, and KL that buys no accuracy costs",
    "val/r2": "the share of the held-out variance that the reconstruction explains",
    "val/cosine_similarity": "the mean cosine between a held-out embedding and its reconstruction",
    "val/permutation_accuracy": "the share of held-out nodes put back at their true position",
    "val/mse": "the mean squared error of the held-out reconstruction, in the fixed space of the model",
    "health/au": "active units: latent dimensions whose posterior mean varies over the data (variance above 0.01)",
    "health/kl_raw": "KL to the prior without free bits, nats per sample, summed over dimensions",
    "health/mi": "mutual information of data and latent, nats",
    "health/z_gain": "1 − error with the code / error with z = 0; near 0 the decoder ignores z",
    "health/codebook_usage": "share of the codes in use over the whole validation set",
}


def order(metrics: Iterable[str]) -> list[str]:
    """Metrics in reading order: those described here first, the others by name."""
    known = list(_LABELS)
    return sorted(metrics, key=lambda metric: (known.index(metric) if metric in known else len(known), metric))


def label(metric: str) -> str:
    """A metric's short name: a column header, an axis."""
    return _LABELS.get(metric) or metric.partition("/")[2].replace("_", " ").replace("/", " ") or metric


def meaning(metric: str) -> str:
    """What a metric says, as half a sentence; '' for one not described here."""
    return _MEANINGS.get(metric, "")
