"""vae3d: a three-dimensional VAE for registered multi-modal brain volumes; the audit's baseline, "Exp1".

The audit finds this model correct and names no fix of its own. "Before" is the audited configuration; "documented"
gives it the stronger free bits that the audit recommends. What dip_vae_sbd and tc_vae_sbd share with it is defined
here.
"""

from collections.abc import Mapping

from search_spaces.space import Parameter, SearchSpace, Value, number
from search_spaces.study import Claim, Study
from search_spaces.target import Target
from search_spaces.training import training

AUDIT = "VAE training stack audit"
DERIVED = "range derived; the audit names none"
OURS = "not stated; this project's choice"
SMALLEST_SIDE = 16


def power_of_two(config: Mapping[str, Value]) -> str | None:
    """Encoders halve volumes, decoders double them from a grid of 8³."""
    side = int(number(config["image_size"]))
    if side & (side - 1):
        return f"image_size={side}: expected a power of two, at least {SMALLEST_SIDE}"
    return None


def whole_groups(config: Mapping[str, Value]) -> str | None:
    """The convolutions' channels are normalised in groups."""
    width = number(config["width"])
    return f"width={width}: expected a multiple of 8" if width % 8 else None


RULES = (power_of_two, whole_groups)

METRICS = (
    "val/elbo_gain",
    "val/ssim",
    "val/psnr",
    "val/ssim_sampled",
    "val/mse",
    "val/r2",
    "health/au",
    "health/kl_raw",
    "health/mi",
    "health/z_gain",
)

TARGETS = (
    Target("health/au", "some unit is active", "audit: the collapsed run had 0 of 128 for 85 epochs", low=1.0),
    Target(
        "health/kl_raw",
        "the KL exceeds what free bits give away",
        "audit: 128 dimensions × 0.05 nats = 6.4; the collapsed run had 1.2 to 2.1",
        low=6.4,
        when={"z_dim": 128, "free_bits": 0.05},
    ),
)

FREE_BITS = Parameter(
    "free_bits",
    "float",
    default=0.3,
    baseline=0.05,
    low=0.05,
    high=0.5,
    unit="nats per dimension",
    doc="KL of a dimension, in the mean of the batch, is not penalised below this",
    source="audit: 0.2 to 0.5 instead of 0.05",
)

KL_BETA = Parameter(
    "kl_beta",
    "log",
    default=1.0,
    baseline=1.0,
    low=0.1,
    high=4.0,
    doc="weight of the KL term (sum over latent dimensions, mean over samples) beside the mean squared error",
    source=DERIVED,
)

LEARNING_RATE = training("learning_rate", doc="AdamW step size", source=DERIVED, low=1e-5, high=1e-3)

COMMON = (
    Parameter(
        "width",
        "fixed",
        default=128,
        baseline=128,
        demo=32,
        minimum=8,
        maximum=1024,
        doc="channels at a side of 8, a multiple of 8; half as many at every doubling of the side",
        source=OURS,
        memory=True,
    ),
    Parameter(
        "image_size",
        "fixed",
        default=128,
        baseline=128,
        demo=32,
        data=True,
        minimum=SMALLEST_SIDE,
        maximum=512,
        unit="voxels a side",
        doc="volumes are brought to this side, a power of two",
        source="audit: 128³",
        memory=True,
    ),
    Parameter(
        "modalities",
        "fixed",
        default=None,
        baseline=None,
        data=True,
        doc="names of the modalities, separated by commas; none: all that most subjects have",
        source="audit: up to four modalities as channels",
    ),
    training("batch_size", default=8),
)

SPACE = SearchSpace(
    model="vae3d",
    kl_weight="kl_beta",
    epochs=200,
    rules=RULES,
    metrics=METRICS,
    targets=TARGETS,
    parameters=(
        KL_BETA,
        FREE_BITS,
        Parameter(
            "kl_cycles",
            "choice",
            default=4,
            baseline=4,
            choices=(1, 2, 4),
            minimum=1,
            doc="the KL weight rises from 0 this many times, over the first half of each cycle",
            source="audit: cyclical annealing; number derived",
        ),
        Parameter(
            "z_dim",
            "choice",
            default=128,
            baseline=128,
            choices=(32, 64, 128),
            minimum=1,
            doc="latent dimensions",
            source="audit: 128; rest derived",
            memory=True,
        ),
        LEARNING_RATE,
        *COMMON,
    ),
)

STUDIES = (
    Study(
        "recipe",
        "what the audit recommends against collapse, as far as it concerns this model",
        AUDIT,
        "one-at-a-time",
        {
            "free bits 0.2": {"free_bits": 0.2},
            "free bits 0.5": {"free_bits": 0.5},
            "β 2": {"kl_beta": 2.0},
            "β 4": {"kl_beta": 4.0},
        },
    ),
    Study(
        "annealing",
        "how often the KL weight rises, around the documented configuration",
        AUDIT,
        "one-at-a-time",
        {"one cycle": {"kl_cycles": 1}, "two cycles": {"kl_cycles": 2}},
        "documented",
    ),
)

CLAIMS = (
    Claim(
        "Free bits of 0.2 instead of 0.05 activate units",
        AUDIT,
        {"free_bits": 0.05},
        {"free_bits": 0.2},
        "health/au",
        "up",
    ),
    Claim(
        "Free bits of 0.5 instead of 0.05 make the decoder read z",
        AUDIT,
        {"free_bits": 0.05},
        {"free_bits": 0.5},
        "health/z_gain",
        "up",
    ),
    Claim("β above 1 forces information through the latent", AUDIT, {}, {"kl_beta": 4.0}, "health/mi", "up"),
)
