"""Counts of one's own, such as RNA of single cells: a negative binomial likelihood, the library size given.

python sweeps/run.py examples/my_counts.py --plan
"""

import numpy as np
import torch
from torch import nn

from search_spaces import Parameter, SearchSpace
from trainables.vae import Vae

SPACE = SearchSpace(
    "my_counts",
    (
        Parameter("kl_weight", "log", 1.0, low=0.1, high=10.0),
        Parameter("latent_dim", "choice", 4, choices=(2, 4, 8), minimum=1),
    ),
)


class Model(Vae):
    nats = "reconstruction"

    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        (genes,) = shape
        self.encoder = nn.Sequential(nn.Linear(genes, 64), nn.ReLU(), nn.Linear(64, 2 * config["latent_dim"]))
        self.decoder = nn.Sequential(nn.Linear(config["latent_dim"], 64), nn.ReLU(), nn.Linear(64, genes))
        self.log_dispersion = nn.Parameter(torch.zeros(genes))

    def encode(self, x):
        return self.encoder(x.log1p()).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z).softmax(dim=1)  # shares of the genes

    def reconstruction(self, prediction, target):
        mean, dispersion = (prediction * self.given(target)).clamp(min=1e-6), self.log_dispersion.exp()
        logits = mean.log() - self.log_dispersion
        counts = torch.distributions.NegativeBinomial(dispersion, logits=logits)
        return -counts.log_prob(target).sum(1)

    def given(self, x):
        """The library size, by which shares become counts."""
        return x.sum(dim=1, keepdim=True)


def data(source):
    if source is not None:
        with np.load(source) as archive:
            return archive["counts"].astype(np.float32)
    rng = np.random.default_rng(0)
    programmes = rng.gamma(0.3, 1.0, (3, 40))
    shares = rng.dirichlet((0.5, 0.5, 0.5), 300) @ (programmes / programmes.sum(axis=1, keepdims=True))
    return rng.poisson(shares * rng.uniform(300, 900, (300, 1))).astype(np.float32)
