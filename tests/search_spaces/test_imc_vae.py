"""The documented table of imc_vae, value by value."""

import subprocess
import sys

import pytest

import search_spaces

SPACE = search_spaces.load("imc_vae")

TABLE = [  # hyperparameter, was, now, kind, what is searched
    ("kld_loss_scale", 1e-4, 1e-3, "log", (1e-4, 5e-3)),
    ("kld_free_bits", 0.5, 2.0, "float", (0.5, 4.0)),
    ("cosine_loss_weight", 0.0, 0.5, "float", (0.0, 1.0)),
    ("gradient_loss_weight", 0.5, 1.0, "float", (0.5, 2.0)),
    ("perm_loss_scale", 0.8, 0.8, "float", (0.8, 1.5)),
    ("learning_rate", None, None, "log", (5e-5, 1e-3)),
    ("kl_warmup", None, None, "float", (0.0, 0.5)),
    ("lr_warmup", None, None, "float", (0.0, 0.5)),
    ("grad_clip_norm", None, 1.0, "choice", (None, 1.0)),
    ("two_stage", False, False, "choice", (False, True)),
    ("latent_dim", 1024, 1024, "choice", (256, 512, 1024)),
]
NOT_STATED = {"learning_rate", "kl_warmup", "lr_warmup"}


@pytest.mark.parametrize(("name", "was", "now", "kind", "searched"), TABLE)
def test_documented_table(name, was, now, kind, searched):
    parameter = SPACE[name]
    if name not in NOT_STATED:
        assert (parameter.baseline, parameter.default) == (was, now)
    assert parameter.kind == kind
    assert (parameter.choices if kind == "choice" else (parameter.low, parameter.high)) == searched
    assert parameter.doc
    assert parameter.source


def test_nothing_else_is_searched():
    assert {parameter.name for parameter in SPACE.searched} == {row[0] for row in TABLE}


def test_no_normalisation_is_legal_but_never_drawn():
    assert (SPACE["normalize"].baseline, SPACE["normalize"].default) == ("none", "channel_wise")
    assert SPACE["normalize"].problem("none") is SPACE["normalize"].problem("learned") is None
    assert not SPACE["normalize"].searched  # it says what is modelled
    assert not SPACE.contains(SPACE.baseline())
    assert SPACE.contains(SPACE.documented())


def test_ranked_by_the_score_that_no_weight_rescales():
    assert (SPACE.metric, SPACE.mode) == ("val/elbo_gain", "max")
    assert SPACE.demo_epochs < SPACE.epochs
    assert SPACE.demo_trials < SPACE.trials


def test_names():
    assert "imc_vae" in search_spaces.names()
    assert "space" not in search_spaces.names()


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(search_spaces.ModelError, match=r"unknown model 'imc_va'; known models: .*imc_vae") as error:
        search_spaces.load("imc_va")
    assert "Did you mean imc_vae?" in str(error.value)
    with pytest.raises(search_spaces.ModelError) as error:
        search_spaces.load("space")
    assert "Did you mean" not in str(error.value)


def test_spaces_are_readable_without_torch_or_ray():
    code = "import sys, search_spaces; search_spaces.load('imc_vae'); print({'torch', 'ray'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
