"""tc_vae_sbd: β-TC-VAE with a spatial broadcast decoder on brain volumes; the audit's variant of "Exp2".

The audit names the variant without a run of its own. "Before" is what collapsed in dip_vae_sbd, free bits 0.05 and
no pre-training, and the total correlation penalised in full from the start; "documented" the advice given
there, as far as it applies, with the middle of the searched range where the audit gives no number.
"""

from search_spaces.dip_vae_sbd import DECODER, PRETRAIN, Z_DIM
from search_spaces.space import Parameter, SearchSpace
from search_spaces.study import Claim, Study
from search_spaces.vae3d import AUDIT, COMMON, FREE_BITS, LEARNING_RATE, METRICS, RULES, TARGETS

_PAPER = "Chen et al. 2018"

SPACE = SearchSpace(
    model="tc_vae_sbd",
    epochs=200,
    rules=RULES,
    thresholds={"consecutive": 3},
    metrics=METRICS,
    targets=TARGETS,
    parameters=(
        Parameter(
            "tc_beta",
            "log",
            default=3.0,
            baseline=3.0,
            low=1.0,
            high=10.0,
            minimum=0.0,
            doc="weight of the total correlation; of mutual information and dimension-wise KL it is 1",
            source=f"{_PAPER}: 1 to 10",
        ),
        Parameter(
            "tc_warmup",
            "float",
            default=0.3,
            baseline=0.0,
            low=0.0,
            high=0.5,
            maximum=1.0,
            unit="share of the budget",
            doc="from the end of the pre-training tc_beta rises linearly from 1 over this share",
            source="derived from lambda_cov_annealing of dip_vae_sbd",
        ),
        FREE_BITS,
        DECODER,
        PRETRAIN,
        LEARNING_RATE,
        Parameter(
            "tc_estimator",
            "fixed",
            default="stratified",
            baseline="stratified",
            unsearched=("weighted",),
            doc="how the aggregate posterior is estimated from a batch: stratified (the mixture's density "
            "without bias, not its logarithm) or weighted",
            source=_PAPER,
        ),
        Z_DIM,
        *COMMON,
    ),
)

RECIPE = {
    "pre-training": {"pretrain": 0.1},
    "stronger free bits": {"free_bits": 0.3},
    "slower penalty": {"tc_warmup": 0.3},
}

STUDIES = (
    Study("recipe", "each recommendation on top of those before", AUDIT, "ladder", RECIPE),
    Study("without one", "the whole recipe but one", AUDIT, "leave-one-out", RECIPE),
    Study(
        "total correlation",
        "its weight and estimator around the documented configuration",
        _PAPER,
        "one-at-a-time",
        {"plain VAE": {"tc_beta": 1.0}, "β 10": {"tc_beta": 10.0}, "weighted": {"tc_estimator": "weighted"}},
        "documented",
    ),
    Study(
        "decoder",
        "what the audit considers instead of the broadcast decoder",
        AUDIT,
        "one-at-a-time",
        {
            "conv": {"decoder": "conv"},
            "learned positions": {"decoder": "learned_position"},
            "FiLM": {"decoder": "film"},
        },
    ),
)

CLAIMS = (
    Claim("A larger tc_beta lowers the total correlation", _PAPER, {"tc_beta": 1.0}, {}, "health/tc", "down"),
    Claim("Free bits of 0.3 activate units", AUDIT, {"free_bits": 0.05}, {}, "health/au", "up"),
    Claim("Pre-training a plain VAE activates units", AUDIT, {"pretrain": 0.0}, {}, "health/au", "up"),
    Claim("Without the broadcast decoder the decoder reads z", AUDIT, {}, {"decoder": "conv"}, "health/z_gain", "up"),
)
