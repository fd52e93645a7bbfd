"""conv_vae: a convolutional VAE for grey 256 × 256 images with an 8 × 8 latent.

Its change log has six rounds. "Documented" is the state after the last; "before" the state before the first: a
plain autoencoder by its loss (sums over pixels and latent dimensions, KL weight 0.001). Every state between is a
setting of these hyperparameters:

    1  skip_batch_norm, latent_channels 16, init kaiming, reduction mean with kl_weight_max 1, grad_clip_norm 1;
       as applied it gave NaN from the first epoch
    2  head_init near_zero, logvar_clamp 10
    3  up_mode resize, free_bits 0.25
    4  (outputs of runs kept apart; not a hyperparameter)
    5  kl_weight_max 0.5, free_bits 0.05, kl_warmup 40 to 80 epochs instead of 20, latent_channels 8,
       sample_in_eval; the log finds kl_weight_max at 0.1 here, without saying since when
    6  up_depth 2, decoder_activation leaky_relu, attention, loss_scales 3, spectral_loss_weight 0.1

The log does not say either when its reconstruction loss became L1 + SSIM: the values of rounds 2 and 3 (0.228 at
step 0, 0.006 later) are those of an MSE; round 6 found L1 + SSIM in place. Shares of the budget stand where it
counts epochs, of 200.
"""

from collections.abc import Mapping

from search_spaces.space import Parameter, SearchSpace, Value, number
from search_spaces.study import Changes, Claim, Study
from search_spaces.target import Target
from search_spaces.training import training

_OURS = "not stated; this project's choice"
_LATENT_SIDE = 8
_SMALLEST_SCALE = 8  # pixels a side; SSIM's window does not fit into less


def _power_of_two(config: Mapping[str, Value]) -> str | None:
    side = int(number(config["image_size"]))
    if side & (side - 1):
        return f"image_size={side}: expected a power of two, to be halved down to {_LATENT_SIDE} × {_LATENT_SIDE}"
    return None


def _scales_fit(config: Mapping[str, Value]) -> str | None:
    scales, side = number(config["loss_scales"]), number(config["image_size"])
    if side < _SMALLEST_SCALE * 2 ** (scales - 1):
        return (
            f"loss_scales={scales}: expected fewer with image_size={side}, whose smallest scale must have at least "
            f"{_SMALLEST_SCALE} pixels a side"
        )
    return None


SPACE = SearchSpace(
    model="conv_vae",
    kl_weight="kl_weight_max",
    metrics=(
        "val/elbo_gain",
        "val/generation_gap",
        "val/ssim",
        "val/psnr",
        "val/l1",
        "val/mse",
        "val/r2",
        "health/checkerboard",
        "health/au",
        "health/kl_raw",
        "health/mi",
        "health/z_gain",
    ),
    epochs=200,
    rules=(_power_of_two, _scales_fit),
    targets=(
        Target(
            "val/reconstruction",
            "the decoder learns",
            "round 3: 0.027 → 0.006, of a mean squared error; the log gives no number for its later loss",
            high=0.006,
            when={"reconstruction": "mse", "reduction": "mean"},
        ),
    ),
    parameters=(
        Parameter(
            "kl_weight_max",
            "log",
            default=0.5,
            baseline=0.001,
            low=0.05,
            high=1.0,
            doc="weight of the KL term after its warm-up; mean over latent dimensions unless reduction is sum",
            source="round 5: 0.1 → 0.5; round 1: 0.001 with sums",
        ),
        Parameter(
            "free_bits",
            "choice",
            default=0.05,
            baseline=0.0,
            choices=(0.0, 0.05, 0.25),
            unit="nats per sample and dimension",
            doc="KL of a dimension below this is not penalised",
            source="round 3: 0.25, where a KL that stays on this floor is normal early; round 5: none or 0.05",
        ),
        Parameter(
            "kl_warmup",
            "float",
            default=0.2,
            baseline=0.1,
            low=0.1,
            high=0.4,
            maximum=1.0,
            unit="share of the budget",
            doc="the KL weight rises linearly from 0 over this share",
            source="round 5: 20 epochs → 80, applied as 40",
        ),
        Parameter(
            "latent_channels",
            "choice",
            default=8,
            baseline=64,
            choices=(4, 8, 16, 64),
            minimum=1,
            doc="channels of the 8 × 8 latent",
            source="round 1: 64 → 16; round 5: 16 → 8",
            memory=True,
        ),
        Parameter(
            "spectral_loss_weight",
            "float",
            default=0.1,
            baseline=0.0,
            low=0.0,
            high=0.3,
            doc="weight of the mean modulus of the error's Fourier coefficients",
            source="round 6: 0.1; range derived",
        ),
        Parameter(
            "loss_scales",
            "choice",
            default=3,
            baseline=1,
            choices=(1, 2, 3),
            minimum=1,
            maximum=5,
            doc="sides at which the reconstruction is compared: 1, 1/2, 1/4, … of the image",
            source="round 6: 1 → 3",
        ),
        training("learning_rate", doc="AdamW step size", high=2e-3),
        Parameter(
            "reconstruction",
            "fixed",
            default="l1_ssim",
            baseline="mse",
            doc="reconstruction loss: mse, or l1_ssim, mean absolute error + 1 − SSIM",
            source="round 6 names L1 + SSIM; the values of rounds 2 and 3 are an MSE's",
        ),
        Parameter(
            "reduction",
            "fixed",
            default="mean",
            baseline="sum",
            doc="of the losses, over pixels and over latent dimensions: mean or sum",
            source="round 1",
        ),
        Parameter(
            "up_mode",
            "fixed",
            default="resize",
            baseline="transposed",
            doc="upsampling in the decoder: resize, bilinear and a convolution, or transposed convolution",
            source="round 3",
        ),
        Parameter(
            "up_depth",
            "fixed",
            default=2,
            baseline=1,
            minimum=1,
            maximum=4,
            doc="convolutions of a decoder block",
            source="round 6",
        ),
        Parameter(
            "decoder_activation",
            "fixed",
            default="leaky_relu",
            baseline="relu",
            doc="activation in the decoder: leaky_relu (0.2) or relu",
            source="round 6",
        ),
        Parameter(
            "attention",
            "fixed",
            default=True,
            baseline=False,
            doc="self-attention at 16 × 16, in encoder and decoder",
            source="round 6",
        ),
        Parameter(
            "skip_batch_norm",
            "fixed",
            default=True,
            baseline=False,
            doc="batch norm on the skip branches of the residual blocks",
            source="round 1",
        ),
        Parameter(
            "init",
            "fixed",
            default="kaiming",
            baseline="default",
            doc="weights of the convolutions at first: kaiming (normal, by outputs), or PyTorch's default",
            source="round 1",
        ),
        Parameter(
            "head_init",
            "fixed",
            default="near_zero",
            baseline="as_init",
            doc="weights of the two posterior heads at first: near_zero (xavier, gain 0.01), or as init says",
            source="round 2",
        ),
        Parameter(
            "logvar_clamp",
            "fixed",
            default=10.0,
            baseline=None,
            minimum=0.1,
            maximum=80.0,
            doc="the posterior's log variance is kept within ± this",
            source="round 2",
        ),
        Parameter(
            "sample_in_eval",
            "fixed",
            default=True,
            baseline=False,
            doc="validation losses decode a sample; off: the posterior's mean. The score always decodes a sample",
            source="round 5",
        ),
        training("grad_clip_norm", baseline=None, source="round 1", unsearched=()),
        Parameter(
            "width",
            "fixed",
            default=32,
            baseline=32,
            demo=4,
            minimum=1,
            maximum=512,
            doc="channels where the side is 128; twice as many at half the side, so 8 times at the attention's 16",
            source="round 6: 256 channels at 16 × 16",
            memory=True,
        ),
        Parameter(
            "image_size",
            "fixed",
            default=256,
            baseline=256,
            demo=64,
            data=True,
            minimum=32,
            maximum=2048,
            unit="pixels a side",
            doc="images are brought to this side",
            source="change log: 65,536 pixels",
            memory=True,
        ),
        training("batch_size", default=16),
    ),
)

_ROUNDS: dict[str, Changes] = {
    "round 1": {
        "skip_batch_norm": True,
        "latent_channels": 16,
        "init": "kaiming",
        "reduction": "mean",
        "kl_weight_max": 1.0,
        "grad_clip_norm": 1.0,
    },
    "round 2": {"head_init": "near_zero", "logvar_clamp": 10.0},
    "round 3": {"up_mode": "resize", "free_bits": 0.25},
    "changed before round 5": {"kl_weight_max": 0.1, "reconstruction": "l1_ssim"},
    "round 5": {
        "kl_weight_max": 0.5,
        "free_bits": 0.05,
        "kl_warmup": 0.2,
        "latent_channels": 8,
        "sample_in_eval": True,
    },
    "round 6": {
        "up_depth": 2,
        "decoder_activation": "leaky_relu",
        "attention": True,
        "loss_scales": 3,
        "spectral_loss_weight": 0.1,
    },
}


def _after(last: str) -> Changes:
    """Every change up to round `last`."""
    names = list(_ROUNDS)
    return {key: value for name in names[: names.index(last) + 1] for key, value in _ROUNDS[name].items()}


STUDIES = (
    Study("rounds", "the change log's rounds, each on top of those before", "change log", "ladder", _ROUNDS),
    Study(
        "round 5",
        "its five recommendations, each alone",
        "round 5",
        "one-at-a-time",
        {
            "P0 kl_weight_max 0.5": {"kl_weight_max": 0.5},
            "P1 free_bits 0.05": {"free_bits": 0.05},
            "P1 no free bits": {"free_bits": 0.0},
            "P1 kl_warmup 80 epochs": {"kl_warmup": 0.4},
            "P2 latent_channels 8": {"latent_channels": 8},
            "P3 always sample": {"sample_in_eval": True},
        },
        changes=_after("changed before round 5"),
    ),
    Study(
        "round 6",
        "its changes, each left out of the documented configuration",
        "round 6",
        "leave-one-out",
        {name: {name: value} for name, value in _ROUNDS["round 6"].items()},
        changes=_after("round 5"),
    ),
)

CLAIMS = (
    Claim(
        "Means in place of sums, with kl_weight_max 1, make prior samples resemble the data",
        "round 1",
        {},
        {"reduction": "mean", "kl_weight_max": 1.0},
        "val/generation_gap",
        "down",
        "baseline",
    ),
    Claim(
        "16 latent channels sample better than 64",
        "round 1",
        {"latent_channels": 64},
        {"latent_channels": 16},
        "val/generation_gap",
        "down",
    ),
    Claim(
        "Batch norm on the skip branches helps",
        "round 1",
        {"skip_batch_norm": False},
        {"skip_batch_norm": True},
        "val/elbo_gain",
        "up",
    ),
    Claim("Kaiming beats the default weights", "round 1", {"init": "default"}, {}, "val/elbo_gain", "up"),
    Claim(
        "Posterior heads near zero and a clamp save what Kaiming's heads ruin",
        "round 2",
        {"head_init": "as_init", "logvar_clamp": None},
        {},
        "val/elbo_gain",
        "up",
    ),
    Claim(
        "Resizing leaves no checkerboard where transposed convolution paints one",
        "round 3",
        {"up_mode": "transposed"},
        {"up_mode": "resize"},
        "health/checkerboard",
        "down",
    ),
    Claim(
        "Free bits keep the latent in use",
        "round 3",
        {"free_bits": 0.0},
        {"free_bits": 0.25},
        "health/z_gain",
        "up",
    ),
    Claim(
        "Free bits keep prior samples from all looking the same",
        "round 3",
        {"free_bits": 0.0},
        {"free_bits": 0.25},
        "val/sample_diversity",
        "up",
    ),
    Claim(
        "Raising kl_weight_max from 0.1 to 0.5 removes ghosts from prior samples",
        "round 5, P0",
        {"kl_weight_max": 0.1},
        {"kl_weight_max": 0.5},
        "val/generation_gap",
        "down",
    ),
    Claim(
        "Raising kl_weight_max from 0.1 to 0.5 costs some reconstruction",
        "round 5",
        {"kl_weight_max": 0.1},
        {"kl_weight_max": 0.5},
        "val/l1",
        "up",
    ),
    Claim(
        "Fewer free bits sample better",
        "round 5, P1",
        {"free_bits": 0.25},
        {"free_bits": 0.05},
        "val/generation_gap",
        "down",
    ),
    Claim(
        "A longer KL warm-up samples better",
        "round 5, P1",
        {"kl_warmup": 0.1},
        {"kl_warmup": 0.4},
        "val/generation_gap",
        "down",
    ),
    Claim(
        "8 latent channels sample better than 16",
        "round 5, P2",
        {"latent_channels": 16},
        {"latent_channels": 8},
        "val/generation_gap",
        "down",
    ),
    Claim(
        "Validation by the decoded mean hides part of the error",
        "round 5, P3",
        {"sample_in_eval": False},
        {"sample_in_eval": True},
        "val/reconstruction",
        "up",
    ),
    Claim("Two convolutions a block sharpen", "round 6", {"up_depth": 1}, {"up_depth": 2}, "val/ssim", "up"),
    Claim(
        "A leaky ReLU in the decoder generates better",
        "round 6",
        {"decoder_activation": "relu"},
        {"decoder_activation": "leaky_relu"},
        "val/generation_gap",
        "down",
    ),
    Claim(
        "Attention at 16 × 16 gets the layout right",
        "round 6",
        {"attention": False},
        {"attention": True},
        "val/generation_gap",
        "down",
    ),
    Claim("Three scales improve the coarse structure", "round 6", {"loss_scales": 1}, {}, "val/mse", "down"),
    Claim(
        "A spectral loss keeps high frequencies",
        "round 6",
        {"spectral_loss_weight": 0.0},
        {"spectral_loss_weight": 0.1},
        "val/spectral",
        "down",
    ),
)
