"""The documented table of conv_vae, value by value, and the rounds of its change log."""

import pytest

import search_spaces

SPACE = search_spaces.load("conv_vae")

SEARCHED = [  # hyperparameter, before round 1, after round 6, kind, what is searched
    ("kl_weight_max", 0.001, 0.5, "log", (0.05, 1.0)),
    ("free_bits", 0.0, 0.05, "choice", (0.0, 0.05, 0.25)),
    ("kl_warmup", 20 / 200, 40 / 200, "float", (20 / 200, 80 / 200)),
    ("latent_channels", 64, 8, "choice", (4, 8, 16, 64)),
    ("spectral_loss_weight", 0.0, 0.1, "float", (0.0, 0.3)),
    ("loss_scales", 1, 3, "choice", (1, 2, 3)),
    ("learning_rate", 1e-3, 1e-3, "log", (1e-4, 2e-3)),
]
ABLATED = [  # hyperparameter, before round 1, after round 6
    ("reconstruction", "mse", "l1_ssim"),
    ("reduction", "sum", "mean"),
    ("up_mode", "transposed", "resize"),
    ("up_depth", 1, 2),
    ("decoder_activation", "relu", "leaky_relu"),
    ("attention", False, True),
    ("skip_batch_norm", False, True),
    ("init", "default", "kaiming"),
    ("head_init", "as_init", "near_zero"),
    ("logvar_clamp", None, 10.0),
    ("sample_in_eval", False, True),
    ("grad_clip_norm", None, 1.0),
]
AFTER = {  # what the change log says of the state after each round
    "round 1": {
        "latent_channels": 16,
        "kl_weight_max": 1.0,
        "reduction": "mean",
        "init": "kaiming",
        "head_init": "as_init",
        "logvar_clamp": None,
        "up_mode": "transposed",
        "free_bits": 0.0,
    },
    "round 2": {"head_init": "near_zero", "logvar_clamp": 10.0, "up_mode": "transposed", "kl_weight_max": 1.0},
    "round 3": {
        "up_mode": "resize",
        "free_bits": 0.25,
        "kl_weight_max": 1.0,
        "latent_channels": 16,
        "kl_warmup": 0.1,
    },
    "changed before round 5": {"kl_weight_max": 0.1, "free_bits": 0.25, "latent_channels": 16, "up_depth": 1},
    "round 5": {"kl_weight_max": 0.5, "free_bits": 0.05, "latent_channels": 8, "sample_in_eval": True, "up_depth": 1},
    "round 6": SPACE.documented(),
}


@pytest.mark.parametrize(("name", "before", "after", "kind", "searched"), SEARCHED)
def test_documented_table(name, before, after, kind, searched):
    parameter = SPACE[name]
    assert (parameter.baseline, parameter.default) == (before, after)
    assert parameter.kind == kind
    assert (parameter.choices if kind == "choice" else (parameter.low, parameter.high)) == searched


@pytest.mark.parametrize(("name", "before", "after"), ABLATED)
def test_ablations_are_not_searched(name, before, after):
    parameter = SPACE[name]
    assert (parameter.baseline, parameter.default, parameter.searched) == (before, after, False)
    assert parameter.problem(before) is None
    assert parameter.problem(after) is None
    assert parameter.problem("something else") is not None


def test_nothing_else_is_searched_and_all_is_documented():
    assert {parameter.name for parameter in SPACE.searched} == {row[0] for row in SEARCHED}
    assert all(parameter.doc and parameter.source for parameter in SPACE.parameters)
    assert SPACE.contains(SPACE.documented())


def test_the_ladder_passes_through_every_round():
    ladder, *_ = search_spaces.studies("conv_vae")
    steps = {comparison.name.removeprefix("+ "): comparison for comparison in ladder.comparisons(SPACE)}
    assert next(iter(steps.values())).before == SPACE.baseline()
    for name, expected in AFTER.items():
        assert expected.items() <= steps[name].after.items()
    assert steps["round 6"].after == SPACE.documented()


def test_the_five_recommendations_start_from_the_state_that_ghosted():
    study = next(study for study in search_spaces.studies("conv_vae") if study.name == "round 5")
    before = {"kl_weight_max": 0.1, "free_bits": 0.25, "kl_warmup": 20 / 200, "latent_channels": 16}
    for comparison in study.comparisons(SPACE):
        assert (before | {"sample_in_eval": False}).items() <= comparison.before.items()
        assert len(comparison.before.items() ^ comparison.after.items()) == 2  # one value, old and new


def test_leaving_out_nothing_of_round_6_is_the_documented_configuration():
    study = next(study for study in search_spaces.studies("conv_vae") if study.name == "round 6")
    assert all(comparison.before == SPACE.documented() for comparison in study.comparisons(SPACE))


def test_studies_and_claims_are_legal_in_both_spaces():
    for space in (SPACE, SPACE.on_embedded()):
        for part in (*search_spaces.studies("conv_vae"), *search_spaces.claims("conv_vae")):
            assert part.problems(space) == []
            comparisons = part.comparisons(space) if hasattr(part, "comparisons") else [part.comparison(space)]
            for comparison in comparisons:
                assert space.problems(comparison.before) == space.problems(comparison.after) == []
                assert comparison.before != comparison.after


def test_the_embedded_data_take_a_small_network():
    demo = SPACE.on_embedded()
    assert (SPACE["image_size"].default, demo["image_size"].default) == (256, 64)
    assert demo["width"].default < SPACE["width"].default
    assert demo.data_settings() == {"image_size": 64}
    assert demo.problems(demo.documented()) == []


def changed(*fix: str) -> list[str]:
    return SPACE.changed(list(fix), [])[1]


def test_sides_are_powers_of_two():
    assert changed("image_size=128") == []
    assert changed("image_size=96") == ["image_size=96: expected a power of two, to be halved down to 8 × 8"]


def test_scales_must_fit():
    assert changed("image_size=32", "loss_scales=3") == []
    problems = changed("image_size=32", "loss_scales=4")
    assert len(problems) == 1
    assert problems[0].startswith("loss_scales=4: expected fewer with image_size=32")


def test_ranked_by_the_score_that_no_weight_rescales():
    assert (SPACE.metric, SPACE.mode) == ("val/elbo_gain", "max")
    assert {"val/generation_gap", "val/ssim", "val/psnr", "val/l1", "health/checkerboard"} <= set(SPACE.metrics)
