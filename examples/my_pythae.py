"""A model of pythae under a sweep: its networks as they are, trained by our loop. Needs the package `pythae`.

python sweeps/run.py examples/my_pythae.py --plan
"""

import numpy as np
from pythae.models import VAE, VAEConfig

from search_spaces import Parameter, SearchSpace
from trainables.vae import Vae

SPACE = SearchSpace(
    "my_pythae",
    (
        Parameter("kl_weight", "log", 1.0, low=0.1, high=100.0),
        Parameter("latent_dim", "choice", 8, choices=(4, 8, 16), minimum=1),
    ),
)


class Model(Vae):
    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        self.net = VAE(VAEConfig(input_dim=shape, latent_dim=config["latent_dim"]))

    def encode(self, x):
        found = self.net.encoder(x)
        return found.embedding, found.log_covariance

    def decode(self, z):
        return self.net.decoder(z).reconstruction


def data(source):
    if source is not None:
        with np.load(source) as archive:
            return archive["x"].astype(np.float32)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.images[:, None] / 16).astype(np.float32), digits.target
