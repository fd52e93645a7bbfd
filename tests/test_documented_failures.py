"""The failures that the sources document, and their cures, on the embedded data. Minutes each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from search_spaces.space import Value
from trainables import definition
from trainables.data.cache import prepare
from trainables.health import HealthConfig, Verdict, judge
from trainables.loop import Trainer

pytestmark = pytest.mark.slow
Rows = list[dict[str, Any]]
Run = Callable[..., Rows]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The epochs of a trial on embedded data, with the verdict of each, up to the one that condemns it."""
    folder: Path = tmp_path_factory.mktemp("data")

    def trained(name: str, start: str, epochs: int = 12, **changes: Value) -> Rows:
        space = search_spaces.load(name).on_embedded()
        dataset = prepare(definition.load(name).reader, None, folder, space.data_settings())
        trial = Trainer(name, getattr(space, start)() | changes, dataset, epochs, 0, "cpu")
        rows: Rows = []
        for _ in range(epochs):
            rows.append(trial.run_epoch())
            health = judge(rows, epochs, HealthConfig(**space.thresholds))
            rows[-1] |= {"verdict": health.verdict, "verdict_detail": health.detail}
            if health.verdict.condemned:
                break
        return rows

    return trained


def test_the_audited_dip_vae_collapses_into_a_template_and_is_stopped(run: Run) -> None:
    last = run("dip_vae_sbd", "baseline")[-1]
    assert last["verdict"] is Verdict.COLLAPSED
    assert last["verdict_detail"].startswith("0 of 128 units active")
    assert last["health/kl_raw"] < 2.1
    assert last["health/kl_constrained"] == pytest.approx(128 * 0.05, rel=0.01)
    assert abs(last["health/z_gain"]) < 0.01
    assert last["val/ssim"] > 0.5


def test_the_recommended_dip_vae_keeps_units_active(run: Run) -> None:
    """Active they are, and hardly used: neither after these epochs nor after 24 does z gain the decoder 1 %."""
    rows = run("dip_vae_sbd", "documented")
    assert len(rows) == 12
    assert rows[-1]["verdict"] is Verdict.IGNORES_Z
    assert rows[-1]["health/au"] > 0
    assert rows[-1]["health/kl_raw"] > 2.1


def test_penalties_of_the_audited_weight_collapse_the_recipe(run: Run) -> None:
    last = run("dip_vae_sbd", "documented", epochs=20, lambda_od=10.0)[-1]
    assert last["verdict"] is Verdict.COLLAPSED


def test_kaiming_on_the_posterior_heads_explodes_the_kl(run: Run) -> None:
    ladder = search_spaces.studies("conv_vae")[0].comparisons(search_spaces.load("conv_vae").on_embedded())
    (only,) = run("conv_vae", "baseline", **ladder[0].after)  # round 1 of the change log
    assert only["verdict"] is Verdict.NUMERIC
    assert only["train/kl_peak"] > 1e6


@pytest.mark.parametrize(
    ("annealing", "weights"),
    [
        ({"loss_multiplier_kl": 0.0}, [0, 0, 0, 0, 0, 0, 0, 0]),
        ({"kl_anneal_end": 0.0}, [1, 1, 1, 1, 1, 1, 1, 1]),
        ({"kl_anneal_end": 0.5}, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ({"kl_anneal_end": 0.5, "kl_anneal_cyclical": True, "kl_anneal_cycle_length": 0.5}, [0.25, 0.5, 0.75, 1] * 2),
    ],
    ids=["off", "on", "linear", "cyclical"],
)
def test_kl_curves_of_vae_dg(run: Run, annealing: dict[str, Value], weights: list[float]) -> None:
    rows = run("vae_dg", "documented", epochs=8, **annealing)
    full = annealing.get("loss_multiplier_kl", 1e-4)
    assert [row["schedule/kl_weight"] for row in rows] == pytest.approx([full * weight for weight in weights])
    assert rows[-1]["health/kl_raw"] > 1
