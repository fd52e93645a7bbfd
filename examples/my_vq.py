"""A VQ-VAE of one's own around lucidrains' vector-quantize-pytorch, on small images.

python sweeps/run.py examples/my_vq.py --plan
"""

import numpy as np
from torch import nn
from vector_quantize_pytorch import VectorQuantize

from search_spaces import Parameter, SearchSpace
from trainables.vae import VqVae

SPACE = SearchSpace(
    "my_vq",
    (
        Parameter("codes", "choice", 32, choices=(16, 32, 64), minimum=2),
        Parameter("decay", "float", 0.9, low=0.8, high=0.99, maximum=1.0),
        Parameter("width", "fixed", 16, minimum=1),
    ),
)


class Model(VqVae):
    def __init__(self, config, shape, statistics):
        super().__init__(config, shape, statistics)
        self.codes, width = config["codes"], config["width"]
        channels = shape[0]
        self.encoder = nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1))
        self.quantiser = VectorQuantize(width, self.codes, decay=config["decay"], accept_image_fmap=True)
        self.decoder = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, 2, 1))

    def quantise(self, x):
        return self.quantiser(self.encoder(x))  # quantised, codes, commitment

    def decode(self, z):
        return self.decoder(z)


def data(source):
    if source is not None:
        with np.load(source) as archive:
            return archive["x"].astype(np.float32)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return (digits.images[:, None] / 16).astype(np.float32), digits.target
