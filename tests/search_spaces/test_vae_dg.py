"""The documented table of vae_dg, value by value, its rules, studies and claims."""

import pytest

import search_spaces

SPACE = search_spaces.load("vae_dg")

TABLE = [  # hyperparameter, was, now, kind, what is searched
    ("loss_multiplier_kl", 0.0, 1e-4, "log", (5e-5, 5e-4)),
    ("loss_multiplier_y", 0.0, 0.1, "log", (0.01, 1.0)),
    ("kl_anneal_start", 0.0, 0.0, "float", (0.0, 0.1)),
    ("kl_anneal_end", 0.0, 0.5, "float", (0.1, 0.5)),  # step 5000 of 10,000
    ("kl_anneal_cyclical", False, False, "choice", (False, True)),
    ("kl_anneal_cycle_length", 0.25, 0.25, "choice", (0.125, 0.25, 0.5)),
    ("learning_rate", 3e-4, 3e-4, "log", (1e-5, 1e-3)),
]
FIXED = {"reduction": ("sum", "mean"), "target": ("normalised", "image")}


@pytest.mark.parametrize(("name", "was", "now", "kind", "searched"), TABLE)
def test_documented_table(name, was, now, kind, searched):
    parameter = SPACE[name]
    assert (parameter.baseline, parameter.default) == (was, now)
    assert parameter.kind == kind
    assert (parameter.choices if kind == "choice" else (parameter.low, parameter.high)) == searched


def test_nothing_else_is_searched_and_nothing_else_was_fixed():
    assert {parameter.name for parameter in SPACE.searched} == {row[0] for row in TABLE}
    assert {
        parameter.name: (parameter.baseline, parameter.default)
        for parameter in SPACE.parameters
        if not parameter.searched and parameter.baseline != parameter.default
    } == FIXED
    assert all(parameter.doc and parameter.source for parameter in SPACE.parameters)


def test_ranked_by_accuracy_where_it_was_trained():
    assert (SPACE.metric, SPACE.mode) == ("val/accuracy", "max")
    assert "val/elbo_gain" in SPACE.metrics
    assert not [name for name in SPACE.metrics if name.startswith("test/")]


def test_the_length_of_a_cycle_matters_only_where_there_are_cycles():
    assert SPACE["kl_anneal_cycle_length"].when == ("kl_anneal_cyclical", True)


def test_no_kl_is_legal_but_never_drawn():
    assert SPACE["loss_multiplier_kl"].problem(0.0) is None
    assert not SPACE.contains(SPACE.baseline())
    assert SPACE.contains(SPACE.documented())


@pytest.mark.parametrize("space", [SPACE, SPACE.on_embedded()])
def test_the_documented_configurations_obey_the_rules(space):
    assert space.changed([], [])[1] == []
    for one in (space.documented(), space.baseline()):
        assert space.problems(one) == []
        assert [problem for name in one if (problem := space[name].problem(one[name]))] == []


def test_small_on_embedded_data():
    config = SPACE.on_embedded().documented()
    assert (config["image_size"], config["encoder"]) == (64, "resnet18")
    assert (SPACE.documented()["image_size"], SPACE.documented()["encoder"]) == (224, "resnet50")
    assert SPACE.data_settings() == {"image_size": 224}


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["image_size=100"], "image_size=100: expected a multiple of 32"),
        (["kl_anneal_start=0.6"], "kl_anneal_start=0.6: expected no more than kl_anneal_end=0.5"),
        (
            ["kl_anneal_start=600", "kl_anneal_end=500"],
            "kl_anneal_start=600: expected no more than kl_anneal_end=500",
        ),
        (
            ["kl_anneal_start=0.3", "kl_anneal_cyclical=on"],
            "kl_anneal_start=0.3: expected less than kl_anneal_cycle_length=0.25",
        ),
        (["test_environment=-1"], "--set test_environment=-1: expected at least 0"),
        (["test_environment=0.5"], "--set test_environment=0.5: expected a whole number"),
        (["encoder=resnet5"], "--set encoder=resnet5: expected one of resnet18, resnet34, resnet50"),
        (["kl_anneal_cycle_length=0"], "--set kl_anneal_cycle_length=0: expected at least 0.001"),
    ],
)
def test_what_is_refused(settings, problem):
    found = SPACE.changed(settings, [])[1]
    assert any(line.startswith(problem) for line in found), found


@pytest.mark.parametrize(
    "settings",
    [
        ["kl_anneal_end=5000"],
        ["kl_anneal_start=0.1", "kl_anneal_end=5000"],
        ["kl_anneal_start=500", "kl_anneal_end=0.5"],  # which comes first depends on the budget
        ["kl_anneal_cyclical=on", "kl_anneal_cycle_length=2000"],
        ["image_size=96", "encoder=resnet18", "width=16", "test_environment=2", "grad_clip_norm=1"],
    ],
)
def test_what_is_legal(settings):
    assert SPACE.changed(settings, [])[1] == []


def test_a_file_of_weights_must_be_there(tmp_path):
    absent = SPACE.documented() | {"encoder_weights": str(tmp_path / "none.pth")}
    assert SPACE.problems(absent) == [f"encoder_weights={tmp_path / 'none.pth'}: expected a file"]
    (tmp_path / "some.pth").write_bytes(b"")
    assert SPACE.problems(absent | {"encoder_weights": str(tmp_path / "some.pth")}) == []


@pytest.mark.parametrize("space", [SPACE, SPACE.on_embedded()])
def test_studies_and_claims_fit_the_space(space):
    for each in [*search_spaces.studies("vae_dg"), *search_spaces.claims("vae_dg")]:
        assert each.problems(space) == []
    for study in search_spaces.studies("vae_dg"):
        for comparison in study.comparisons(space):
            assert comparison.before != comparison.after, comparison.name
            assert space.problems(comparison.before) == space.problems(comparison.after) == []
    for claim in search_spaces.claims("vae_dg"):
        comparison = claim.comparison(space)
        assert (comparison.before, claim.metric_before) != (comparison.after, None), claim.text


def test_all_fixes_make_the_documented_configuration():
    ladder = next(study for study in search_spaces.studies("vae_dg") if study.form == "ladder")
    assert ladder.comparisons(SPACE)[-1].after == SPACE.documented()
