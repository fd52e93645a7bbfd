"""The probability of collapse: the fit, its update, its features, and what ships."""

import json
import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import search_spaces
from trainables import collapse, definition
from trainables.forms import QuadraticForm
from trainables.spectrum import Spectrum

TRUTH = np.array([-1.0, 2.0, -1.0, 0.0, 0.5, 0.0])


def trials(count, seed=0, truth=TRUTH):
    """Features, standard normal, and outcomes drawn from the logistic model `truth`."""
    rng = np.random.default_rng(seed)
    seen = rng.standard_normal((count, 5))
    chance = 1.0 / (1.0 + np.exp(-(truth[0] + seen @ truth[1:])))
    return seen, (rng.random(count) < chance).astype(float), chance


def test_the_fit_is_ridge_logistic_regression():
    seen, collapsed, _ = trials(150)
    seen = seen * np.array([3.0, 1.0, 0.1, 10.0, 1.0]) + np.arange(5)
    fitted = collapse.fit(seen, collapsed)
    standardised = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(standardised, collapsed)
    assert fitted.coefficients == pytest.approx([peer.intercept_[0], *peer.coef_[0]], abs=1e-4)


def test_the_probability_is_the_mean_over_the_coefficients_that_trials_leave_possible():
    """MacKay's formula against a simulation: few trials leave much open, and the answer is nearer to one half."""
    seen, collapsed, _ = trials(30)
    fitted = collapse.fit(seen, collapsed)
    drawn = np.random.default_rng(0).multivariate_normal(fitted.coefficients, fitted.covariance, 20_000)
    design = np.column_stack([np.ones(len(seen)), (seen - fitted.mean) / fitted.scale])
    simulated = (1.0 / (1.0 + np.exp(-design @ drawn.T))).mean(axis=1)
    told = np.array([fitted.probability(row) for row in seen])
    assert told == pytest.approx(simulated, abs=0.02)
    plain = 1.0 / (1.0 + np.exp(-design @ fitted.coefficients))
    assert (np.abs(told - 0.5) <= np.abs(plain - 0.5)).all()
    assert np.abs(told - plain).max() > 0.05


def test_the_covariance_says_how_sure_the_fit_is():
    """The truth lies within two deviations of the fit for about 95 in 100 coefficients of repeated fits."""
    inside = []
    for seed in range(60):
        seen, collapsed, _ = trials(400, seed)
        fitted = collapse.fit(seen, collapsed)
        deviation = np.sqrt(np.diag(fitted.covariance))
        slopes = TRUTH[1:] * fitted.scale
        inside.extend(np.abs(fitted.coefficients[1:] - slopes) < 2 * deviation[1:])
    assert 0.9 < np.mean(inside) < 0.99


def test_beyond_the_trials_nothing_is_extrapolated():
    seen, collapsed, _ = trials(200)
    fitted = collapse.fit(seen, collapsed)
    edge = seen.max(axis=0)
    assert fitted.probability(edge + 100.0) == fitted.probability(edge)
    assert fitted.outside(edge) == []
    assert fitted.outside([*edge[:2], edge[2] + 1.0, edge[3], seen[:, 4].min() - 1.0]) == [
        "ln(1 + free nats)",
        "ln(learning rate · steps)",
    ]


def test_separable_trials_have_a_fit():
    seen = np.linspace(-1, 1, 40)[:, None] * np.ones(5)
    fitted = collapse.fit(seen, (seen[:, 0] > 0).astype(float))
    assert np.isfinite(fitted.coefficients).all()
    assert fitted.probability(seen[0]) < 0.1 < 0.9 < fitted.probability(seen[-1])


def brier(model, seen, chance):
    return float(np.mean([(model.probability(row) - true) ** 2 for row, true in zip(seen, chance, strict=True)]))


def test_own_trials_overrule_the_recorded_ones_as_they_become_many():
    recorded = collapse.fit(*trials(300)[:2], ("imc_vae",))
    other = np.array([1.5, 3.0, 0.0, 0.0, -1.0, 0.0])
    seen, _, chance = trials(500, 99, other)
    errors = [brier(recorded, seen, chance)]
    for count in (10, 40, 300):
        own = recorded.updated(*trials(count, 5, other)[:2])
        assert (own.basis, own.own) == ("own sweeps", count)
        errors.append(brier(own, seen, chance))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1 * errors[0]


def test_few_own_trials_cannot_break_it():
    """Ten trials like the recorded ones leave the forecast as good as it was, whichever ten."""
    recorded = collapse.fit(*trials(300)[:2], ("imc_vae",))
    seen, _, chance = trials(500, 99)
    before = brier(recorded, seen, chance)
    after = [brier(recorded.updated(*trials(10, seed)[:2]), seen, chance) for seed in range(20)]
    assert np.mean(after) < before + 0.01
    assert max(after) < before + 0.03
    all_collapsed = recorded.updated(seen[:10], np.ones(10))
    assert brier(all_collapsed, seen, chance) < 0.2


def test_a_decoder_that_gains_less_than_a_hundredth_from_z_ignores_it():
    assert collapse.ignores_z(0.0099)
    assert not collapse.ignores_z(0.0101)


# ---- features


@pytest.mark.parametrize(
    ("model", "changes", "expected"),
    [
        ("conv_vae", {"kl_warmup": 0.4}, 0.8),
        ("imc_vae", {"kl_warmup": 0.0, "two_stage": False}, 1.0),
        ("imc_vae", {"kl_warmup": 0.5, "two_stage": True}, 0.375),
        ("vae3d", {"kl_cycles": 4}, 0.75),
        ("vae_dg", {"kl_anneal_start": 0.0, "kl_anneal_end": 500.0}, 0.75),
        ("vae_dg", {"loss_multiplier_kl": 0.0}, 1.0),
        ("tc_vae_sbd", {}, 1.0),
    ],
)
def test_the_mean_share_of_the_kl_weight(model, changes, expected):
    config = search_spaces.load(model).documented() | changes
    share = collapse.kl_share(definition.load(model).term_weights, config, steps=1000)
    assert share == pytest.approx(expected, abs=0.01)


def features(kl_weight=2.0, spectrum=(4.0, 2.0), total=8.0, free_bits=0.5):
    form = QuadraticForm("x", (), 0.5, kl_weight, free_bits, latent_dim=6)
    found = Spectrum(np.array(spectrum), total)
    config = {"learning_rate": 1e-3}
    return collapse.features(lambda config, at: {"kl": kl_weight}, config, 1000, form, found)


def test_the_features_of_a_configuration():
    expected = [math.log(0.5), math.log(0.5), math.log(1 + 6 * 0.5), 1.0, 0.0]
    assert features() == pytest.approx(expected)


def test_an_extreme_weight_counts_as_a_decisive_one():
    """One trial without a KL term would otherwise stretch the scale until all others look alike."""
    for kl_weight, expected in ((0.0, -collapse.DECISIVE), (1e-9, -collapse.DECISIVE), (1e9, collapse.DECISIVE)):
        assert features(kl_weight=kl_weight)[0] == expected


def test_features_are_finite_whatever_the_data():
    assert np.isfinite(features(kl_weight=0.0)).all()
    assert np.isfinite(features(spectrum=(0.0, 0.0), total=0.0)).all()


# ---- what ships


def test_what_ships_foretells_sweeps_that_it_has_not_seen():
    found = json.loads(collapse.FILE.read_text(encoding="utf-8"))
    measured = found["left_out"]
    assert measured["auc"] >= 0.95
    assert measured["auc_within_sweeps"] >= 0.95
    assert measured["false_alarms"] == 0
    assert all(len(fitted["recorded"]) >= 2 for fitted in found["models"].values())


def test_a_model_without_two_recorded_sweeps_has_no_fit():
    assert collapse.shipped("imc_vae") is not None
    assert collapse.shipped("dip_vae_sbd") is None
    assert collapse.shipped("vq_vae") is None


def test_more_kl_weight_is_more_collapse_and_free_bits_are_less():
    shipped = collapse.shipped("conv_vae")
    middle = shipped.mean
    assert shipped.basis == "recorded"
    for place, sign in ((0, 1), (2, -1)):
        step = np.zeros(5)
        step[place] = sign * shipped.scale[place]
        assert shipped.probability(middle + step) > shipped.probability(middle)


def test_a_fit_on_other_features_is_refused(tmp_path, monkeypatch):
    found = json.loads(collapse.FILE.read_text(encoding="utf-8"))
    path = tmp_path / "collapse.json"
    path.write_text(json.dumps(found | {"features": ["age"]}))
    monkeypatch.setattr(collapse, "FILE", path)
    with pytest.raises(ValueError, match=r"other features; run python benchmarks/forecast\.py"):
        collapse.shipped("imc_vae")
