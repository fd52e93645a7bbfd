"""vq_vae: a vector-quantised autoencoder of cell crops.

Values are those of the model's improvement notes: "before" is the model they found, "documented" has every
improvement. Of the values before them the notes give few; a source says "before not stated" where this project chose
one, from the notes' own words (lower, larger) or from what is usual.
Two pieces of their advice have no counterpart. Gradient checkpointing, which they say can be added, is not: it trades
time for memory that a smaller batch_size buys without code, and the quantiser, which moves its codes in the forward
pass, would move them twice. Mixed precision is: bfloat16 on CUDA.
"""

from collections.abc import Mapping
from pathlib import Path

from search_spaces.space import Parameter, SearchSpace, Value, number
from search_spaces.study import DOCUMENTED, Changes, Claim, Study
from search_spaces.target import Target
from search_spaces.training import training

_STATED = "improvement notes"
_DERIVED = "derived from the improvement notes"
_BEFORE_OURS = "improvement notes; before not stated"
_OURS = "not stated; this project's choice"
_CLAIMED = "not in the notes; this project's claim"
_GROUPS = 8  # of the group norms


def _width_fits_groups(config: Mapping[str, Value]) -> str | None:
    width = number(config["width"])
    return None if width % _GROUPS == 0 else f"width={width}: expected a multiple of {_GROUPS}"


def _weights_are_there(config: Mapping[str, Value]) -> str | None:
    path = config["perceptual_weights"]
    return None if path is None or Path(str(path)).is_file() else f"perceptual_weights={path}: expected a file"


SPACE = SearchSpace(
    model="vq_vae",
    rules=(_width_fits_groups, _weights_are_there),
    demo_epochs=24,
    metrics=(
        "val/elbo_gain",
        "val/psnr",
        "val/ssim",
        "val/pearson",
        "val/mse",
        "health/codebook_usage",
        "health/perplexity",
        "health/z_gain",
    ),
    targets=(
        Target("health/codebook_usage", "the codebook is used", "improvement notes: under 10 % → over 80 %", low=0.8),
        Target("val/psnr", "reconstructions are good, in dB", "improvement notes: under 10 → over 25 dB", low=25.0),
        Target("val/ssim", "reconstructions have the structure", "improvement notes: under 0.3 → over 0.8", low=0.8),
        Target(
            "val/vq_loss",
            "the codes' part of the loss is balanced",
            "improvement notes: about 0.0002 → 0.1 to 1.0, weighted by commitment_cost",
            low=0.1,
            high=1.0,
        ),
        Target(
            "val/reconstruction",
            "the squared error is balanced",
            "improvement notes: about 2 million → 0.01 to 0.1; less is no fault. Before its weight",
            high=0.1,
        ),
    ),
    parameters=(
        Parameter(
            "embedding_dim",
            "choice",
            default=256,
            baseline=512,
            choices=(64, 128, 256, 512),
            minimum=1,
            maximum=4096,
            doc="dimensions of a code",
            source="512 → 256 stated; range derived",
            memory=True,
        ),
        Parameter(
            "num_embeddings",
            "choice",
            default=512,
            baseline=1024,
            choices=(256, 512, 1024),
            minimum=2,
            maximum=65536,
            doc="codes in the codebook",
            source="reduced to 512; before not stated; range derived",
            memory=True,
        ),
        Parameter(
            "commitment_cost",
            "log",
            default=0.5,
            baseline=0.25,
            low=0.1,
            high=2.0,
            doc="weight of the squared distance of the encodings to their codes",
            source="raised to 0.5; before not stated, 0.25 is usual; range of van den Oord et al. 2017",
        ),
        Parameter(
            "ema_decay",
            "float",
            default=0.97,
            baseline=0.97,
            low=0.95,
            high=0.999,
            minimum=0.5,
            maximum=0.99999,
            when=("ema", True),
            doc="of the codebook's moving averages, per step; dead codes are reset after about 1 / (1 − this) steps",
            source="moving averages stated, not their decay; range derived",
        ),
        training(
            "learning_rate",
            default=1e-4,
            baseline=1e-3,
            doc="step size; on the embedded data the larger one, for a demo has a few hundred steps",
            source="1e-3 → 1e-4 stated; range derived",
            low=1e-5,
            high=1e-3,
            demo=1e-3,
        ),
        training(
            "batch_size",
            kind="choice",
            default=16,
            baseline=8,
            source="increased to 16; before not stated; range derived",
            choices=(8, 16, 32),
        ),
        Parameter(
            "reconstruction_loss_weight",
            "float",
            default=2.0,
            baseline=1.0,
            low=0.5,
            high=4.0,
            doc="weight of the squared error",
            source="2.0 stated; range derived",
        ),
        Parameter(
            "perceptual_loss_weight",
            "float",
            default=0.1,
            baseline=0.0,
            low=0.0,
            high=0.5,
            doc="weight of the distance of VGG features at four scales",
            source="0 → 0.1 stated; range derived",
        ),
        training(
            "lr_schedule",
            kind="choice",
            default="cosine",
            baseline="constant",
            source=_STATED,
            choices=("cosine", "step", "plateau"),
            unsearched=("constant",),
        ),
        Parameter(
            "normalize_method",
            "choice",
            default="robust",
            baseline="zscore",
            choices=("robust", "zscore", "minmax"),
            doc="scale of an image's channel by its content: 5th to 95th percentile, mean and standard deviation, or "
            "smallest to largest value",
            source=_STATED,
        ),
        training(
            "grad_clip_norm",
            kind="choice",
            default=0.5,
            baseline=None,
            source="0.5 stated; range derived",
            choices=(0.5, 1.0),
            unsearched=(),
        ),
        Parameter(
            "padding",
            "fixed",
            default="reflect",
            baseline="zeros",
            doc="what surrounds a crop up to image_size: reflect, its reflections, or zeros, of the raw intensities; "
            "neither has weight in scores and measures",
            source=_STATED,
        ),
        Parameter(
            "activation",
            "fixed",
            default="relu",
            baseline="relu",
            unsearched=("leaky_relu",),
            doc="activation of encoder and decoder: relu or leaky_relu (0.2)",
            source="relu in the improvement notes' configuration",
        ),
        Parameter(
            "stride_first",
            "fixed",
            default=2,
            baseline=3,
            minimum=1,
            maximum=8,
            doc="stride of the first convolution; that of the second is 2",
            source=_STATED,
        ),
        Parameter(
            "residual",
            "fixed",
            default=True,
            baseline=False,
            doc="residual connections in the blocks of encoder and decoder",
            source=_STATED,
        ),
        Parameter(
            "attention",
            "fixed",
            default=True,
            baseline=False,
            doc="self-attention at the resolution of the codes, in encoder and decoder",
            source=_STATED,
        ),
        Parameter(
            "skip_drop",
            "fixed",
            default=0.3,
            baseline=0.0,
            minimum=0.0,
            maximum=1.0,
            unit="share of the training batches",
            doc="trains without skip connections, for the score is that of the codes alone",
            source=_OURS,
        ),
        Parameter(
            "skip_connections",
            "fixed",
            default="details",
            baseline="none",
            unsearched=("features",),
            doc="what the decoder gets from the encoder beside the codes: none, the features as they are, or their "
            "details, what the grid of the codes cannot hold",
            source="improvement notes: intermediate features are stored for the decoder, which is `features`; with "
            "those the codes fall idle, so `details` is this project's default",
        ),
        Parameter(
            "ema",
            "fixed",
            default=True,
            baseline=False,
            doc="codes are moving averages of their encodings; off: parameters moved by a codebook loss of weight 1",
            source=_STATED,
        ),
        Parameter(
            "reset_dead_codes",
            "fixed",
            default=True,
            baseline=False,
            doc="codes that are hardly used are put onto random encodings of the batch",
            source=_STATED,
        ),
        Parameter(
            "codebook_init",
            "fixed",
            default="normal",
            baseline="uniform",
            doc="codes at first: normal, of variance 1, or uniform, within ± 1 / num_embeddings",
            source=_STATED,
        ),
        Parameter(
            "content_weight",
            "fixed",
            default=5.0,
            baseline=1.0,
            doc="weight of the squared error of a pixel of the cell, where one of the background has 1",
            source="weighting by content stated; the value is this project's choice",
        ),
        Parameter(
            "reduction",
            "fixed",
            default="mean",
            baseline="sum",
            doc="of the squared error over a batch and its pixels: mean or sum",
            source="notes: reconstruction loss 2 million before",
        ),
        Parameter(
            "perceptual_weights",
            "fixed",
            default=None,
            baseline=None,
            doc="file of torchvision's vgg16 weights for the perceptual loss; none: random features",
            source="VGG stated; this project brings no weights",
        ),
        training("optimizer", baseline="adam", source=_BEFORE_OURS, unsearched=()),
        training(
            "weight_decay",
            baseline=0.0,
            doc="weight decay of the optimiser",
            source="with AdamW stated, not its value",
        ),
        training("early_stopping_patience", default=15, baseline=None, source=_STATED, unsearched=()),
        Parameter(
            "width",
            "fixed",
            default=64,
            baseline=64,
            demo=24,
            minimum=8,
            maximum=1024,
            doc="channels after the first convolution, half of those after the second; a multiple of 8",
            source=_OURS,
            memory=True,
        ),
        Parameter(
            "image_size",
            "fixed",
            default=128,
            baseline=128,
            demo=32,
            data=True,
            minimum=16,
            maximum=1024,
            unit="pixels a side",
            doc="crops are padded to this side, larger ones are shrunk to it",
            source=_OURS,
            memory=True,
        ),
    ),
)

_LOSS: Changes = {"reduction": "mean", "reconstruction_loss_weight": 2.0}
_DATA: Changes = {"normalize_method": "robust", "padding": "reflect", "content_weight": 5.0}
_NETWORK: Changes = {"stride_first": 2, "residual": True, "attention": True}
_SKIPS: Changes = {"skip_connections": "details", "skip_drop": DOCUMENTED}
_CODEBOOK: Changes = {
    "ema": True,
    "reset_dead_codes": True,
    "codebook_init": "normal",
    "commitment_cost": 0.5,
    "embedding_dim": 256,
    "num_embeddings": 512,
}
_PERCEPTUAL: Changes = {"perceptual_loss_weight": 0.1}
_TRAINING: Changes = {
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "lr_schedule": "cosine",
    "grad_clip_norm": 0.5,
    "batch_size": 16,
    "early_stopping_patience": 15,
    "learning_rate": DOCUMENTED,
}
_FIXES = {
    "loss scale": _LOSS,
    "normalisation and content": _DATA,
    "stride, residual blocks, attention": _NETWORK,
    "skip connections": _SKIPS,
    "codebook": _CODEBOOK,
    "perceptual loss": _PERCEPTUAL,
    "training": _TRAINING,
}
_ALL: dict[str, Value] = {name: value for fix in _FIXES.values() for name, value in fix.items()}

STUDIES = (
    Study("fixes", "the notes' improvements, added one by one", _STATED, "ladder", _FIXES),
    Study("without one", "all improvements but one", _STATED, "leave-one-out", _FIXES),
    Study(
        "parts",
        "single parts of the documented model put back",
        _STATED,
        "one-at-a-time",
        {
            "stride 3": {"stride_first": 3},
            "no residual blocks": {"residual": False},
            "no attention": {"attention": False},
            "no skip connections": {"skip_connections": "none"},
            "skip connections with all features": {"skip_connections": "features"},
            "codebook by gradient": {"ema": False},
            "no reset": {"reset_dead_codes": False},
            "no averages, no reset": {"ema": False, "reset_dead_codes": False},
            "uniform codes": {"codebook_init": "uniform"},
            "uniform codes, no reset": {"codebook_init": "uniform", "reset_dead_codes": False},
            "no perceptual loss": {"perceptual_loss_weight": 0.0},
            "no weight on content": {"content_weight": 1.0},
            "summed loss": {"reduction": "sum"},
        },
        "documented",
    ),
    Study(
        "normalisation",
        "the notes' three scales",
        _STATED,
        "one-at-a-time",
        {"z-score": {"normalize_method": "zscore"}, "min–max": {"normalize_method": "minmax"}},
        "documented",
    ),
)

CLAIMS = (
    Claim(
        "The improvements bring the codebook into use", _STATED, {}, _ALL, "health/codebook_usage", "up", "baseline"
    ),
    Claim(
        "The improvements raise PSNR, those aside that go past the codes",
        _STATED,
        {},
        _ALL | {"skip_connections": "none"},
        "val/psnr",
        "up",
        "baseline",
    ),
    Claim(
        "The improvements raise SSIM, those aside that go past the codes",
        _STATED,
        {},
        _ALL | {"skip_connections": "none"},
        "val/ssim",
        "up",
        "baseline",
    ),
    Claim("Moving averages use more codes", _STATED, {"ema": False}, {}, "health/codebook_usage", "up"),
    Claim("Resets leave fewer dead codes", _STATED, {"reset_dead_codes": False}, {}, "health/dead_codes", "down"),
    Claim(
        "Normal codes at first use more of them than uniform ones",
        _STATED,
        {"codebook_init": "uniform", "reset_dead_codes": False},
        {"codebook_init": "normal", "reset_dead_codes": False},
        "health/codebook_usage",
        "up",
    ),
    Claim("A smaller codebook serves better", _STATED, {"num_embeddings": 1024}, {}, "val/elbo_gain", "up"),
    Claim(
        "A higher commitment cost quantises better",
        _STATED,
        {"commitment_cost": 0.25},
        {},
        "val/quantisation_error",
        "down",
    ),
    Claim("Stride 2 keeps more than stride 3", _STATED, {"stride_first": 3}, {}, "val/psnr", "up"),
    Claim("Residual blocks preserve features", _STATED, {"residual": False}, {}, "val/psnr", "up"),
    Claim("Attention represents features better", _STATED, {"attention": False}, {}, "val/psnr", "up"),
    Claim(
        "Skip connections help more than by what they carry past the codes",
        _STATED,
        {"skip_connections": "none"},
        {},
        "val/elbo_gain",
        "up",
    ),
    Claim(
        "Skip connections with all features leave the codes idle",
        _CLAIMED,
        {"skip_connections": "none"},
        {"skip_connections": "features"},
        "health/z_gain",
        "down",
    ),
    Claim(
        "Skip connections with details alone keep the codes at work",
        _CLAIMED,
        {"skip_connections": "features"},
        {"skip_connections": "details"},
        "health/z_gain",
        "up",
    ),
    Claim("Robust normalisation beats z-score", _STATED, {"normalize_method": "zscore"}, {}, "val/psnr", "up"),
    Claim("Padding by reflection reduces artifacts", _STATED, {"padding": "zeros"}, {}, "val/ssim", "up"),
    Claim("Weighting content improves the cell", _STATED, {"content_weight": 1.0}, {}, "val/psnr", "up"),
    Claim("A perceptual loss improves structure", _STATED, {"perceptual_loss_weight": 0.0}, {}, "val/ssim", "up"),
    Claim("Means in place of sums balance the terms", _STATED, {"reduction": "sum"}, {}, "health/z_gain", "up"),
    Claim(
        "The lower learning rate is more stable",
        _STATED,
        {"learning_rate": 1e-3},
        {"learning_rate": 1e-4},
        "val/mse",
        "down",
    ),
    Claim("Larger batches have better gradients", _STATED, {"batch_size": 8}, {}, "val/psnr", "up"),
    Claim(
        "AdamW with weight decay beats Adam",
        _STATED,
        {"optimizer": "adam", "weight_decay": 0.0},
        {},
        "val/psnr",
        "up",
    ),
    Claim("Cosine annealing beats a constant rate", _STATED, {"lr_schedule": "constant"}, {}, "val/psnr", "up"),
    Claim("Clipped gradients keep training stable", _STATED, {"grad_clip_norm": None}, {}, "outcome/numeric", "down"),
    Claim(
        "If reconstructions are poor, raise reconstruction_loss_weight",
        _STATED,
        {},
        {"reconstruction_loss_weight": 4.0},
        "val/psnr",
        "up",
    ),
    Claim(
        "If reconstructions are poor, raise perceptual_loss_weight",
        _STATED,
        {},
        {"perceptual_loss_weight": 0.3},
        "val/ssim",
        "up",
    ),
    Claim(
        "If the VQ loss is too high, use more codes",
        _STATED,
        {},
        {"num_embeddings": 1024},
        "val/quantisation_error",
        "down",
    ),
    Claim(
        "If the VQ loss is too high, lower the learning rate",
        _STATED,
        {"learning_rate": 1e-3},
        {"learning_rate": 1e-4},
        "val/quantisation_error",
        "down",
    ),
    Claim(
        "If the VQ loss is too high, raise the commitment cost",
        _STATED,
        {},
        {"commitment_cost": 1.0},
        "val/quantisation_error",
        "down",
    ),
)
