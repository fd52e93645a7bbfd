"""Names of metrics as people read them."""

from __future__ import annotations

from collections.abc import Iterable

from sweeps import course

HEALTH = (
    "health/au",
    "health/kl_raw",
    "health/mi",
    "health/z_gain",
    "health/codebook_usage",
    "health/perplexity",
    "health/dead_codes",
    "health/tc",
    "health/tc_mixture",
    "health/dw_kl",
    "health/cov_mu_offdiag",
    "health/latent_correlation",
    "health/shift_sensitivity",
    "health/checkerboard",
    "health/kl_floor_frac",
    "val/sample_diversity",
)

_NAMES = {  # in reading order: label and meaning
    "val/elbo_gain": (
        "ELBO gain",
        "the evidence bound with the decoder variance of every channel calibrated, minus that of the best constant "
        "or of the model's own decodes of other samples' z, whichever leaves less, in nats per data dimension: no "
        "loss weight rescales it, a decoder that ignores z scores at most 0, and KL that buys no accuracy costs",
    ),
    "val/r2": (
        "R²",
        "the share of the held-out variance about the mean sample that the reconstruction explains",
    ),
    "val/accuracy": ("accuracy", "the share of held-out labels that the classifier on the latent finds"),
    "val/ssim": (
        "SSIM",
        "structural similarity of the reconstruction and the held-out sample, 1 where they are the same",
    ),
    "val/psnr": ("PSNR", "peak signal-to-noise ratio of the held-out reconstruction, in dB"),
    "val/pearson": ("Pearson", "the mean correlation of a held-out sample and its reconstruction"),
    "val/l1": ("L1", "the mean absolute error of the held-out reconstruction"),
    "val/cosine_similarity": (
        "cosine similarity",
        "the mean cosine between a held-out embedding and its reconstruction",
    ),
    "val/permutation_accuracy": (
        "permutation accuracy",
        "the share of held-out nodes put back at their true position",
    ),
    "val/generation_gap": (
        "generation gap",
        "kernel distance between samples drawn from the prior and held-out images, on fixed features; 0 where they "
        "cannot be told apart",
    ),
    "val/sample_diversity": (
        "sample diversity",
        "mean distance of two samples drawn from the prior, in units of that of two real images; 0: all are the same",
    ),
    "val/vessels": (
        "vessels",
        "correlation of where the held-out image and its reconstruction have dark lines, in the green channel inside "
        "the field of view",
    ),
    "val/colour_difference": (
        "colour difference",
        "mean CIE ΔE of a held-out image and its reconstruction inside the field of view; 2.3 is just noticeable",
    ),
    "val/ssim_sampled": ("SSIM, sampled", "structural similarity of the reconstruction from a sampled latent"),
    "val/psnr_sampled": ("PSNR, sampled", "PSNR of the reconstruction from a sampled latent, in dB"),
    "val/loss": ("validation loss", "the loss on held-out data with the final weights"),
    "val/mse": (
        "MSE",
        "the mean squared error of decoded samples of the latent on held-out data, in the fixed space of the model",
    ),
    "val/mse_constant": ("MSE of a constant", "the error of the best constant for the held-out data"),
    "val/mse_swapped": ("MSE, z swapped", "the error of the decodes of the other samples' z"),
    "health/au": (
        "AU",
        "active units: latent dimensions whose posterior mean varies over the data (variance above 0.01)",
    ),
    "health/au_frac": ("AU share", "the share of the latent dimensions that are active"),
    "health/kl_raw": ("raw KL", "KL to the prior without free bits, nats per sample, summed over dimensions"),
    "health/kl_constrained": ("constrained KL", "KL as the loss sees it: with free bits, nats per sample"),
    "health/kl_floor_frac": (
        "KL on its floor",
        "the share of samples and dimensions whose KL does not exceed the free bits; 1 is normal early",
    ),
    "health/rate": (
        "rate",
        "what the latent costs: raw KL, or the codes' cross-entropy under their counts in training, nats per sample",
    ),
    "health/mi": ("MI", "mutual information of data and latent, nats; at most the raw KL"),
    "health/marginal_kl": ("marginal KL", "KL of the latents of all samples together to the prior, nats"),
    "health/z_gain": (
        "z gain",
        "1 − error of the decodes of a sample's own z / that of the decodes of other samples' z, in the space the "
        "trial trains in; near 0 the decoder ignores z",
    ),
    "health/codebook_usage": ("codebook usage", "the share of the codes in use over the whole evaluation set"),
    "health/perplexity": ("perplexity", "how many codes there would be, were all used equally often: exp(entropy)"),
    "health/dead_codes": ("dead codes", "codes that no position of the evaluation set uses"),
    "health/draws": ("draws", "decoded samples of every posterior, whose mean is the reconstruction"),
    "health/recon_mean": ("MSE of the reconstruction", "the error of the mean of several decoded samples"),
    "health/recon_mu": ("MSE of decoded mu", "the error of the reconstruction from the posterior mean"),
    "health/recon_z0": ("MSE at z = 0", "the error of the reconstruction without the latent"),
    "health/recon_delta": ("decoder's response", "root mean square change of the decoded image from z = 0 to z = mu"),
    "health/recon_std": ("diversity", "standard deviation of the reconstructions over samples"),
    "health/mu_min": ("smallest mu", "the smallest posterior mean of all samples and dimensions"),
    "health/mu_max": ("largest mu", "the largest posterior mean of all samples and dimensions"),
    "health/logvar_min": ("smallest logvar", "the smallest logarithm of a posterior variance"),
    "health/logvar_max": ("largest logvar", "the largest logarithm of a posterior variance"),
    "health/mu_var_mean": ("variance of mu", "mean variance of a posterior mean over the data"),
    "health/logvar_mean": ("mean logvar", "mean logarithm of the posterior variance"),
    "health/z_std": ("std of z", "standard deviation of sampled latents over the data"),
    "health/tc": (
        "TC",
        "total correlation of the latent dimensions over the data, of the Gaussian with their covariance, nats; 0 "
        "where they are uncorrelated",
    ),
    "health/tc_mixture": (
        "TC, mixture",
        "total correlation of the mixture of all posteriors beyond that of independent units, nats; blind where the "
        "posteriors do not overlap",
    ),
    "health/dw_kl": (
        "dimension-wise KL",
        "KL of each dimension's own distribution over the data to the prior, summed, nats",
    ),
    "health/cov_mu_offdiag": (
        "off-diagonal Cov(mu)",
        "squared covariances of the posterior means of different units, summed",
    ),
    "health/cov_mu_diag_mean": ("diagonal of Cov(mu)", "mean variance of a unit's posterior means"),
    "health/mean_posterior_var": ("posterior variance", "mean variance of a posterior"),
    "health/latent_correlation": (
        "latent correlation",
        "mean absolute correlation of the posterior means of two units",
    ),
    "health/shift_sensitivity": (
        "shift sensitivity",
        "root mean square change of a posterior mean when the volume moves by one voxel",
    ),
    "health/feature_mean": (
        "feature mean",
        "mean of the embeddings as the trial trains on them; about 0 if the normalisation works",
    ),
    "health/feature_std": (
        "feature std",
        "standard deviation of the embeddings as the trial trains on them; about 1 if the normalisation works",
    ),
    "val/vq_loss": (
        "VQ loss",
        "the codes' part of the loss: commitment by its weight, and the codebook's term if any",
    ),
    "health/checkerboard": (
        "checkerboard",
        "energy of generated images at the frequencies of upsampling grids beyond that around them, in units of real "
        "images'; about 0 without a grid",
    ),
    "train/share": ("share of the loss", "the part of the training loss that this term makes, its weight included"),
    "outcome/collapsed": ("collapsed", "1 for a trial that ended collapsed, 0 for any other"),
    "outcome/numeric": ("numeric", "1 for a trial that ended with broken numbers, 0 for any other"),
}
_PLACES = {metric: place for place, metric in enumerate(_NAMES)}
_TEST, _VALIDATION = "test/", "val/"


def order(metrics: Iterable[str]) -> list[str]:
    """Metrics in reading order: those described here first, each with its parts behind it, the others by name."""
    return sorted(metrics, key=lambda metric: (_PLACES.get(_family(metric)[0], len(_PLACES)), metric))


def label(metric: str) -> str:
    """A metric's short name: a column header, an axis."""
    if course.is_course(metric):
        return f"{label(course.base(metric))} {_when(metric)}"
    family, part = _family(metric)
    known = _NAMES[family][0] if family in _NAMES else family.partition("/")[2].replace("_", " ").replace("/", " ")
    held_out = "test " if metric.startswith(_TEST) else ""
    return " ".join(text for text in (f"{held_out}{known or metric}", part) if text)


def meaning(metric: str) -> str:
    """What a metric says, as half a sentence; '' for one not described here."""
    if course.is_course(metric):
        described = meaning(course.base(metric))
        return described and f"{described}; {_when(metric)}"
    family, part = _family(metric)
    if family not in _NAMES:
        return ""
    held_out = ", in the environment that was held out" if metric.startswith(_TEST) else ""
    return f"{_NAMES[family][1]}{f', for {part} alone' if part else ''}{held_out}"


def _when(metric: str) -> str:
    """Where in a trial's course: at 50 % of the budget."""
    places = [f"{share:.0%}" for share in course.shares(metric)]
    if len(places) == 1:
        return f"at {places[0]} of the budget"
    return f"its change from {places[0]} to {places[1]} of the budget"


def _family(metric: str) -> tuple[str, str]:
    """The metric that is described for `metric`, and the part of it: val/ssim and t1 of test/ssim/t1."""
    name = _VALIDATION + metric.removeprefix(_TEST) if metric.startswith(_TEST) else metric
    if name in _NAMES:
        return name, ""
    family, _, part = name.rpartition("/")
    return (family, part) if family in _NAMES else (name, "")
