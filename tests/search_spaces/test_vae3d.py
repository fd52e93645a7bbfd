"""The documented table of vae3d, and the rules of all models of volumes."""

import pytest

import search_spaces
from trainables.health import HealthConfig, Verdict, judge

SPACE = search_spaces.load("vae3d")

TABLE = [  # hyperparameter, was, now, kind, what is searched
    ("kl_beta", 1.0, 1.0, "log", (0.1, 4.0)),
    ("free_bits", 0.05, 0.3, "float", (0.05, 0.5)),
    ("kl_cycles", 4, 4, "choice", (1, 2, 4)),
    ("z_dim", 128, 128, "choice", (32, 64, 128)),
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


@pytest.mark.parametrize("model", ["vae3d", "dip_vae_sbd", "tc_vae_sbd"])
def test_sizes_of_documented_and_embedded_data(model):
    space = search_spaces.load(model)
    assert (space["image_size"].default, space.on_embedded()["image_size"].default) == (128, 32)
    assert space.data_settings() == {"image_size": 128, "modalities": None}
    assert space.metric == "val/elbo_gain"


@pytest.mark.parametrize("model", ["vae3d", "dip_vae_sbd", "tc_vae_sbd"])
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"image_size": 96}, "image_size=96: expected a power of two, at least 16"),
        ({"width": 20}, "width=20: expected a multiple of 8"),
    ],
)
def test_rules(model, changes, problem):
    space = search_spaces.load(model)
    assert space.problems(space.documented()) == []
    assert space.problems(space.documented() | changes) == [problem]
    for side in (16, 64, 256):
        assert space.problems(space.documented() | {"image_size": side}) == []
    assert space["image_size"].problem(8) == "image_size=8: expected 16 to 512 voxels a side"


@pytest.mark.parametrize("cycles", [2, 4])
def test_a_dead_trial_is_condemned_whatever_its_cycles(cycles):
    epochs = 16
    dead = {"health/au": 0.0, "health/au_frac": 0.0, "health/kl_raw": 0.0, "health/mi": 0.0, "health/dims": 128.0}
    weight = {"schedule/kl_weight": 1.0, "schedule/kl_weight_final": 1.0}
    rows = [
        dead | weight | {"epoch": epoch, "schedule/cycle_end": float(epoch % (epochs // cycles) == 0)}
        for epoch in range(1, epochs + 1)
    ]
    assert judge(rows, epochs, HealthConfig(**SPACE.thresholds)).verdict is Verdict.COLLAPSED
