"""A loop of one's own under a sweep: plain PyTorch, stopped, resumed, ranked and reported like any other model.

python sweeps/run.py examples/my_loop.py --trials 6 --epochs 30
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from search_spaces import Parameter, SearchSpace

SPACE = SearchSpace(
    "my_loop",
    (
        Parameter("kl_weight", "log", 1.0, low=0.1, high=100.0),
        Parameter("learning_rate", "log", 3e-3, low=1e-3, high=1e-2),
    ),
    metrics=("val/nelbo",),  # what the loop hands over and trials are ranked by
    mode="min",
)


def train(config, monitor):
    x = torch.tensor(load_digits().data > 7, dtype=torch.float32)
    train_x, val_x = x[:1400], x[1400:]
    model = nn.ModuleDict({"encoder": nn.Linear(64, 16), "decoder": nn.Linear(8, 64)})
    optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"])
    if monitor.state is not None:  # an interrupted trial goes on
        model.load_state_dict(monitor.state["model"])
        optimizer.load_state_dict(monitor.state["optimizer"])

    def loss(x, kl_weight):
        mu, logvar = model["encoder"](x).chunk(2, dim=1)
        logits = model["decoder"](mu + torch.randn_like(mu) * (0.5 * logvar).exp())
        error = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
        return error + kl_weight * kl, mu, logvar

    for _ in range(monitor.done, monitor.epochs):
        for batch in train_x[torch.randperm(len(train_x))].split(64):
            optimizer.zero_grad()
            loss(batch, config["kl_weight"])[0].backward()
            optimizer.step()
        with torch.no_grad():
            nelbo, mu, logvar = loss(val_x, 1.0)
        monitor.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
        monitor.epoch(mu, logvar, decode=lambda z: model["decoder"](z).sigmoid(), target=val_x, nelbo=nelbo)
