"""The training loop: determinism, resumption, learning, schedules, checkpoints."""

import hashlib
import math

import pytest
import torch

from trainables import checkpoint, definition
from trainables.data.errors import DataError
from trainables.data.samples import Samples
from trainables.data.splitting import split
from trainables.data.store import open_dataset, write_dataset
from trainables.schedules import END

NAMES = {
    "epoch",
    *(f"train/{name}" for name in ("loss", "node", "cosine", "gradient", "permutation", "kl", "kl_peak")),
    *(f"val/{name}" for name in ("node", "cosine", "gradient", "permutation", "kl")),
    *(f"val/{name}" for name in ("elbo_gain", "r2", "cosine_similarity", "permutation_accuracy", "mse", "loss")),
    *(f"health/{name}" for name in ("au", "au_frac", "dims", "kl_raw", "kl_constrained", "mi", "marginal_kl")),
    *(f"health/{name}" for name in ("z_gain", "recon_mu", "recon_z0", "recon_delta", "mu_var_mean", "logvar_mean")),
    *(f"health/{name}" for name in ("z_std", "recon_std", "rate", "recon_mean", "draws", "mu_min", "mu_max")),
    *(f"health/{name}" for name in ("logvar_min", "logvar_max", "feature_mean", "feature_std")),
    *(f"train/share/{name}" for name in ("node", "cosine", "gradient", "permutation", "kl")),
    *("val/mse_constant", "val/mse_swapped", "train/grad_norm"),
    *(f"schedule/{name}" for name in ("kl_weight", "kl_weight_final", "lr")),
    *(f"time/{name}" for name in ("epoch_seconds", "train_seconds", "eval_seconds", "samples_per_second")),
}


def results(row):
    return {name: value for name, value in row.items() if not name.startswith("time/")}


def run(trainer, epochs):
    return [results(trainer.run_epoch()) for _ in range(epochs)]


def test_every_metric_is_there_and_finite(trainer):
    row = trainer().run_epoch()
    by_dimension = {name: row.pop(name) for name in ("latent/kl", "latent/mu_var")}
    assert set(row) == NAMES
    assert all(math.isfinite(value) for value in row.values())
    assert sum(by_dimension["latent/kl"]) == pytest.approx(row["health/kl_raw"])
    assert sum(value > 0.01 for value in by_dimension["latent/mu_var"]) == row["health/au"]
    assert row["val/loss"] == pytest.approx(
        row["val/node"]
        + 0.5 * row["val/cosine"]
        + row["val/gradient"]
        + 0.8 * row["val/permutation"]
        + 1e-3 * row["val/kl"]
    )
    assert row["health/recon_mean"] <= row["val/mse"]
    assert row["epoch"] == 1
    assert row["time/epoch_seconds"] >= row["time/train_seconds"] > 0
    assert row["time/samples_per_second"] == pytest.approx(140 / row["time/train_seconds"])


def test_the_same_seed_gives_the_same_numbers(trainer):
    torch.manual_seed(1)
    first = run(trainer(), 2)
    torch.manual_seed(2)  # the global state does not matter
    assert run(trainer(), 2) == first
    assert run(trainer(seed=1), 2) != first


def test_building_a_trainer_leaves_the_global_random_state(trainer):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    trainer()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("normalize", ["channel_wise", "learned"])
def test_a_resumed_trial_gives_the_same_numbers(trainer, tmp_path, normalize):
    changes = {"normalize": normalize, "kl_warmup": 0.7, "lr_warmup": 0.4}
    whole = trainer(**changes)
    expected = run(whole, 4)
    first = trainer(**changes)
    run(first, 2)
    checkpoint.save(tmp_path, first.state_dict())
    second = trainer(**changes)
    second.load_state_dict(checkpoint.load(tmp_path))
    assert run(second, 2) == expected[2:]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_finished_trial_keeps_no_optimiser_state(trainer, tmp_path):
    one = trainer(epochs=1)
    assert one.state_dict()["optimizer"] is not None
    one.run_epoch()
    state = one.state_dict()
    assert (state["optimizer"], state["epoch"]) == (None, 1)
    again = trainer(epochs=1)
    again.load_state_dict(state)
    assert again.epoch == 1


def test_evaluation_is_repeatable_and_changes_nothing(trainer):
    one = trainer()
    row = one.run_epoch()
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    first, second = one.evaluate()[0], one.evaluate()[0]
    assert row["train/grad_norm"] > 0
    assert first == second
    assert {name: row[name] for name in first} == first
    assert all(torch.equal(value, before[name]) for name, value in one.model.state_dict().items())


def test_it_learns(trainer, digits):
    one = trainer(epochs=6, dataset=digits, learning_rate=5e-3, kl_warmup=0.5)
    untrained = one.evaluate()[0]
    rows = run(one, 6)
    assert rows[-1]["train/loss"] < 0.8 * rows[0]["train/loss"]
    assert rows[-1]["val/node"] < 0.7 * untrained["val/node"]
    assert rows[-1]["val/permutation_accuracy"] > 2 / 16  # chance: 1 / 16
    assert rows[-1]["health/au"] > 0
    assert rows[-1]["val/r2"] > untrained["val/r2"] + 0.5


def test_the_loss_is_the_weighted_sum_of_its_terms(trainer):
    row = trainer(kl_warmup=0.0, cosine_loss_weight=0.3, gradient_loss_weight=1.7).run_epoch()
    total = row["train/node"] + 0.3 * row["train/cosine"] + 1.7 * row["train/gradient"]
    total += 0.8 * row["train/permutation"] + 1e-3 * row["train/kl"]
    assert row["train/loss"] == pytest.approx(total, rel=1e-5)


def test_schedules_as_applied_in_the_last_step_of_an_epoch(trainer):
    rows = run(trainer(kl_warmup=0.5, lr_warmup=0.75), 4)
    assert [row["schedule/kl_weight"] for row in rows] == pytest.approx([0.5e-3, 1e-3, 1e-3, 1e-3])
    assert [row["schedule/kl_weight_final"] for row in rows] == [1e-3] * 4
    assert [row["schedule/lr"] for row in rows] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])


def test_two_stages(trainer):
    rows = run(trainer(two_stage=True, kl_warmup=0.0), 4)
    assert rows[0]["schedule/kl_weight"] == 0.0
    assert [row["schedule/kl_weight"] for row in rows[2:]] == [1e-3, 1e-3]


def test_the_learning_rate_reaches_the_optimiser(trainer):
    """One step of Adam moves a weight by about the learning rate of that step, here a quarter of the full one."""
    one = trainer(epochs=1, batch_size=40, lr_warmup=1.0, learning_rate=1e-2, weight_decay=0.0, grad_clip_norm=None)
    before = one.model.output.bias.detach().clone()
    one.train_steps(1)
    moved = (one.model.output.bias.detach() - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 2.5e-3), rtol=1e-2, atol=0)
    assert one.epoch == 0


def test_gradients_are_clipped(trainer):
    """AdamW's first moments after one step are a tenth of the gradient it was given."""
    norms = {}
    for limit in (None, 1e-3):
        one = trainer(grad_clip_norm=limit)
        one.train_steps(1)
        moments = [state["exp_avg"] for state in one.optimizer.state.values()]
        norms[limit] = 10 * math.sqrt(sum(float(moment.square().sum()) for moment in moments))
    assert norms[None] > 0.1
    assert norms[1e-3] == pytest.approx(1e-3, rel=1e-2)


def test_a_loss_that_is_not_finite_ends_the_epoch_early_and_shows(trainer):
    one = trainer(batch_size=1)
    with torch.no_grad():
        one.model.output.bias.fill_(math.nan)
    one.model.output.bias.requires_grad_(False)
    calls = 0
    step = one._step

    def counted(*args):
        nonlocal calls
        calls += 1
        return step(*args)

    one._step = counted
    row = one.run_epoch()
    assert calls == 1  # of 160
    assert math.isnan(row["train/loss"])
    assert math.isnan(row["val/elbo_gain"])


def test_the_evaluation_set_is_held_out_and_bounded(trainer, digits, few):
    assert set(trainer().evaluation_index) <= set(few.val)
    assert len(trainer().evaluation_index) == 40  # all there is
    large = trainer(dataset=digits)
    assert len(large.evaluation_index) == 71  # a twentieth of the training set
    assert large.evaluation_labels() == [digits.labels[index] for index in large.evaluation_index]


def test_the_test_part_is_told_when_asked_and_by_no_epoch(trainer, few):
    one = trainer(epochs=1)
    assert not [name for name in one.run_epoch() if name.startswith("test/")]
    told = one.test()
    assert told == one.test()
    one.evaluation_index = few.test
    row = one.evaluate()[0]
    assert told == {f"test/{name.removeprefix('val/')}": row[name] for name in row if name.startswith("val/")}


def test_a_held_out_environment_may_leave_nothing_to_test_on(trainer, places):
    one = trainer(dataset=places, test_environment=0)
    assert {places.environments[index] for index in one.test_index} == {"b", "c"}
    one.test_index = one.test_index[:1]
    assert one.test() == {}


def test_every_training_sample_is_seen_once_an_epoch_in_a_new_order(trainer, few):
    one = trainer(batch_size=30)
    seen = []
    step = one._step

    def watched(batch, *args):
        seen.append(batch.x)
        return step(batch, *args)

    one._step = watched
    one.run_epoch()
    one.run_epoch()
    assert [len(x) for x in seen] == [30] * 4 + [20] + [30] * 4 + [20]
    epochs = [torch.cat(seen[:5]).numpy(), torch.cat(seen[5:]).numpy()]

    def keys(x):
        return [hashlib.sha256(sample.tobytes()).hexdigest() for sample in x]

    assert all(sorted(keys(x)) == sorted(keys(few.x[few.train])) for x in epochs)
    assert keys(epochs[0]) != keys(epochs[1])


@pytest.mark.parametrize("normalize", ["channel_wise", "learned", "none"])
def test_a_loaded_model_reconstructs_the_same(trainer, tmp_path, few, normalize):
    one = trainer(epochs=1, normalize=normalize)
    one.run_epoch()
    checkpoint.save(tmp_path, one.state_dict())
    loaded = checkpoint.load_model(tmp_path)
    x = torch.from_numpy(few.x[few.val])
    one.model.eval()
    assert not loaded.training
    with torch.no_grad():
        for model in (one.model, loaded):
            model.found = model.to_fixed(model.decode(model.encode(x)[0]), x)
    assert torch.equal(loaded.found, one.model.found)
    assert torch.equal(loaded.fixed_target(x), one.model.fixed_target(x))


def test_checkpoints_need_no_unpickling(trainer, tmp_path):
    one = trainer(grad_clip_norm=None)
    one.run_epoch()
    checkpoint.save(tmp_path, one.state_dict())
    state = torch.load(tmp_path / checkpoint.FILE, weights_only=True)
    assert state["config"] == one.config
    assert (state["model_name"], state["epoch"], state["shape"]) == ("imc_vae", 1, [4, 4, 4])


class Unwritable:
    def __reduce__(self):
        raise RuntimeError("power cut")


def test_an_interrupted_save_leaves_the_old_checkpoint(trainer, tmp_path):
    one = trainer()
    checkpoint.save(tmp_path, one.state_dict())
    with pytest.raises(RuntimeError, match="power cut"):
        checkpoint.save(tmp_path, one.state_dict() | {"epoch": 9, "late": Unwritable()})
    assert checkpoint.load(tmp_path)["epoch"] == 0
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]


def test_no_checkpoint(tmp_path):
    assert checkpoint.load(tmp_path) is None
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint\.pt: the trial has not completed an epoch yet"):
        checkpoint.load_model(tmp_path)
    assert checkpoint.folder_of(tmp_path, 3) == tmp_path / "trials" / "00003"


LOSS = ({"loss": torch.zeros(())}, torch.zeros(()))


@pytest.fixture
def places(few, tmp_path):
    """The few digits from three places."""
    samples = Samples(few.x.copy(), "places", few.labels, environments=["abc"[i % 3] for i in range(len(few))])
    statistics = definition.load("imc_vae").reader.statistics(samples, split(len(few)).train)
    write_dataset(tmp_path / "places.arrow", samples, statistics)
    return open_dataset(tmp_path / "places.arrow")


def test_a_held_out_environment_is_neither_trained_on_nor_selected_by(trainer, places):
    one = trainer(dataset=places, test_environment=1)
    at_home = [index for part in (one.train_index, one.evaluation_index) for index in part]
    assert {places.environments[index] for index in at_home} == {"a", "c"}
    assert {places.environments[index] for index in one.environment_index} == {"b"}
    row = one.run_epoch()
    tested = {name.removeprefix("environment/") for name in row if name.startswith("environment/")}
    assert tested == {name.removeprefix("val/") for name in row if name.startswith("val/")}
    assert row["environment/mse"] != row["val/mse"]
    other = trainer(dataset=places, test_environment=0)
    assert set(one.environment_index).isdisjoint(other.environment_index)


def test_an_environment_that_is_not_there_is_refused(trainer, places):
    with pytest.raises(DataError, match="no environment 3; expected 0 to 2"):
        trainer(dataset=places, test_environment=3)


def test_early_stopping_counts_epochs_without_improvement(trainer, tmp_path):
    one = trainer(epochs=9, early_stopping_patience=2, learning_rate=0.0)
    converged = []
    for _ in range(4):
        one.run_epoch()
        converged.append(one.converged)
    assert converged == [False, False, True, True]
    checkpoint.save(tmp_path, one.state_dict())
    again = trainer(epochs=9, early_stopping_patience=2)
    again.load_state_dict(checkpoint.load(tmp_path))
    assert again.converged
    assert not trainer(early_stopping_patience=None).converged


def test_a_plateau_lowers_the_rate_of_the_next_epoch(trainer):
    one = trainer(epochs=9, lr_schedule="plateau", learning_rate=1e-3, lr_warmup=0.0)
    one.plateau.update(0.0)  # nothing will ever be better
    rates = [one.run_epoch()["schedule/lr"] for _ in range(6)]
    assert rates == [1e-3] * 4 + [5e-4] * 2


def test_the_global_random_state_of_an_epoch_is_its_own(trainer, monkeypatch):
    def draws(one):
        seen = []
        monkeypatch.setattr(one, "_step", lambda *_: seen.append(torch.rand(1).item()) or LOSS)
        one._train()
        one.epoch += 1
        one._train()
        return seen

    torch.manual_seed(1)
    first = draws(trainer())
    state = torch.random.get_rng_state()
    assert draws(trainer()) == first
    assert torch.equal(torch.random.get_rng_state(), state)
    assert len(set(first)) == len(first)


def test_shares_of_the_loss_are_the_weighted_terms_and_sum_to_one(trainer):
    one = trainer(epochs=1, kl_warmup=0.0)
    row = one.run_epoch()
    weights = one.definition.term_weights(one.config, END)
    shares = {name.removeprefix("train/share/"): value for name, value in row.items() if "/share/" in name}
    assert set(shares) == set(weights)
    assert sum(shares.values()) == pytest.approx(1.0)
    for name, share in shares.items():
        assert share == pytest.approx(weights[name] * row[f"train/{name}"] / row["train/loss"], rel=1e-4)
