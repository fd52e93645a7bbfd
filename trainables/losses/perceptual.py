"""Distance of images as a convolutional network sees them: VGG16 features at four scales.

Johnson, Alahi, Fei-Fei 2016 (features of VGG16 as a loss), with every position's features brought to unit length
before they are compared, as Zhang et al. 2018 do: no layer weighs more because its activations are larger.

Shapes: B samples, C channels, S × S pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))  # output channels; max pooling between them
INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)  # of the convolutions in torchvision's state dict
RANDOM_SHARE = 8  # random features have so many times fewer channels
RANDOM_SEED = 0
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Perceptual:
    """The distance of images with values of about [0, 1], differentiable in the first.

    Not a module: its network is fixed, is shared by all models of a process and enters no checkpoint. A file of
    weights is read at the first use.

    Args:
        weights: a file of VGG16's weights, a state dict by torchvision's names; None: random features, always the
            same.
    """

    def __init__(self, weights: str | None) -> None:
        self.weights = weights

    @property
    def note(self) -> str:
        """What the features are, for the user."""
        if self.weights is not None:
            return f"the perceptual loss sees the features of VGG16 with the weights of {self.weights}"
        return (
            f"the perceptual loss sees random features (a VGG16 with 1/{RANDOM_SHARE} of the channels, untrained), "
            "not the documented ones of a trained VGG16, whose weights this program cannot bring: set "
            "perceptual_weights to a file of torchvision's vgg16 weights (--set perceptual_weights=FILE)"
        )

    def __call__(self, prediction_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
        """Squared distance of the features, mean over samples, channels, positions and scales; in [0, 4].

        Raises:
            ValueError: the weights cannot be read or are those of another network.
        """
        network = features(self.weights, prediction_BCHW.device)
        with torch.no_grad():
            seen = network(target_BCHW)
        pairs = zip(network(prediction_BCHW), seen, strict=True)
        return torch.stack([(ours - theirs).square().sum(dim=1).mean() for ours, theirs in pairs]).mean()


class Features(nn.Module):
    """VGG16's convolutions up to relu4_3; every channel of an image is seen as a grey image.

    Args:
        share: divides the number of channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, share: int = 1) -> None:
        super().__init__()
        channels = [3, *(width // share for block in BLOCKS for width in block)]
        self.convolutions = nn.ModuleList(nn.Conv2d(*pair, 3, padding=1) for pair in pairwise(channels))
        mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, x_BCHW: Tensor) -> list[Tensor]:
        """Features of unit length at the end of each block, (B·C, channels, side, side)."""
        hidden = (x_BCHW.flatten(0, 1)[:, None] - self.mean) / self.std
        layers, seen = iter(self.convolutions), list[Tensor]()
        for block in BLOCKS:
            hidden = F.max_pool2d(hidden, 2) if seen else hidden
            for _ in block:
                hidden = next(layers)(hidden).relu()
            seen.append(F.normalize(hidden, dim=1, eps=1e-6))
        return seen


@lru_cache(maxsize=4)
def features(weights: str | None, device: torch.device) -> Features:
    """The fixed network of those weights on that device; see `Perceptual`."""
    with torch.random.fork_rng(devices=[]):  # what a trial draws must not depend on who built this first
        network = _random() if weights is None else _trained(weights)
    return network.requires_grad_(False).eval().to(device)


def _random() -> Features:
    network, generator = Features(RANDOM_SHARE), torch.Generator().manual_seed(RANDOM_SEED)
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.zeros_(parameter)
        else:
            nn.init.kaiming_normal_(parameter, nonlinearity="relu", generator=generator)
    return network


def _trained(path: str) -> Features:
    network, weights = Features(), _read(path)
    named = {
        f"features.{index}.{kind}": parameter
        for index, layer in zip(INDICES, network.convolutions, strict=True)
        for kind, parameter in layer.named_parameters()
    }
    missing = [name for name in named if not isinstance(weights.get(name), Tensor)]
    if missing:
        raise _refused(path, f"lacks {', '.join(missing[:3])}{', …' if missing[3:] else ''}")
    for name, parameter in named.items():
        found, own = tuple(weights[name].shape), tuple(parameter.shape)
        if found != own:
            raise _refused(path, f"{name} has the shape {found} instead of {own}")
        parameter.data.copy_(weights[name])
    return network


def _read(path: str) -> Mapping[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise _refused(path, f"cannot be opened ({error.strerror})") from error
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise _refused(path, "is not a file of tensors") from error
    if not isinstance(state, Mapping):
        raise _refused(path, "is not a state dict, tensors by name")
    return state


def _refused(path: str, problem: str) -> ValueError:
    expected = "expected the state dict of torchvision's vgg16, as torch.save writes it"
    return ValueError(f"perceptual_weights={path}: {problem}; {expected}")
