"""The documented table of dip_vae_sbd: the audited run and the recommended recipe."""

import pytest

import search_spaces

SPACE = search_spaces.load("dip_vae_sbd")

TABLE = [  # hyperparameter, audited, recommended, kind, what is searched
    ("lambda_od", 10.0, 1e-3, "log", (1e-3, 100.0)),
    ("lambda_d_ratio", 1.0, 1.0, "choice", (0.0, 0.1, 1.0, 10.0)),
    ("lambda_start", 0.0, 0.5, "float", (0.0, 0.5)),
    ("lambda_cov_annealing", 0.2, 0.4, "float", (0.05, 0.4)),
    ("kl_beta", 1.0, 2.0, "float", (0.5, 4.0)),
    ("free_bits", 0.05, 0.5, "float", (0.05, 0.5)),
    ("decoder", "sbd", "sbd", "choice", ("sbd", "learned_position", "film", "conv")),
    ("pretrain", 0.0, 0.2, "float", (0.0, 0.2)),
    ("learning_rate", 1e-3, 1e-3, "log", (1e-5, 1e-3)),
]


@pytest.mark.parametrize(("name", "audited", "recommended", "kind", "searched"), TABLE)
def test_documented_table(name, audited, recommended, kind, searched):
    parameter = SPACE[name]
    assert (parameter.baseline, parameter.default, parameter.kind) == (audited, recommended, kind)
    assert (parameter.choices if kind == "choice" else (parameter.low, parameter.high)) == searched
    assert parameter.doc
    assert parameter.source


def test_nothing_else_is_searched():
    assert {parameter.name for parameter in SPACE.searched} == {row[0] for row in TABLE}


def test_epochs_of_the_audit_as_shares():
    assert SPACE["lambda_cov_annealing"].baseline * SPACE.epochs == 40
    assert (SPACE["lambda_cov_annealing"].low * SPACE.epochs, SPACE["lambda_cov_annealing"].high * SPACE.epochs) == (
        10,
        80,
    )


def test_the_ladder_leads_from_the_audited_run_to_the_documented_one():
    (ladder,) = (study for study in search_spaces.studies("dip_vae_sbd") if study.form == "ladder")
    comparisons = ladder.comparisons(SPACE)
    assert comparisons[0].before == SPACE.baseline()
    assert comparisons[-1].after == SPACE.documented()
