"""The callback in real fits of a small LightningModule."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trainables.monitor import Monitor

lightning = pytest.importorskip("lightning")

from trainables.lightning import StopCollapsed  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning's, with torch 2.13
DIMS, VALUES = 4, 8


class Vae(lightning.LightningModule):
    """A linear VAE with a fixed decoder variance of 0.1."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.encoder, self.decoder, self.beta = nn.Linear(VALUES, 2 * DIMS), nn.Linear(DIMS, VALUES), beta
        self.validations = 0

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(x).chunk(2, 1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)

    def loss(self, x: Tensor) -> Tensor:
        mu, logvar = self.encode(x)
        error = (self.decode(mu + torch.randn_like(mu) * (logvar / 2).exp()) - x).square().sum(1) / 0.2
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)
        return (error + self.beta * kl).mean()

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.loss(batch[0])
        self.log("train_loss", loss, on_epoch=True, on_step=False)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.validations += 1
        self.log("val_loss", self.loss(batch[0]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.02)


@pytest.fixture
def loaders() -> list[DataLoader]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(320, DIMS, generator=generator) @ torch.randn(DIMS, VALUES, generator=generator)
    return [DataLoader(TensorDataset(part), batch_size=16, num_workers=0) for part in (x[:256], x[256:])]


def fit(callback: StopCollapsed, beta: float, loaders: list[DataLoader], **more) -> tuple[Vae, int]:
    torch.manual_seed(0)
    module = Vae(beta)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, **({"max_epochs": 8, "callbacks": [callback]} | more),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        trainer.fit(module, *loaders)
    return module, trainer.current_epoch


def test_a_healthy_module_trains_to_its_end(loaders):
    callback = StopCollapsed()
    assert fit(callback, 1.0, loaders)[1] == 8
    rows = callback.monitor.rows
    assert [row["epoch"] for row in rows] == list(range(1, 9))  # the sanity check is none
    assert rows[-1]["verdict"] == "HEALTHY"
    assert rows[-1]["health/z_gain"] > 0.5
    assert 0 < rows[-1]["val/loss"] < rows[0]["val/loss"]
    assert rows[-1]["train/loss"] > 0


def test_a_collapsed_one_is_stopped_and_told_why(loaders, capsys):
    callback = StopCollapsed()
    assert fit(callback, 1e4, loaders)[1] < 8
    assert callback.monitor.stopping_reason == "COLLAPSED"
    assert "COLLAPSED: 0 of 4 units active" in capsys.readouterr().out


def test_a_warm_up_is_respected(loaders):
    callback = StopCollapsed(kl_weight=lambda module: (0.0, module.beta))
    assert fit(callback, 1e4, loaders)[1] == 8


def test_several_validations_an_epoch_are_one_epoch(loaders):
    callback = StopCollapsed()
    module, epochs = fit(callback, 1.0, loaders, max_epochs=3, val_check_interval=0.5)
    assert epochs == 3 == len(callback.monitor.rows)
    assert module.validations >= 6 * 4


def test_epochs_without_a_validation_are_not_heard(loaders):
    callback = StopCollapsed()
    fit(callback, 1.0, loaders, max_epochs=4, check_val_every_n_epoch=2)
    assert callback.monitor.epochs == 2 == len(callback.monitor.rows)


def test_a_monitor_of_ones_own_hears_it_without_the_decoder(loaders):
    monitor = Monitor(epochs=3)
    fit(StopCollapsed(monitor, decode=None), 1.0, loaders, max_epochs=3)
    assert len(monitor.rows) == 3
    assert "health/z_gain" not in monitor.rows[-1]


def test_without_a_budget_it_says_what_to_do(loaders):
    with pytest.raises(Exception, match=r"StopCollapsed\(Monitor\(epochs="):
        fit(StopCollapsed(), 1.0, loaders, max_epochs=-1, max_steps=10)


class Noted(lightning.Callback):
    """Writes down what each process has heard."""

    def __init__(self, folder: Path, callback: StopCollapsed) -> None:
        self.folder, self.callback = folder, callback

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        rows = [(row["epoch"], row["health/kl_raw"], row["health/au"]) for row in self.callback.monitor.rows]
        (self.folder / f"{trainer.global_rank}").write_text(f"{trainer.current_epoch} {rows}")


@pytest.mark.slow
def test_two_processes_stop_together(loaders, tmp_path):
    callback = StopCollapsed()
    fit(callback, 1e4, loaders, devices=2, strategy="ddp_spawn", callbacks=[callback, Noted(tmp_path, callback)])
    first, second = (path.read_text() for path in sorted(tmp_path.iterdir()))
    assert first == second
    assert int(first.split()[0]) < 8
