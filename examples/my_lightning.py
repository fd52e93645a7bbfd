"""A LightningModule of one's own under a sweep. Needs the package `lightning`.

python sweeps/run.py examples/my_lightning.py --trials 6 --epochs 20
"""

import lightning
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader

from search_spaces import Parameter, SearchSpace
from trainables.lightning import StopCollapsed

SPACE = SearchSpace(
    "my_lightning",
    (
        Parameter("beta", "log", 1.0, low=0.1, high=300.0),
        Parameter("learning_rate", "log", 5e-3, low=1e-3, high=2e-2),
    ),
    metrics=("val/loss",),  # logged as val_loss
    mode="min",
)


class Lit(lightning.LightningModule):
    def __init__(self, beta, learning_rate):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(64, 16), nn.Linear(8, 64)
        self.beta, self.learning_rate = beta, learning_rate

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z)

    def loss(self, x, beta):
        mu, logvar = self.encode(x)
        error = (self.decode(mu + torch.randn_like(mu) * (0.5 * logvar).exp()) - x).square().sum(1) / 0.1
        return (error + beta * 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1)).mean()

    def training_step(self, batch, batch_idx):
        return self.loss(batch, self.beta)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch, 1.0))  # beta 1 for all, or the smallest would win

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.learning_rate)


def train(config, monitor):
    x = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    trainer = lightning.Trainer(
        max_epochs=monitor.epochs, callbacks=[StopCollapsed(monitor)], accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Lit(**config), DataLoader(x[:1400], 64, shuffle=True), DataLoader(x[1400:], 64))
