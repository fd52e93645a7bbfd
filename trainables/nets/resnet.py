"""ResNets for images (He et al. 2016), with torchvision's names of weights, so that its ImageNet weights fit.

The strided convolution of a bottleneck is the 3 × 3 one, as in torchvision ("V1.5").

Shapes: B samples, C channels, H × W pixels, F features: 8 · width of basic blocks, 32 · width of bottlenecks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSIFIER = "fc."  # of ImageNet, which is not used
COUNTER = "num_batches_tracked"  # not in old files
NAMED = 3  # weights that do not fit are named, up to so many


class Basic(nn.Module):
    """Two 3 × 3 convolutions with batch norm beside a skip connection, (B, C, H, W) → (B, C', H / s, W / s)."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = convolution(inputs, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = convolution(planes, planes, 3), nn.BatchNorm2d(planes)
        self.downsample = shortcut(inputs, planes, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The block's output, not negative."""
        hidden = F.relu(self.bn1(self.conv1(x_BCHW)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.downsample(x_BCHW))


class Bottleneck(nn.Module):
    """1 × 1, 3 × 3 and 1 × 1 convolutions beside a skip connection, the last with four times the planes."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1, self.bn1 = convolution(inputs, planes, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = convolution(planes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = convolution(planes, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The block's output, not negative."""
        hidden = F.relu(self.bn1(self.conv1(x_BCHW)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + self.downsample(x_BCHW))


LAYERS: dict[str, tuple[type[Basic | Bottleneck], tuple[int, ...]]] = {
    "resnet18": (Basic, (2, 2, 2, 2)),
    "resnet34": (Basic, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """A ResNet without its classifier: (B, 3, H, W) → (B, F), the mean of the last maps.

    Args:
        name: of `LAYERS`.
        width: channels of the first stage; 64 in the paper.
    """

    def __init__(self, name: str, width: int = 64) -> None:
        super().__init__()
        self.name, self.width = name, width
        block, counts = LAYERS[name]
        self.conv1, self.bn1 = convolution(3, width, 7, 2), nn.BatchNorm2d(width)
        self.features = width
        for stage, count in enumerate(counts):
            layers = []
            for place in range(count):
                planes, stride = width * 2**stage, 2 if stage and not place else 1
                layers.append(block(self.features, planes, stride))
                self.features = planes * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Features, (B, F)."""
        maps_BCHW = F.max_pool2d(F.relu(self.bn1(self.conv1(x_BCHW))), 3, stride=2, padding=1)
        for stage in range(len(LAYERS[self.name][1])):
            maps_BCHW = self.get_submodule(f"layer{stage + 1}")(maps_BCHW)
        return maps_BCHW.mean(dim=(2, 3))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Without bias, padded by half the kernel; Kaiming normal weights, scaled by the outputs (He et al. 2015)."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """The skip connection: the identity where the shape stays, else a 1 × 1 convolution with batch norm."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


def load_weights(network: ResNet, path: str) -> None:
    """Give `network` the weights of a file: a state dict as `torch.save` writes it, such as torchvision's.

    Raises:
        ValueError: the file cannot be read, or its weights are those of another network.
    """
    expected = f"expected the state dict of torchvision's {network.name}, {network.width} channels after conv1"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ValueError(f"encoder_weights={path}: cannot be opened ({error.strerror}); {expected}") from error
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"encoder_weights={path}: is not a file of tensors; {expected}") from error
    if not (isinstance(state, Mapping) and all(isinstance(value, Tensor) for value in state.values())):
        raise ValueError(f"encoder_weights={path}: is not a state dict, tensors by name; {expected}")
    weights = {name: value for name, value in state.items() if not name.startswith(CLASSIFIER)}
    if misfits := list(_misfits(network, weights)):
        raise ValueError(f"encoder_weights={path}: {', '.join(misfits)}; {expected}")
    network.load_state_dict(weights, strict=False)


def _misfits(network: ResNet, weights: Mapping[str, Tensor]) -> Iterator[str]:
    """What tells `weights` from those of `network`, a few of each kind."""
    own, given = (
        {name: tuple(value.shape) for name, value in state.items() if not name.endswith(COUNTER)}
        for state in (network.state_dict(), weights)
    )
    differing = [name for name in own if given.get(name, own[name]) != own[name]]
    kinds = (
        [f"{name} is missing" for name in own if name not in given],
        [f"{name} is too much" for name in given if name not in own],
        [f"{name} has the shape {given[name]} instead of {own[name]}" for name in differing],
    )
    for kind in kinds:
        yield from kind[:NAMED]
        if len(kind) > NAMED:
            yield f"and {len(kind) - NAMED} more"
