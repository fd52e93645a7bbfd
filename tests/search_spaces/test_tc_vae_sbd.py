"""The documented table of tc_vae_sbd."""

import pytest

import search_spaces

SPACE = search_spaces.load("tc_vae_sbd")

TABLE = [  # hyperparameter, was, now, kind, what is searched
    ("tc_beta", 3.0, 3.0, "log", (1.0, 10.0)),
    ("tc_warmup", 0.0, 0.3, "float", (0.0, 0.5)),
    ("free_bits", 0.05, 0.3, "float", (0.05, 0.5)),
    ("decoder", "sbd", "sbd", "choice", ("sbd", "learned_position", "film", "conv")),
    ("pretrain", 0.0, 0.1, "float", (0.0, 0.2)),
    ("learning_rate", 1e-3, 1e-3, "log", (1e-5, 1e-3)),
]


@pytest.mark.parametrize(("name", "was", "now", "kind", "searched"), TABLE)
def test_documented_table(name, was, now, kind, searched):
    parameter = SPACE[name]
    assert (parameter.baseline, parameter.default, parameter.kind) == (was, now, kind)
    assert (parameter.choices if kind == "choice" else (parameter.low, parameter.high)) == searched
    assert parameter.doc
    assert parameter.source


def test_nothing_else_is_searched():
    assert {parameter.name for parameter in SPACE.searched} == {row[0] for row in TABLE}


def test_the_biased_estimator_is_legal_but_never_drawn():
    assert SPACE["tc_estimator"].problem("weighted") is None
    assert SPACE["tc_estimator"].problem("exact") == "tc_estimator=exact: expected one of weighted, stratified"


def test_the_ladder_leads_to_the_documented_configuration():
    (ladder,) = (study for study in search_spaces.studies("tc_vae_sbd") if study.form == "ladder")
    comparisons = ladder.comparisons(SPACE)
    assert (comparisons[0].before, comparisons[-1].after) == (SPACE.baseline(), SPACE.documented())
