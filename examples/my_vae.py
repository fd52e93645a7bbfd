"""A plain VAE of one's own, on binary images: a Bernoulli likelihood, so the reconstruction error is in nats.

python sweeps/run.py examples/my_vae.py --plan
python sweeps/run.py examples/my_vae.py --data mine.npz     # x (samples, values) in [0, 1], and y if there are labels
"""

import numpy as np
from torch import nn
from torch.nn import functional as F

from search_spaces import Parameter, SearchSpace
from trainables.vae import Vae

SPACE = SearchSpace(
    "my_vae",
    (
        Parameter("kl_weight", "log", 1.0, low=0.1, high=100.0),  # known: the weight of the KL, in nats
        Parameter("kl_warmup", "float", 0.1, low=0.0, high=0.5, maximum=1.0),  # known: share of the budget
        Parameter("latent_dim", "choice", 8, choices=(4, 8, 16), minimum=1),
        Parameter("hidden", "fixed", 64, minimum=1),
    ),
)


class Model(Vae):
    nats = "reconstruction"  # it is −ln p(x | z): the score is the ELBO

    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        values, hidden, latent = int(np.prod(shape)), config["hidden"], config["latent_dim"]
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(values, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, values))

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=1)  # mean and log variance

    def decode(self, z):
        return self.decoder(z).unflatten(1, self.shape)  # logits

    def reconstruction(self, prediction, target):
        return F.binary_cross_entropy_with_logits(prediction, target, reduction="none").flatten(1).sum(1)

    def to_fixed_but_for_target(self, prediction):
        return prediction.sigmoid()  # what is compared with x


def data(source):
    """Arrays, (x, labels), or a torch Dataset; None stands for the data that the model brings along."""
    if source is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        return (digits.images > 7).astype(np.float32), digits.target
    with np.load(source) as archive:
        return archive["x"].astype(np.float32)
