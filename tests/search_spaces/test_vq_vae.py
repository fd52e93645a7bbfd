"""The documented table of vq_vae, value by value."""

import pytest

import search_spaces
from search_spaces.training import NAMES

SPACE = search_spaces.load("vq_vae")

SEARCHED = [  # hyperparameter, was, now, kind, what is searched
    ("embedding_dim", 512, 256, "choice", (64, 128, 256, 512)),
    ("num_embeddings", 1024, 512, "choice", (256, 512, 1024)),
    ("commitment_cost", 0.25, 0.5, "log", (0.1, 2.0)),
    ("ema_decay", 0.97, 0.97, "float", (0.95, 0.999)),
    ("learning_rate", 1e-3, 1e-4, "log", (1e-5, 1e-3)),
    ("batch_size", 8, 16, "choice", (8, 16, 32)),
    ("reconstruction_loss_weight", 1.0, 2.0, "float", (0.5, 4.0)),
    ("perceptual_loss_weight", 0.0, 0.1, "float", (0.0, 0.5)),
    ("lr_schedule", "constant", "cosine", "choice", ("cosine", "step", "plateau")),
    ("normalize_method", "zscore", "robust", "choice", ("robust", "zscore", "minmax")),
    ("grad_clip_norm", None, 0.5, "choice", (0.5, 1.0)),
]
FIXED = [  # hyperparameter, was, now
    ("padding", "zeros", "reflect"),
    ("stride_first", 3, 2),
    ("residual", False, True),
    ("attention", False, True),
    ("skip_drop", 0.0, 0.3),
    ("skip_connections", "none", "details"),
    ("skip_drop", 0.0, 0.3),
    ("ema", False, True),
    ("reset_dead_codes", False, True),
    ("codebook_init", "uniform", "normal"),
    ("content_weight", 1.0, 5.0),
    ("reduction", "sum", "mean"),
    ("optimizer", "adam", "adamw"),
    ("weight_decay", 0.0, 0.01),
    ("early_stopping_patience", None, 15),
]
SAME = {"activation": "relu", "perceptual_weights": None, "width": 64, "image_size": 128}


@pytest.mark.parametrize(("name", "was", "now", "kind", "searched"), SEARCHED)
def test_documented_table(name, was, now, kind, searched):
    parameter = SPACE[name]
    assert (parameter.baseline, parameter.default) == (was, now)
    assert parameter.kind == kind
    assert (parameter.choices if kind == "choice" else (parameter.low, parameter.high)) == searched


@pytest.mark.parametrize(("name", "was", "now"), FIXED)
def test_what_only_ablations_change(name, was, now):
    assert (SPACE[name].kind, SPACE[name].baseline, SPACE[name].default) == ("fixed", was, now)
    assert SPACE[name].problem(was) is None


def test_there_is_nothing_else():
    names = {row[0] for row in SEARCHED} | {row[0] for row in FIXED} | set(SAME) | set(NAMES)
    assert {parameter.name for parameter in SPACE.parameters} == names
    assert {name: SPACE.documented()[name] for name in SAME} == SAME
    assert {name: SPACE.baseline()[name] for name in SAME} == SAME
    assert all(parameter.doc and parameter.source for parameter in SPACE.parameters)


def test_the_search_can_draw_the_documented_configuration_and_not_the_one_before():
    assert SPACE.contains(SPACE.documented())
    assert not SPACE.contains(SPACE.baseline())


def test_small_on_embedded_data():
    config = SPACE.on_embedded().documented()
    assert (config["image_size"], config["width"], config["learning_rate"]) == (32, 24, 1e-3)
    assert SPACE.on_embedded().contains(config)
    assert SPACE.data_settings() == {"image_size": 128}


def test_ranked_by_the_score_that_no_weight_rescales():
    assert (SPACE.metric, SPACE.mode) == ("val/elbo_gain", "max")
    assert {"val/psnr", "val/ssim", "val/pearson", "health/codebook_usage"} < set(SPACE.metrics)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["width=20"], "width=20: expected a multiple of 8"),
        (["skip_connections=on"], "--set skip_connections=on: expected one of features, details, none"),
        (["image_size=8"], "--set image_size=8: expected 16 to 1024"),
        (["grad_clip_norm=0"], "--set grad_clip_norm=0: expected at least 1e-06"),
        (["ema_decay=1"], "--set ema_decay=1: expected 0.5 to 0.99999"),
        (["optimizer=sgd"], "--set optimizer=sgd: expected one of adamw, adam"),
    ],
)
def test_what_is_refused(settings, problem):
    found = SPACE.changed(settings, [])[1]
    assert any(line.startswith(problem) for line in found), found


@pytest.mark.parametrize(
    "settings",
    [
        ["skip_connections=features", "attention=off", "ema=off", "reset_dead_codes=off"],
        ["width=32", "image_size=64", "stride_first=3", "early_stopping_patience=none", "grad_clip_norm=none"],
        ["num_embeddings=2048", "embedding_dim=8", "batch_size=4", "lr_schedule=constant", "learning_rate=0.002"],
    ],
)
def test_what_is_legal(settings):
    assert SPACE.changed(settings, [])[1] == []


def test_a_file_of_weights_must_be_there(tmp_path):
    path = tmp_path / "vgg16.pth"
    given = SPACE.documented() | {"perceptual_weights": str(path)}
    assert SPACE.problems(given) == [f"perceptual_weights={path}: expected a file"]
    path.write_bytes(b"")
    assert SPACE.problems(given) == []


@pytest.mark.parametrize("space", [SPACE, SPACE.on_embedded()])
def test_studies_and_claims_fit_the_space(space):
    comparisons = [claim.comparison(space) for claim in search_spaces.claims("vq_vae")]
    comparisons += [each for study in search_spaces.studies("vq_vae") for each in study.comparisons(space)]
    for comparison in comparisons:
        assert comparison.before != comparison.after, comparison.name
        assert space.problems(comparison.before) == space.problems(comparison.after) == []


def test_the_ladder_of_fixes_leads_from_before_to_documented():
    (fixes,) = [study for study in search_spaces.studies("vq_vae") if study.name == "fixes"]
    steps = fixes.comparisons(SPACE)
    assert steps[0].before == SPACE.baseline()
    assert steps[-1].after == SPACE.documented()
