"""Studies and claims: what is compared with what."""

import pytest

import search_spaces
from search_spaces.space import Parameter, SearchSpace
from search_spaces.study import DOCUMENTED, Claim, Study, varied

SPACE = SearchSpace(
    model="small",
    parameters=(
        Parameter("a", "float", default=1.0, baseline=0.0, low=0.0, high=2.0, doc="", source=""),
        Parameter("b", "choice", default=True, baseline=False, choices=(False, True), doc="", source=""),
        Parameter("c", "choice", default=None, baseline=4, choices=(None, 4, 8), doc="", source=""),
    ),
)
STEPS = {"A": {"a": 1.0}, "B": {"b": True}, "C": {"c": None}}
BEFORE, AFTER = {"a": 0.0, "b": False, "c": 4}, {"a": 1.0, "b": True, "c": None}


def pairs(form, **changes):
    study = Study("s", "", "", form, STEPS, **changes)
    return [(each.name, each.before, each.after) for each in study.comparisons(SPACE)]


def test_a_ladder_adds_each_step_to_those_before():
    assert pairs("ladder") == [
        ("+ A", BEFORE, BEFORE | {"a": 1.0}),
        ("+ B", BEFORE | {"a": 1.0}, BEFORE | {"a": 1.0, "b": True}),
        ("+ C", BEFORE | {"a": 1.0, "b": True}, AFTER),
    ]


def test_one_at_a_time_and_pairs_start_from_the_reference():
    single = [(name, BEFORE, BEFORE | changes) for name, changes in STEPS.items()]
    assert pairs("one-at-a-time") == single
    double = [
        ("A & B", BEFORE, BEFORE | {"a": 1.0, "b": True}),
        ("A & C", BEFORE, BEFORE | {"a": 1.0, "c": None}),
        ("B & C", BEFORE, BEFORE | {"b": True, "c": None}),
    ]
    assert pairs("pairwise") == single + double


def test_leave_one_out_takes_each_step_from_the_whole():
    assert pairs("leave-one-out") == [
        ("− A", AFTER, AFTER | {"a": 0.0}),
        ("− B", AFTER, AFTER | {"b": False}),
        ("− C", AFTER, AFTER | {"c": 4}),
    ]


def test_a_study_may_start_elsewhere():
    (first, *_) = pairs("one-at-a-time", base="documented", changes={"a": 0.5})
    assert first == ("A", AFTER | {"a": 0.5}, AFTER)


def test_unknown_names_and_values_are_all_told():
    study = Study("s", "", "", "ladder", {"A": {"a": -1.0}, "B": {"x": 1}}, changes={"b": 3})
    assert study.problems(SPACE) == [
        "s, changes: b=3: expected one of off, on",
        "s, A: a=-1: expected at least 0",
        "s, B: small has no hyperparameter 'x'",
    ]
    claim = Claim("text", "", {"y": 1}, {"a": 1.0}, "val/r2", "up")
    assert claim.problems(SPACE) == ["claim 'text': small has no hyperparameter 'y'"]
    assert (claim.base, Claim("t", "", {}, {"a": 2.0}, "m", "up").comparison(SPACE).before) == ("documented", AFTER)


def test_varied_values_are_compared_with_the_documented_one():
    (study,), problems = varied(SPACE, ["c=none,4,8"])
    assert problems == []
    assert [(each.name, each.after["c"]) for each in study.comparisons(SPACE)] == [("c=4", 4), ("c=8", 8)]
    assert all(each.before == AFTER for each in study.comparisons(SPACE))
    studies, problems = varied(SPACE, ["x=1", "a", "a=q", "b=on,off"])
    assert len(studies) == 1
    assert [problem.split(":")[0] for problem in problems] == ["--vary x=1", "--vary a", "--vary a=q"]


@pytest.mark.parametrize("model", search_spaces.names())
def test_studies_and_claims_of_every_model_fit_its_space(model):
    space = search_spaces.load(model)
    studies, claims = search_spaces.studies(model), search_spaces.claims(model)
    assert studies
    assert claims
    assert len({study.name for study in studies}) == len(studies)
    assert len({claim.text for claim in claims}) == len(claims)
    for each in [*studies, *claims]:
        assert each.problems(space) == []
    comparisons = [comparison for study in studies for comparison in study.comparisons(space)]
    of_course = [claim for claim in claims if claim.metric_before]
    assert all(claim.metric_before != claim.metric for claim in of_course)
    comparisons += [claim.comparison(space) for claim in claims if claim not in of_course]
    for comparison in comparisons:
        assert comparison.before != comparison.after, comparison.name
        assert space.problems(comparison.before) == space.problems(comparison.after) == []


@pytest.mark.parametrize("model", search_spaces.names())
def test_every_ladder_climbs_from_before_the_fixes_to_the_documented_configuration(model):
    """On embedded data too, and what leaves one out leaves it out of the documented configuration."""
    for space in (search_spaces.load(model), search_spaces.load(model).on_embedded()):
        for study in search_spaces.studies(model):
            found = study.comparisons(space)
            if study.form == "ladder":
                assert found[0].before == space.baseline(), study.name
                assert found[-1].after == space.documented(), study.name
            if study.form == "leave-one-out":
                assert all(each.before == space.documented() for each in found), study.name


def test_a_step_to_the_documented_value_is_that_of_the_space():
    changes = {"a": DOCUMENTED, "b": True}
    study = Study("s", "", "", "ladder", {"A": changes})
    assert study.problems(SPACE) == []
    assert study.comparisons(SPACE)[0].after == BEFORE | {"a": 1.0, "b": True}
    claim = Claim("t", "", {}, changes, "m", "up", "baseline")
    assert claim.comparison(SPACE).after == BEFORE | {"a": 1.0, "b": True}
    assert Study("s", "", "", "ladder", {"A": {"x": DOCUMENTED}}).problems(SPACE) == [
        "s, A: small has no hyperparameter 'x'"
    ]
