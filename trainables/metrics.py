"""What a metric is, and what each says: one definition for worker, driver, mirror, analysis and documents. No torch.

A metric's name is flat and slash-separated, with its family in front; a part may follow, as in `val/ssim/t1`, the
same for one modality. Models may have metrics that are not described here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

VALIDATION, TEST = "val/", "test/"
ENVIRONMENT = "environment/"  # of the environment that is held out …
TEST_ENVIRONMENT = "test_environment"  # … by this hyperparameter
MEASURED = ("train/", VALIDATION, TEST, ENVIRONMENT, "health/")  # what a repetition must reproduce
FAMILIES = (*MEASURED, "schedule/", "time/", "memory/")
HYPERPARAMETERS = "config/"  # columns of the epoch log


class Direction(StrEnum):
    """Which way a metric is better."""

    UP = "up"
    DOWN = "down"
    NONE = ""  # neither, or it depends


@dataclass(frozen=True)
class Metric:
    """One metric.

    Args:
        name: as it is logged.
        label: a column header, an axis.
        meaning: half a sentence.
        unit: '' for a number without one.
        direction: which way is better.
    """

    name: str
    label: str
    meaning: str
    unit: str = ""
    direction: Direction = Direction.NONE


def of_older_program(names: Iterable[str], holds_out: bool) -> dict[str, str]:
    """New names by old: metrics of the environment that is held out were called test/ when there was no test part."""
    names = list(names)
    if not holds_out or any(name.startswith(ENVIRONMENT) for name in names):
        return {}
    return {name: ENVIRONMENT + name.removeprefix(TEST) for name in names if name.startswith(TEST)}


def is_metric(name: str) -> bool:
    """True for a column of a log that holds a metric; hyperparameters and what names the epoch are none."""
    return name.startswith(FAMILIES)


def is_measured(name: str) -> bool:
    """True for a metric that follows from configuration, seed and data alone, unlike times and memory."""
    return name.startswith(MEASURED)


def as_trained(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the epoch log as its worker had it: without hyperparameters, trial and empty cells."""
    return {
        name: value
        for name, value in row.items()
        if value is not None and name != "trial" and not name.startswith(HYPERPARAMETERS)
    }


METRICS = (  # in reading order
    Metric(
        "val/elbo_gain",
        "ELBO gain",
        "the evidence bound with the decoder variance of every channel calibrated, minus that of the best "
        "constant or of the model's own decodes of other samples' z, whichever leaves less, in nats per data "
        "dimension: no loss weight rescales it, a decoder that ignores z scores at most 0, and KL that buys "
        "no accuracy costs",
        "nats per data dimension",
        Direction.UP,
    ),
    Metric(
        "val/r2",
        "R²",
        "the share of the held-out variance about the mean sample that the reconstruction explains",
        direction=Direction.UP,
    ),
    Metric(
        "val/accuracy",
        "accuracy",
        "the share of held-out labels that the classifier on the latent finds",
        direction=Direction.UP,
    ),
    Metric(
        "val/ssim",
        "SSIM",
        "structural similarity of the reconstruction and the held-out sample, 1 where they are the same",
        direction=Direction.UP,
    ),
    Metric(
        "val/psnr",
        "PSNR",
        "peak signal-to-noise ratio of the held-out reconstruction, in dB",
        "dB",
        Direction.UP,
    ),
    Metric(
        "val/pearson",
        "Pearson",
        "the mean correlation of a held-out sample and its reconstruction",
        direction=Direction.UP,
    ),
    Metric("val/l1", "L1", "the mean absolute error of the held-out reconstruction", direction=Direction.DOWN),
    Metric(
        "val/cosine_similarity",
        "cosine similarity",
        "the mean cosine between a held-out embedding and its reconstruction",
        direction=Direction.UP,
    ),
    Metric(
        "val/permutation_accuracy",
        "permutation accuracy",
        "the share of held-out nodes put back at their true position",
        direction=Direction.UP,
    ),
    Metric(
        "val/generation_gap",
        "generation gap",
        "kernel distance between samples drawn from the prior and held-out images, on fixed features; 0 where "
        "they cannot be told apart",
        direction=Direction.DOWN,
    ),
    Metric(
        "val/sample_diversity",
        "sample diversity",
        "mean distance of two samples drawn from the prior, in units of that of two real images; 0: all are the same",
        direction=Direction.UP,
    ),
    Metric(
        "val/vessels",
        "vessels",
        "correlation of where the held-out image and its reconstruction have dark lines, in the green channel "
        "inside the field of view",
        direction=Direction.UP,
    ),
    Metric(
        "val/colour_difference",
        "colour difference",
        "mean CIE ΔE of a held-out image and its reconstruction inside the field of view; 2.3 is just noticeable",
        "ΔE",
        Direction.DOWN,
    ),
    Metric(
        "val/ssim_sampled",
        "SSIM, sampled",
        "structural similarity of the reconstruction from a sampled latent",
        direction=Direction.UP,
    ),
    Metric(
        "val/psnr_sampled",
        "PSNR, sampled",
        "PSNR of the reconstruction from a sampled latent, in dB",
        "dB",
        Direction.UP,
    ),
    Metric(
        "val/loss",
        "validation loss",
        "the loss on held-out data with the final weights",
        direction=Direction.DOWN,
    ),
    Metric(
        "val/mse",
        "MSE",
        "the mean squared error of decoded samples of the latent on held-out data, in the fixed space of the model",
        direction=Direction.DOWN,
    ),
    Metric("val/mse_constant", "MSE of a constant", "the error of the best constant for the held-out data"),
    Metric("val/mse_swapped", "MSE, z swapped", "the error of the decodes of the other samples' z"),
    Metric(
        "health/au",
        "AU",
        "active units: latent dimensions whose posterior mean varies over the data (variance above 0.01)",
        "units",
    ),
    Metric("health/au_frac", "AU share", "the share of the latent dimensions that are active"),
    Metric(
        "health/kl_raw",
        "raw KL",
        "KL to the prior without free bits, nats per sample, summed over dimensions",
        "nats per sample",
    ),
    Metric(
        "health/kl_constrained",
        "constrained KL",
        "KL as the loss sees it: with free bits, nats per sample",
        "nats per sample",
    ),
    Metric(
        "health/kl_floor_frac",
        "KL on its floor",
        "the share of samples and dimensions whose KL does not exceed the free bits; 1 is normal early",
    ),
    Metric(
        "health/rate",
        "rate",
        "what the latent costs: raw KL, or the codes' cross-entropy under their counts in training, nats per sample",
        "nats per sample",
    ),
    Metric("health/mi", "MI", "mutual information of data and latent, nats; at most the raw KL", "nats"),
    Metric(
        "health/marginal_kl",
        "marginal KL",
        "KL of the latents of all samples together to the prior, nats",
        "nats",
    ),
    Metric(
        "health/z_gain",
        "z gain",
        "1 − error of the decodes of a sample's own z / that of the decodes of other samples' z, in the space "
        "the trial trains in; near 0 the decoder ignores z",
        direction=Direction.UP,
    ),
    Metric(
        "health/codebook_usage",
        "codebook usage",
        "the share of the codes in use over the whole evaluation set",
        direction=Direction.UP,
    ),
    Metric(
        "health/perplexity",
        "perplexity",
        "how many codes there would be, were all used equally often: exp(entropy)",
        "codes",
    ),
    Metric(
        "health/dead_codes",
        "dead codes",
        "codes that no position of the evaluation set uses",
        "codes",
        Direction.DOWN,
    ),
    Metric(
        "health/draws",
        "draws",
        "decoded samples of every posterior, whose mean is the reconstruction",
        "samples",
    ),
    Metric(
        "health/recon_mean",
        "MSE of the reconstruction",
        "the error of the mean of several decoded samples",
        direction=Direction.DOWN,
    ),
    Metric(
        "health/recon_mu",
        "MSE of decoded mu",
        "the error of the decodes of the first 16 posterior means",
        direction=Direction.DOWN,
    ),
    Metric("health/recon_z0", "MSE at z = 0", "the error of the reconstruction without the latent"),
    Metric(
        "health/recon_delta",
        "decoder's response",
        "root mean square change of the decoded image from z = 0 to z = mu, over the first 16 samples",
    ),
    Metric("health/recon_std", "diversity", "standard deviation of the reconstructions over samples"),
    Metric("health/mu_min", "smallest mu", "the smallest posterior mean of all samples and dimensions"),
    Metric("health/mu_max", "largest mu", "the largest posterior mean of all samples and dimensions"),
    Metric("health/logvar_min", "smallest logvar", "the smallest logarithm of a posterior variance"),
    Metric("health/logvar_max", "largest logvar", "the largest logarithm of a posterior variance"),
    Metric("health/mu_var_mean", "variance of mu", "mean variance of a posterior mean over the data"),
    Metric("health/logvar_mean", "mean logvar", "mean logarithm of the posterior variance"),
    Metric("health/z_std", "std of z", "standard deviation of sampled latents over the data"),
    Metric(
        "health/tc",
        "TC",
        "total correlation of the latent dimensions over the data, of the Gaussian with their covariance, "
        "nats; 0 where they are uncorrelated",
        "nats",
    ),
    Metric(
        "health/tc_mixture",
        "TC, mixture",
        "total correlation of the mixture of all posteriors beyond that of independent units, nats; blind "
        "where the posteriors do not overlap",
        "nats",
    ),
    Metric(
        "health/dw_kl",
        "dimension-wise KL",
        "KL of each dimension's own distribution over the data to the prior, summed, nats",
        "nats",
    ),
    Metric(
        "health/cov_mu_offdiag",
        "off-diagonal Cov(mu)",
        "squared covariances of the posterior means of different units, summed",
    ),
    Metric("health/cov_mu_diag_mean", "diagonal of Cov(mu)", "mean variance of a unit's posterior means"),
    Metric("health/mean_posterior_var", "posterior variance", "mean variance of a posterior"),
    Metric(
        "health/latent_correlation",
        "latent correlation",
        "mean absolute correlation of the posterior means of two units",
    ),
    Metric(
        "health/shift_sensitivity",
        "shift sensitivity",
        "root mean square change of a posterior mean when the volume moves by one voxel",
        direction=Direction.DOWN,
    ),
    Metric(
        "health/feature_mean",
        "feature mean",
        "mean of the embeddings as the trial trains on them; about 0 if the normalisation works",
    ),
    Metric(
        "health/feature_std",
        "feature std",
        "standard deviation of the embeddings as the trial trains on them; about 1 if the normalisation works",
    ),
    Metric(
        "val/vq_loss",
        "VQ loss",
        "the codes' part of the loss: commitment by its weight, and the codebook's term if any",
        direction=Direction.DOWN,
    ),
    Metric(
        "health/checkerboard",
        "checkerboard",
        "energy of generated images at the frequencies of upsampling grids beyond that around them, in units "
        "of real images'; about 0 without a grid",
        direction=Direction.DOWN,
    ),
    Metric(
        "train/share",
        "share of the loss",
        "the part of the training loss that this term makes, its weight included",
    ),
    Metric(
        "outcome/collapsed",
        "collapsed",
        "1 for a trial that ended collapsed, 0 for any other",
        direction=Direction.DOWN,
    ),
    Metric(
        "outcome/numeric",
        "numeric",
        "1 for a trial that ended with broken numbers, 0 for any other",
        direction=Direction.DOWN,
    ),
)
BY_NAME = {metric.name: metric for metric in METRICS}
